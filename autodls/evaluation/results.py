"""The records of `metrics.json`: numbers or null, and a reason in words wherever a number cannot be had.

A field that is None because the table does not offer it (no label, no follow-up) is null as a whole.
"""

from typing import Literal

from pydantic import Field

from autodls.evaluation.shared_folds import ComparisonMethod
from autodls.records.base import Record

AucMethod = Literal["delong-logit", "bootstrap-patients", "delong-logit-cv", "bootstrap-patients-cv"]


class Ratio(Record):
    """A number, or the reason why there is none."""

    value: float | None = None
    reason: str | None = None


class Estimate(Record):
    """An estimate with its 95 % interval."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


class PatientsInterval(Estimate):
    """An estimate with the percentile limits of a bootstrap over patients."""

    method: Literal["bootstrap-patients"] = "bootstrap-patients"


class Auc(Estimate):
    """AUC with its 95 % interval.

    Where every patient has one row, that is DeLong's on the logit scale; where some have several, the percentile
    limits of a bootstrap over patients. `-cv`: of out-of-fold scores, whose variance is doubled (`shared_folds`).
    """

    method: AucMethod = "delong-logit"


class PlainAuc(Estimate):
    """AUC with DeLong's symmetric interval, cut at 0 and 1, as pROC gives it.

    Where patients have several rows the variance is Obuchowski's. Of out-of-fold scores it is conditional on these
    folds, so that it is too narrow for anything else.
    """

    variance: float | None = None
    method: Literal["delong", "delong-obuchowski"] = "delong"


class Rate(Estimate):
    """A share with Wilson's interval, of as many cases as the rows are worth where patients have several.

    `wilson-effective` is Wilson's on the effective number of cases, `wilson-patients` the same for a share near 0 or 1,
    whose rows do not show their correlation and count as one a patient. `wilson-own-cutoff` is for a Youden cut-off
    that was chosen on these very rows: limits of the share less what choosing has gained, with the spread that choosing
    adds, while `value` is the share as counted. `bootstrap-patients` stands in files of earlier versions.
    """

    effective: float | None = Field(default=None, description="number of independent cases that the limits are for")
    method: Literal["wilson", "wilson-effective", "wilson-patients", "wilson-own-cutoff", "bootstrap-patients"] = (
        "wilson"
    )


class Cutoff(Record):
    """At or above `value` a case is called positive."""

    value: float | None = None
    source: str = Field(description="'given', or the rule and the cohort whose scores chose it, as 'youden:train'")
    own: bool = Field(default=False, description="whether the very scores that are judged chose it")
    reason: str | None = None


class Confusion(Record):
    """Counts at the cut-off."""

    tp: int
    fp: int
    fn: int
    tn: int


class Calibration(Record):
    """Logistic recalibration of the label on the logit of the score."""

    slope: float | None = None
    slope_low: float | None = Field(
        default=None, description="Wald's 95 % limit, over patients where some have several rows"
    )
    slope_high: float | None = None
    intercept: float | None = Field(default=None, description="beside the slope")
    intercept_large: float | None = Field(
        default=None, description="calibration in the large: with the slope fixed at 1"
    )
    intercept_large_low: float | None = None
    intercept_large_high: float | None = None
    cross_fitted: bool = Field(
        default=False,
        description="judged, as brier and net_benefit then are, by a recalibration fitted on the other folds: that of "
        "the score was fitted on these very cases",
    )
    reason: str | None = None


class NetBenefit(Record):
    """Decision curve at one threshold probability."""

    threshold: float
    model: float
    all: float
    none: float = 0.0


class FoldMetrics(Record):
    """One fold on the cases that it validates."""

    fold: int
    n: int
    positives: int
    auc: Estimate = Field(description="with DeLong's interval on the logit scale")
    spread: float | None = Field(description="SD of the log-odds on the scale that all folds share")
    spread_own: float | None = Field(description="SD of the fold's own logits")
    mean: float | None = Field(description="of the log-odds on the scale that all folds share")


class ScoreMetrics(Record):
    """One score in one cohort, on all rows that have it and a label: `n`, of which `positives`."""

    n: int | None = None
    positives: int | None = None
    auc: Auc
    auc_delong: PlainAuc
    cutoff: Cutoff
    confusion: Confusion | None
    sensitivity: Rate
    specificity: Rate
    ppv: Rate
    npv: Rate
    accuracy: Rate
    youden: Estimate
    brier: float | None
    brier_interval: PatientsInterval | None = None
    brier_scaled: float | None = Field(default=None, description="1 less the Brier score over that of the prevalence")
    calibration: Calibration
    net_benefit: tuple[NetBenefit, ...] | None
    net_benefit_caution: str | None = Field(default=None, description="why it may mislead: not shown calibrated here")
    reasons: dict[str, str] = Field(description="why brier, confusion or net_benefit is null, by field")


class Comparison(Record):
    """Paired DeLong test, AUC of `a` minus AUC of `b`, on the `n` rows that have both and a label.

    Where patients have several rows the variance is Obuchowski's, of which interval and P are both made. `-cv`: between
    out-of-fold scores, where it is doubled (`shared_folds`).
    """

    a: str
    b: str
    n: int | None = None
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    z: float | None = None
    p: float | None = None
    p_holm: float | None = Field(default=None, description="Holm-adjusted over the pairs of the cohort")
    method: ComparisonMethod = "delong"
    reason: str | None = None


class ChiSquare(Record):
    """A chi-square test."""

    chi2: float | None = None
    df: int | None = None
    p: float | None = None
    reason: str | None = None


class HazardRatio(Record):
    """Cox regression on one covariate."""

    hr: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = Field(default=None, description="Wald test, with Firth the penalised likelihood-ratio test")
    method: Literal["cox-efron", "firth-profile"] | None = None
    reason: str | None = None


class PTest(Record):
    """The p value of a test."""

    p: float | None = None
    reason: str | None = None


class GroupSurvival(Record):
    """Kaplan-Meier summary of one group; the median is null where it is not reached."""

    n: int
    events: int
    median: float | None = None
    median_low: float | None = None
    median_high: float | None = None


class Survival(Record):
    """Follow-up of one cohort by the first score: one record a patient, of several rows the mean score."""

    median_follow_up: float | None = Field(description="reverse Kaplan-Meier; null where it is not reached")
    logrank: ChiSquare
    cox: HazardRatio = Field(description="high over low")
    cox_continuous: HazardRatio = Field(description="per unit of the score")
    cox_per_sd: HazardRatio | None = Field(
        default=None, description="per standard deviation, `score_sd`, of the score on `score_scale`"
    )
    score_sd: float | None = None
    score_scale: Literal["log-odds", "score"] | None = Field(
        default=None, description="log-odds where every score lies between 0 and 1, without these"
    )
    label_from_time: bool = Field(default=False, description="whether the labels are those of a time of this follow-up")
    proportional_hazards: PTest
    groups: dict[str, GroupSurvival]


class Landmark(Record):
    """Benefit, survival beyond `time`, predicted by the first score."""

    time: float
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
    auc_undetermined_highest: float | None = None
    undetermined: int = Field(description="patients censored at or before `time`")
    rate_km: float | None = Field(description="Kaplan-Meier estimate of the share that benefits")
    rate_km_interval: Estimate | None = Field(default=None, description="the same with its log-log interval")
    censoring: HazardRatio | None = Field(
        default=None,
        description="of the end of follow-up before an event, up to `time`, per standard deviation of the score: the "
        "weights suppose 1",
    )
    reason: str | None = None


class Excluded(Record):
    """A row that was left out. Rows count as in a spreadsheet: the header is row 1."""

    row: int
    reason: str
    left_out_of: Literal["everything", "labels", "survival", "score"] = Field(
        default="everything", description="labels: of all that needs a label; score: of what is said of that score"
    )
    score: str | None = Field(default=None, description="the score that the row lacks, where it lacks that alone")
