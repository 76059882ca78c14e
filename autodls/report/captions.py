"""What figures show: a text for who does not see them, and a caption; for every form of the report."""

from collections.abc import Mapping

from autodls.report.artefacts import Artefacts
from autodls.report.figures.lettering import told_of

CAPTIONS: Mapping[str, tuple[str, str]] = {
    "cohort_flow": (
        "Flow of cases from the table of the dataset to the cohorts that are analysed.",
        "Cohort flow: cases in the table, cases left out with the reason, and the cohorts.",
    ),
    "roc": (
        "ROC curves of every score in every cohort; the AUCs stand in the table of performance.",
        "ROC curves with AUC (95% CI); the point marks the locked cut-off.",
    ),
    "calibration": (
        "Observed share of positive cases against the score, with the distribution of the scores.",
        "Calibration: a score that means what it says lies on the diagonal. Points are groups of cases with Wilson's "
        "interval, the curve a local regression (lowess) with a bootstrap band. Out of fold each fold is recalibrated "
        "on the other folds, since on its own scores the locked recalibration has slope 1 by construction.",
    ),
    "decision_curve": (
        "Net benefit against the threshold probability, beside treating all and treating none.",
        "Decision curves: the score helps where its curve lies above both treating all and treating none. Drawn from "
        "half the least to twice the greatest prevalence (at most 0.8), where a threshold is plausible; the band is of "
        "each threshold by itself and ends where fewer than ten patients are called. Out of fold each fold is "
        "recalibrated on the other folds.",
    ),
    "kaplan_meier": (
        "Kaplan-Meier curves of the groups above and below the cut-off, with numbers at risk.",
        "Kaplan-Meier curves by the locked cut-off, with numbers at risk, medians (NR: not reached), median follow-up "
        "(reverse Kaplan-Meier), hazard ratio and log-rank P.",
    ),
    "candidates": (
        "Out-of-fold AUC with interval of every candidate and of the nested choice, with the AUC of every fold.",
        "Out-of-fold AUC (95% CI) of every candidate; below them that of whatever each fold chose in its training "
        "part. Small dots are single folds.",
    ),
    "candidates_decision": (
        "Net benefit of the integrated candidate and of its parts against the threshold probability.",
        "Net benefit out of fold of the integrated candidate and its parts, from cross-fitted probabilities, beside "
        "treating all and none; without intervals, which stand for one threshold in the table of the network.",
    ),
    "candidate_coefficients": (
        "Bars: the largest coefficients of the locked candidate, per standard deviation.",
        "What the locked candidate is made of: the largest effects, log-odds per standard deviation of the training "
        "cohort; of a level, what it adds.",
    ),
    "candidate_nomogram": (
        "Nomogram: points for each covariate or part, total points, and the probability that they mean.",
        "Nomogram of the locked candidate. Read the points of each line off the first one, add them up, and read the "
        "probability below the total. Scores of parts are those that predict tells. A missing number has no place "
        "here: predict takes it at the median.",
    ),
    "rois_dice": (
        "Dice of every case against the volume of its manual ROI, with the mean of each third of the cases.",
        "Dice by tumour volume, a point a case; the lines are means of thirds of the cases.",
    ),
    "rois_scores": (
        "Difference of the scores with automatic and with manual ROIs against their mean.",
        "Bland-Altman: automatic ROIs in training and in use against manual ones.",
    ),
    "rois_robustness": (
        "Absolute change of the score against the size of the change of the manual ROI.",
        "Robustness: the manual ROI made smaller, larger or moved, all else unchanged.",
    ),
    "images_robustness": (
        "For each kind of artefact, by its level: mean change of the log-odds with 95 % limits, and the share of calls "
        "that flip.",
        "Worse images: change of the log-odds (mean; band: 95% limits of agreement) and share of calls that flip at "
        "the locked cut-off (bars: 95% CI), by level.",
    ),
    "learning_curve": (
        "AUC by the number of cases learned from: measured on subsets, and drawn on with a 95 % band.",
        "Learning curve: AUC on the test folds of fits on subsets, and where it may go with more patients (95% band).",
    ),
}


def numbers_of(name: str, place: str = "results/") -> str:
    """Where the numbers of the figure `name` lie, below `place`."""
    return f"Numbers: {place}figures/{name}.csv."


def stand_ins(study: Artefacts) -> str:
    """Which name the figures of the evaluation show in place of one that no font could draw."""
    told = told_of(study.metrics.warnings if study.metrics is not None else ())
    return "".join(f" In the figure, '{shown}' is {name}." for name, shown in told.items())
