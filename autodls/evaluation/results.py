"""The records of `metrics.json`: numbers or null, and a reason in words wherever a number cannot be had.

A field that is None because the table does not offer it (no label, no follow-up) is null as a whole.
"""

from typing import Annotated, Literal

from pydantic import Field

from autodls.evaluation.shared_folds import ComparisonMethod
from autodls.records.base import Record

Reason = Annotated[str | None, Field(description="why there is no number")]
Value = Annotated[float | None, Field(description="the estimate")]
Low = Annotated[float | None, Field(description="lower limit of the 95 % interval")]
High = Annotated[float | None, Field(description="upper limit of the 95 % interval")]
AucMethod = Literal["delong-logit", "bootstrap-patients", "delong-logit-cv", "bootstrap-patients-cv"]


class Ratio(Record):
    """A number, or the reason why there is none."""

    value: float | None = Field(default=None, description="the number")
    reason: Reason = None


class Estimate(Record):
    """An estimate with its 95 % interval."""

    value: Value = None
    low: Low = None
    high: High = None
    reason: Reason = None


class PatientsInterval(Estimate):
    """An estimate with the percentile limits of a bootstrap over patients."""

    method: Literal["bootstrap-patients"] = Field(default="bootstrap-patients", description="of the limits")


class Auc(Estimate):
    """AUC with its 95 % interval.

    Where every patient has one row, that is DeLong's on the logit scale; where some have several, the percentile
    limits of a bootstrap over patients. `-cv`: of out-of-fold scores, whose variance is doubled (`shared_folds`).
    """

    method: AucMethod = Field(default="delong-logit", description="of the interval")


class PlainAuc(Estimate):
    """AUC with DeLong's symmetric interval, cut at 0 and 1, as pROC gives it.

    Where patients have several rows the variance is Obuchowski's. Of out-of-fold scores it is conditional on these
    folds, so that it is too narrow for anything else.
    """

    variance: float | None = Field(default=None, description="of the AUC")
    method: Literal["delong", "delong-obuchowski"] = Field(default="delong", description="of the variance")


class Rate(Estimate):
    """A share with Wilson's interval, of as many cases as the rows are worth where patients have several.

    `wilson-effective` is Wilson's on the effective number of cases, `wilson-patients` the same for a share near 0 or 1,
    whose rows do not show their correlation and count as one a patient. `wilson-own-cutoff` is for a Youden cut-off
    that was chosen on these very rows: limits of the share less what choosing has gained, with the spread that choosing
    adds, while `value` is the share as counted. `bootstrap-patients` stands in files of earlier versions.
    """

    effective: float | None = Field(default=None, description="number of independent cases that the limits are for")
    method: Literal["wilson", "wilson-effective", "wilson-patients", "wilson-own-cutoff", "bootstrap-patients"] = Field(
        default="wilson", description="of the limits"
    )


class Cutoff(Record):
    """At or above `value` a case is called positive."""

    value: float | None = Field(default=None, description="in the unit of the score")
    source: str = Field(description="'given', or the rule and the cohort whose scores chose it, as 'youden:train'")
    own: bool = Field(default=False, description="whether the very scores that are judged chose it")
    reason: Reason = None


class Confusion(Record):
    """Counts at the cut-off."""

    tp: int = Field(description="positives called positive")
    fp: int = Field(description="negatives called positive")
    fn: int = Field(description="positives called negative")
    tn: int = Field(description="negatives called negative")


class Calibration(Record):
    """Logistic recalibration of the label on the logit of the score."""

    slope: float | None = Field(default=None, description="1 is right; below, scores are too extreme")
    slope_low: float | None = Field(
        default=None, description="Wald's 95 % limit, over patients where some have several rows"
    )
    slope_high: float | None = Field(default=None, description="the upper one")
    intercept: float | None = Field(default=None, description="beside the slope")
    intercept_large: float | None = Field(
        default=None, description="calibration in the large: with the slope fixed at 1"
    )
    intercept_large_low: float | None = Field(default=None, description="95 % limit, by the sandwich variance")
    intercept_large_high: float | None = Field(default=None, description="the upper one")
    cross_fitted: bool = Field(
        default=False,
        description="judged, as brier and net_benefit then are, by a recalibration fitted on the other folds: that of "
        "the score was fitted on these very cases",
    )
    reason: Reason = None


class NetBenefit(Record):
    """Decision curve at one threshold probability."""

    threshold: float = Field(description="probability from which a case is called")
    model: float = Field(description="net benefit of the score")
    all: float = Field(description="of calling everybody")
    none: float = Field(default=0.0, description="of calling nobody")


class FoldMetrics(Record):
    """One fold on the cases that it validates."""

    fold: int = Field(description="its number")
    n: int = Field(description="cases")
    positives: int = Field(description="positive cases among them")
    auc: Estimate = Field(description="with DeLong's interval on the logit scale")
    spread: float | None = Field(description="SD of the log-odds on the scale that all folds share")
    spread_own: float | None = Field(description="SD of the fold's own logits")
    mean: float | None = Field(description="of the log-odds on the scale that all folds share")


class ScoreMetrics(Record):
    """One score in one cohort, on all rows that have it and a label: `n`, of which `positives`."""

    n: int | None = Field(default=None, description="cases")
    positives: int | None = Field(default=None, description="positive cases among them")
    auc: Auc = Field(description="with its interval; the one to print")
    auc_delong: PlainAuc = Field(description="with DeLong's symmetric interval, as pROC prints it")
    cutoff: Cutoff = Field(description="at which the rates below are")
    confusion: Confusion | None = Field(description="null without a cut-off")
    sensitivity: Rate = Field(description="share of positives that are called")
    specificity: Rate = Field(description="share of negatives that are not called")
    ppv: Rate = Field(description="share of the called that are positive")
    npv: Rate = Field(description="share of the others that are negative")
    accuracy: Rate = Field(description="share of cases that are called rightly")
    youden: Estimate = Field(description="sensitivity + specificity - 1")
    brier: float | None = Field(
        description="mean squared distance of score and label; null where the score is no probability"
    )
    brier_interval: PatientsInterval | None = Field(default=None, description="the same with its interval")
    brier_scaled: float | None = Field(default=None, description="1 less the Brier score over that of the prevalence")
    calibration: Calibration = Field(description="recalibration of the label on the score")
    net_benefit: tuple[NetBenefit, ...] | None = Field(description="the decision curve")
    net_benefit_caution: str | None = Field(default=None, description="why it may mislead: not shown calibrated here")
    reasons: dict[str, str] = Field(description="why brier, confusion or net_benefit is null, by field")


class Comparison(Record):
    """Paired DeLong test, AUC of `a` minus AUC of `b`, on the `n` rows that have both and a label.

    Where patients have several rows the variance is Obuchowski's, of which interval and P are both made. `-cv`: between
    out-of-fold scores, where it is doubled (`shared_folds`).
    """

    a: str = Field(description="a score")
    b: str = Field(description="another")
    n: int | None = Field(default=None, description="cases that have both")
    delta: float | None = Field(default=None, description="AUC of a minus AUC of b")
    low: Low = None
    high: High = None
    z: float | None = Field(default=None, description="test statistic")
    p: float | None = Field(default=None, description="two-sided")
    p_holm: float | None = Field(default=None, description="Holm-adjusted over the pairs of the cohort")
    method: ComparisonMethod = Field(default="delong", description="of the variance")
    reason: Reason = None


class ChiSquare(Record):
    """A chi-square test."""

    chi2: float | None = Field(default=None, description="test statistic")
    df: int | None = Field(default=None, description="degrees of freedom")
    p: float | None = Field(default=None, description="P value")
    reason: Reason = None


class HazardRatio(Record):
    """Cox regression on one covariate."""

    hr: float | None = Field(default=None, description="hazard ratio")
    low: Low = None
    high: High = None
    p: float | None = Field(default=None, description="Wald test, with Firth the penalised likelihood-ratio test")
    method: Literal["cox-efron", "firth-profile"] | None = Field(default=None, description="of the regression")
    reason: Reason = None


class PTest(Record):
    """The p value of a test."""

    p: float | None = Field(default=None, description="P value")
    reason: Reason = None


class GroupSurvival(Record):
    """Kaplan-Meier summary of one group; the median is null where it is not reached."""

    n: int = Field(description="patients")
    events: int = Field(description="with an event")
    median: float | None = Field(default=None, description="time, in the unit of the table")
    median_low: float | None = Field(default=None, description="lower limit of its 95 % interval")
    median_high: float | None = Field(default=None, description="upper limit")


class Survival(Record):
    """Follow-up of one cohort by the first score: one record a patient, of several rows the mean score."""

    median_follow_up: float | None = Field(description="reverse Kaplan-Meier; null where it is not reached")
    logrank: ChiSquare = Field(description="high against low")
    cox: HazardRatio = Field(description="high over low")
    cox_continuous: HazardRatio = Field(description="per unit of the score")
    cox_per_sd: HazardRatio | None = Field(
        default=None, description="per standard deviation, `score_sd`, of the score on `score_scale`"
    )
    score_sd: float | None = Field(default=None, description="standard deviation of the score")
    score_scale: Literal["log-odds", "score"] | None = Field(
        default=None, description="log-odds where every score lies between 0 and 1, without these"
    )
    label_from_time: bool = Field(default=False, description="whether the labels are those of a time of this follow-up")
    proportional_hazards: PTest = Field(description="test of that assumption of `cox`")
    groups: dict[str, GroupSurvival] = Field(description="high and low, at the cut-off")


class Landmark(Record):
    """Benefit, survival beyond `time`, predicted by the first score."""

    time: float = Field(description="the landmark, in the unit of the table")
    auc_ipcw: float | None = Field(description="weighted by the inverse probability of not being censored; primary")
    auc_ipcw_interval: PatientsInterval | None = Field(
        default=None, description="the same with the limits of a bootstrap over patients, censoring estimated in each"
    )
    auc_excluding: Estimate = Field(description="leaving the undetermined out")
    auc_undetermined_benefit: float | None = Field(description="as if every undetermined patient had benefited")
    auc_undetermined_no_benefit: float | None = Field(description="as if none of them had")
    auc_undetermined_lowest: float | None = Field(
        default=None, description="the least AUC that any outcomes of the undetermined could give"
    )
    auc_undetermined_highest: float | None = Field(default=None, description="the greatest")
    undetermined: int = Field(description="patients censored at or before `time`")
    rate_km: float | None = Field(description="Kaplan-Meier estimate of the share that benefits")
    rate_km_interval: Estimate | None = Field(default=None, description="the same with its log-log interval")
    censoring: HazardRatio | None = Field(
        default=None,
        description="of the end of follow-up before an event, up to `time`, per standard deviation of the score: the "
        "weights suppose 1",
    )
    reason: Reason = None


class Excluded(Record):
    """A row that was left out. Rows count as in a spreadsheet: the header is row 1."""

    row: int = Field(description="its number, the header is 1")
    reason: str = Field(description="in words")
    left_out_of: Literal["everything", "labels", "survival", "score"] = Field(
        default="everything", description="labels: of all that needs a label; score: of what is said of that score"
    )
    score: str | None = Field(default=None, description="the score that the row lacks, where it lacks that alone")
