"""The sources of the methods that a paper may cite, by a key."""

from collections.abc import Mapping

from autodls.report.checklists.filled import CHECKLISTS, read_checklist

REFERENCES: Mapping[str, str] = {
    "ding2025": "Ding C, Kang Y, Bai F, Bai G, Xian J. Development and validation of MRI-derived deep learning score "
    "for non-invasive prediction of PD-L1 expression and prognostic stratification in head and neck squamous cell "
    "carcinoma. Cancer Imaging 2025. doi:10.1186/s40644-025-00837-5",
    "he2016": "He K, Zhang X, Ren S, Sun J. Deep residual learning for image recognition. CVPR 2016. arXiv:1512.03385",
    "tan2019": "Tan M, Le QV. EfficientNet: rethinking model scaling for convolutional neural networks. ICML 2019. "
    "arXiv:1905.11946",
    "vaswani2017": "Vaswani A, Shazeer N, Parmar N, et al. Attention is all you need. NeurIPS 2017. arXiv:1706.03762",
    "lin2017": "Lin TY, Goyal P, Girshick R, He K, Dollár P. Focal loss for dense object detection. ICCV 2017. "
    "arXiv:1708.02002",
    "loshchilov2019": "Loshchilov I, Hutter F. Decoupled weight decay regularization. ICLR 2019. arXiv:1711.05101",
    "isensee2021": "Isensee F, Jaeger PF, Kohl SAA, Petersen J, Maier-Hein KH. nnU-Net: a self-configuring method for "
    "deep learning-based biomedical image segmentation. Nat Methods 2021;18:203-211",
    "mattes2003": "Mattes D, Haynor DR, Vesselle H, Lewellen TK, Eubank W. PET-CT image registration in the chest "
    "using free-form deformations. IEEE Trans Med Imaging 2003;22:120-128",
    "delong1988": "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more correlated receiver "
    "operating characteristic curves: a nonparametric approach. Biometrics 1988;44:837-845",
    "pepe2003": "Pepe MS. The statistical evaluation of medical tests for classification and prediction. Oxford "
    "University Press 2003",
    "obuchowski1997": "Obuchowski NA. Nonparametric analysis of clustered ROC curve data. Biometrics 1997;53:567-578",
    "bengio2004": "Bengio Y, Grandvalet Y. No unbiased estimator of the variance of K-fold cross-validation. J Mach "
    "Learn Res 2004;5:1089-1105",
    "holm1979": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 1979;6:65-70",
    "wilson1927": "Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat Assoc "
    "1927;22:209-212",
    "youden1950": "Youden WJ. Index for rating diagnostic tests. Cancer 1950;3:32-35",
    "brier1950": "Brier GW. Verification of forecasts expressed in terms of probability. Mon Weather Rev 1950;78:1-3",
    "cox1958": "Cox DR. Two further applications of a model for binary regression. Biometrika 1958;45:562-565",
    "vancalster2019": "Van Calster B, McLernon DJ, van Smeden M, Wynants L, Steyerberg EW. Calibration: the Achilles "
    "heel of predictive analytics. BMC Med 2019;17:230",
    "vickers2006": "Vickers AJ, Elkin EB. Decision curve analysis: a novel method for evaluating prediction models. "
    "Med Decis Making 2006;26:565-574",
    "austin2009": "Austin PC. Balance diagnostics for comparing the distribution of baseline covariates between "
    "treatment groups in propensity-score matched samples. Stat Med 2009;28:3083-3107",
    "kaplan1958": "Kaplan EL, Meier P. Nonparametric estimation from incomplete observations. J Am Stat Assoc "
    "1958;53:457-481",
    "schemper1996": "Schemper M, Smith TL. A note on quantifying follow-up in studies of failure time. Control Clin "
    "Trials 1996;17:343-346",
    "cox1972": "Cox DR. Regression models and life-tables. J R Stat Soc B 1972;34:187-220",
    "efron1977": "Efron B. The efficiency of Cox's likelihood function for censored data. J Am Stat Assoc "
    "1977;72:557-565",
    "grambsch1994": "Grambsch PM, Therneau TM. Proportional hazards tests and diagnostics based on weighted residuals. "
    "Biometrika 1994;81:515-526",
    "heinze2001": "Heinze G, Schemper M. A solution to the problem of monotone likelihood in Cox regression. "
    "Biometrics 2001;57:114-119",
    "uno2007": "Uno H, Cai T, Tian L, Wei LJ. Evaluating prediction rules for t-year survivors with censored "
    "regression models. J Am Stat Assoc 2007;102:527-537",
    "blanche2013": "Blanche P, Dartigues JF, Jacqmin-Gadda H. Estimating and comparing time-dependent areas under "
    "receiver operating characteristic curves for censored event times with competing risks. Stat Med "
    "2013;32:5381-5397",
    "zwanenburg2020": "Zwanenburg A, Vallières M, Abdalah MA, et al. The Image Biomarker Standardization Initiative: "
    "standardized quantitative radiomics for high-throughput image-based phenotyping. Radiology 2020;295:328-338",
    "selvaraju2017": "Selvaraju RR, Cogswell M, Das A, Vedantam R, Parikh D, Batra D. Grad-CAM: visual explanations "
    "from deep networks via gradient-based localization. ICCV 2017. arXiv:1610.02391",
    "adebayo2018": "Adebayo J, Gilmer J, Muelly M, Goodfellow I, Hardt M, Kim B. Sanity checks for saliency maps. "
    "NeurIPS 2018. arXiv:1810.03292",
    "figueroa2012": "Figueroa RL, Zeng-Treitler Q, Kandula S, Ngo LH. Predicting sample size required for "
    "classification performance. BMC Med Inform Decis Mak 2012;12:8",
}


def reference(key: str) -> str:
    """The source as it is listed; that of a checklist by the name of the list."""
    if key in CHECKLISTS:
        found = read_checklist(key)
        return f"{found.source}. doi:{found.doi}"
    return REFERENCES[key]
