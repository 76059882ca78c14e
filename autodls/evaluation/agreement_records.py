"""Automatic against manual ROIs, and the scores of either, as records."""

from typing import Literal

from pydantic import Field, model_validator

from autodls.evaluation.plane_agreement import PlaneAgreement
from autodls.evaluation.results import Comparison, Estimate
from autodls.records.automatic_roi import MaskSource
from autodls.records.base import Record


class BlandAltman(Record):
    """Second minus first: mean, and the limits within which 95 % of the differences are expected."""

    cases: int
    bias: Estimate
    lower_limit: Estimate
    upper_limit: Estimate


class ChangedCalls(Record):
    """Calls at the cut-offs of both scores."""

    cases: int
    to_high: int = Field(description="called low by the first score and high by the second")
    to_low: int
    share: Estimate = Field(
        description="of calls that change, with Wilson's interval, over patients where some have several"
    )


class ScoreAgreement(Record):
    """The second of two scores beside the first."""

    icc: Estimate = Field(description="ICC(2,1) of log-odds: two-way random, absolute agreement, single score")
    bland_altman: BlandAltman
    calls: ChangedCalls


class CaseAgreement(Record):
    """One automatic ROI beside the manual one. Errors are automatic minus manual.

    Where no tumour was found and the whole field is the ROI, nothing counts as drawn: every manual lesion is missed,
    the automatic volume is 0, and there is no volume error and no distance. Only `planes` are those of the whole field,
    as the classifier is given it.
    """

    case: str
    patient: str
    source: MaskSource = Field(description="how the automatic ROI came about")
    manual_mm3: float
    automatic_mm3: float
    overlap_mm3: float
    dice: float | None = Field(description="0 where one of both is empty")
    surface_dice_2mm: float | None = Field(description="share of both surfaces within 2 mm of the other, by area")
    hd95_mm: float | None = Field(description="the larger of the two directed distances' 95th percentiles")
    volume_error_mm3: float | None
    volume_error_percent: float | None = Field(description="of the manual volume")
    centroid_error_mm: float | None
    manual_lesions: int = Field(description="connected parts")
    automatic_lesions: int
    missed_lesions: int = Field(description="parts of the manual ROI without any overlap")
    wrong_lesions: int = Field(description="parts of the automatic ROI without any overlap")
    planes: dict[str, PlaneAgreement] = Field(description="by plane; empty where one of both ROIs is")
    undefined: dict[str, str] = Field(description="why a metric is null, by its name")

    @model_validator(mode="after")
    def _explained(self) -> "CaseAgreement":
        missing = {name for name, value in self if value is None}
        if missing != self.undefined.keys():
            raise ValueError(f"reasons for {sorted(self.undefined)}, but null is {sorted(missing)}")
        return self


class MetricSummary(Record):
    """One metric over cases. Cases in which it is undefined are counted, and are not in mean and median."""

    cases: int = Field(description="in which it is defined")
    undefined: int
    mean: Estimate
    median: Estimate


class LesionSummary(Record):
    """Connected parts over all cases; the intervals of shares are of a bootstrap over patients."""

    manual: int
    automatic: int
    missed: int
    missed_share: Estimate = Field(description="of the manual parts")
    wrong: int
    wrong_share: Estimate = Field(description="of the automatic parts")
    cases_without_overlap: int = Field(description="with a manual ROI that the automatic one does not touch")
    whole_field: int = Field(description="cases in which no tumour was found, so that the whole field is the ROI")


class StratumSummary(Record):
    """All metrics of the cases whose manual ROI has a volume in a range."""

    cases: int
    patients: int
    smallest_ml: float | None
    largest_ml: float | None
    aggregated_dice: Estimate
    metrics: dict[str, MetricSummary] = Field(description="by name, of planes as plane_error_mm.axial")
    lesions: LesionSummary


class AgreementSummary(Record):
    """The cohort, and its tertiles by manual volume (None with a reason where there are too few cases)."""

    all: StratumSummary
    by_volume: dict[str, StratumSummary] | None
    by_volume_reason: str | None = Field(default=None, description="why there are no tertiles")


Verdict = Literal["better", "worse", "not inferior", "not answerable"]


class NonInferiority(Record):
    """A difference of AUCs, and what may be said of it."""

    cases: int
    margin: float = Field(description="AUC that may be lost and still count as not inferior")
    delong: Comparison = Field(description="new (a) minus reference (b)")
    bootstrap: Estimate = Field(description="the same difference, over resampled patients")
    decided_by: Literal["delong", "bootstrap"]
    reference: Estimate = Field(description="AUC of the reference, by the same method")
    reason: str | None = Field(description="why nothing can be said, whatever the interval; None where it can")
    verdict: Verdict
    sentence: str

    @property
    def decisive(self) -> Estimate:
        """The difference with the interval that decided."""
        if self.decided_by == "bootstrap":
            return self.bootstrap
        found = self.delong
        return Estimate(value=found.delta, low=found.low, high=found.high, reason=found.reason)


PerturbationKind = Literal["eroded", "dilated", "shifted"]


class PerturbedScore(Record):
    """One case with one changed ROI; nothing but `reason` where nothing is left of the ROI."""

    case: str
    kind: PerturbationKind
    nominal_mm: float
    unperturbed_dls: float
    dls: float | None
    moved_mm: float | None = Field(description="distance of the centroid from where it was")
    volume_ratio: float | None = Field(description="volume over that of the manual ROI")
    reason: str | None = Field(default=None, description="why there is no score")

    @model_validator(mode="after")
    def _explained(self) -> "PerturbedScore":
        missing = {value is None for value in (self.dls, self.moved_mm, self.volume_ratio)}
        if missing != {self.reason is not None}:
            raise ValueError(f"reason {self.reason!r}, but dls is {self.dls}")
        return self


CELLS = ("manual/manual", "manual/auto", "auto/manual", "auto/auto")  # trained on / tested on


REFERENCE, AUTOMATIC = CELLS[0], CELLS[-1]


KINDS: tuple[PerturbationKind, ...] = ("eroded", "dilated", "shifted")


STEPS_MM = (1.0, 2.0, 5.0, 10.0)
