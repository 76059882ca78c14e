"""benchmark_rois.json: automatic against manual ROIs, in numbers. What is None has a reason in words."""

from collections import Counter
from typing import Literal

from pydantic import Field, model_validator

from autodls.evaluation.agreement_records import (
    AUTOMATIC,
    AgreementSummary,
    CaseAgreement,
    NonInferiority,
    PerturbationKind,
    PerturbedScore,
    ScoreAgreement,
)
from autodls.evaluation.results import Auc, Estimate
from autodls.records.automatic_roi import AutomaticRoi, MaskSource
from autodls.records.base import Record
from autodls.records.model_folders import RoiKind


class Published(Record):
    """A figure of the literature: another cohort, other sequences, other readers."""

    source: str
    cohort: str
    metric: Literal["mean Dice", "mean aggregated Dice"]
    value: float
    spread: float | None = Field(default=None, description="standard deviation, where it is printed")


PUBLISHED = (
    Published(source="Choi 2024", cohort="oropharynx, MR, nnU-Net, test set 1", metric="mean Dice", value=0.67),
    Published(source="Choi 2024", cohort="oropharynx, MR, nnU-Net, test set 2", metric="mean Dice", value=0.77),
    Published(
        source="Schouten 2022", cohort="head and neck, mixed sites, MR", metric="mean Dice", value=0.49, spread=0.19
    ),
    Published(source="Rodriguez Outeiral 2021", cohort="oropharynx, MR, whole view", metric="mean Dice", value=0.55),
    Published(
        source="Rodriguez Outeiral 2021", cohort="oropharynx, MR, inside a box drawn by a person", metric="mean Dice",
        value=0.74,
    ),
    Published(
        source="HNTS-MRG 2024, best entry", cohort="head and neck, before radiotherapy, tumour and nodes",
        metric="mean aggregated Dice", value=0.825,
    ),
)  # fmt: skip


class CohortAgreement(Record):
    """Automatic beside manual ROIs of one cohort."""

    drawn_by: str = Field(description="which networks drew the automatic ROIs; none of them saw the case")
    summary: AgreementSummary
    cases: tuple[CaseAgreement, ...]
    drawn: dict[str, AutomaticRoi] = Field(description="how the automatic ROI of each of these cases came about")
    left_out: dict[str, str] = Field(description="why a case is not compared")

    @property
    def sources(self) -> dict[MaskSource, int]:
        """How many ROIs came by the threshold, by a lower one, or are the whole field."""
        return dict(sorted(Counter(mask.source for mask in self.drawn.values()).items()))


class CrossedCase(Record):
    """The score of one case in each cell: trained on / tested on manual or automatic ROIs."""

    case: str
    patient: str
    label: bool
    fold: int | None = Field(description="the fold that scored it; None for the ensemble")
    scores: dict[str, float]


class CellEffect(Record):
    """A cell of the 2 x 2 table beside manual/manual."""

    delta: NonInferiority
    scores: ScoreAgreement


class SureCases(Record):
    """The cases whose automatic ROI was found at the threshold of 0.5."""

    n: int
    positives: int
    auc: dict[str, Auc]


class CohortEffect(Record):
    """Trained on manual or automatic x tested on manual or automatic ROIs; all cells hold the same cases."""

    n: int
    positives: int
    auc: dict[str, Auc]
    against_manual: dict[str, CellEffect] = Field(description="the three other cells, each beside manual/manual")
    cases: tuple[CrossedCase, ...]
    left_out: dict[str, str] = Field(description="why a case is in no cell")
    without_fall_backs: SureCases | None = Field(description="None where no automatic ROI is a fall-back")

    @property
    def sentence(self) -> str:
        """What automatic ROIs from training to scoring cost, in words."""
        return self.against_manual[AUTOMATIC].delta.sentence


class Change(Record):
    """What one change of the ROI does to the score, over cases."""

    kind: PerturbationKind
    nominal_mm: float
    cases: int
    lost: int = Field(description="cases of which the change leaves nothing")
    mean_moved_mm: float | None = Field(description="distance of the centroid from where it was, as measured")
    mean_absolute_change: float | None = Field(description="of the calibrated score")
    mean_absolute_log_odds: float | None
    flipped: Estimate = Field(
        description="share of calls that change at the locked cut-off, with Wilson's interval, over patients"
    )
    reason: str | None = Field(default=None, description="why the means are null")


class CohortRobustness(Record):
    """The manual ROI changed, of some cases of one cohort."""

    cases: tuple[str, ...]
    changes: tuple[Change, ...]
    scores: tuple[PerturbedScore, ...]
    left_out: dict[str, str]


class RoiBenchmark(Record):
    """benchmark_rois.json."""

    format: Literal["autodls-benchmark-rois/1"] = "autodls-benchmark-rois/1"
    version: str
    masks_key: str = Field(description="of the automatic ROIs of the training cohort")
    models: dict[RoiKind, str] = Field(description="SHA-256 of the model.json of either kind")
    margin: float = Field(description="AUC that automatic ROIs may cost, as the plan declared it")
    agreement: dict[str, CohortAgreement]
    effect: dict[str, CohortEffect] | None
    robustness: dict[str, CohortRobustness] | None
    reasons: dict[str, str] = Field(description="why effect or robustness is null, by name")
    published: tuple[Published, ...] = PUBLISHED

    @model_validator(mode="after")
    def _explained(self) -> "RoiBenchmark":
        missing = {name for name, value in self if value is None}
        if missing != self.reasons.keys():
            raise ValueError(f"reasons for {sorted(self.reasons)}, but null is {sorted(missing)}")
        return self
