"""results/learning_curve.json: how the AUC of a candidate grows with patients, and what more of them may bring."""

from typing import Literal

from pydantic import Field

from autodls.evaluation.results import Estimate
from autodls.records.base import Record


class MeasuredPoint(Record):
    """Mean AUC on the test folds of fits on about `n` cases."""

    n: int
    auc: float
    low: float = Field(description="of the scatter of subsets alone, 95 %")
    high: float


class ExpectedAuc(Record):
    """The AUC that fits on `n` cases may have on average."""

    factor: float = Field(description="how many times the patients of this training cohort")
    n: int = Field(description="cases that a fold would learn from")
    auc: Estimate


class NoiseCeiling(Record):
    """What labels let an AUC reach, were the score perfect, by how well two readers agree on them."""

    kappa: float
    source: str = Field(description="where the agreement is published")
    auc: float
    passed: bool = Field(description="whether the AUC on all cases is above it, so that the agreement is not of these")


class PlannedPrecision(Record):
    """New cases, nothing fitted to them, whose AUC has a 95 % interval of at most plus or minus `half_width`."""

    half_width: float
    auc: float
    cases: int


class PatientsBenchmark(Record):
    """results/learning_curve.json."""

    format: Literal["autodls-learning-curve/1"] = "autodls-learning-curve/1"
    candidate: str
    n: int = Field(description="cases of the training cohort")
    positives: int
    patients: int
    repeats: int
    points: tuple[MeasuredPoint, ...]
    error: float = Field(description="standard error that all points share, as they are judged on the same cases")
    expected: tuple[ExpectedAuc, ...]
    ceiling: NoiseCeiling | None
    precision: PlannedPrecision | None = Field(description="None where the AUC is no better than chance")
    sentence: str
    notes: tuple[str, ...]
    made_from: dict[str, str] = Field(default={}, description="SHA-256 of plan.json, splits.json and what was scored")
