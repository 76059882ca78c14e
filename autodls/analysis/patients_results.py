"""results/learning_curve.json: how the AUC of a candidate grows with patients, and what more of them may bring."""

from typing import Literal

from pydantic import Field

from autodls.evaluation.results import Estimate
from autodls.records.base import Record


class MeasuredPoint(Record):
    """Mean AUC on the test folds of fits on about `n` cases."""

    n: int = Field(description="cases that were learned from")
    auc: float = Field(description="mean over test folds and subsets")
    low: float = Field(description="of the scatter of subsets alone, 95 %")
    high: float = Field(description="upper limit of the same")


class ExpectedAuc(Record):
    """The AUC that fits on `n` cases may have on average."""

    factor: float = Field(description="how many times the patients of this training cohort")
    n: int = Field(description="cases that a fold would learn from")
    auc: Estimate = Field(description="with its band")


class NoiseCeiling(Record):
    """What labels let an AUC reach, were the score perfect, by how well two readers agree on them."""

    kappa: float = Field(description="agreement of two readers on the cut of the target")
    source: str = Field(description="where the agreement is published")
    auc: float = Field(description="that no score passes")
    passed: bool = Field(description="whether the AUC on all cases is above it, so that the agreement is not of these")


class PlannedPrecision(Record):
    """New cases, nothing fitted to them, whose AUC has a 95 % interval of at most plus or minus `half_width`."""

    half_width: float = Field(description="of the 95 % interval")
    auc: float = Field(description="that is supposed")
    cases: int = Field(description="how many it takes")


class PatientsBenchmark(Record):
    """results/learning_curve.json."""

    format: Literal["autodls-learning-curve/1"] = "autodls-learning-curve/1"
    candidate: str = Field(description="what was fitted again")
    n: int = Field(description="cases of the training cohort")
    positives: int = Field(description="positive cases among them")
    patients: int = Field(description="of the training cohort")
    repeats: int = Field(description="how often subsets were drawn")
    points: tuple[MeasuredPoint, ...] = Field(description="what was measured")
    error: float = Field(description="standard error that all points share, as they are judged on the same cases")
    expected: tuple[ExpectedAuc, ...] = Field(description="what more patients may bring")
    ceiling: NoiseCeiling | None = Field(description="of the labels, where their agreement was given")
    precision: PlannedPrecision | None = Field(description="None where the AUC is no better than chance")
    sentence: str = Field(description="the same in words")
    notes: tuple[str, ...] = Field(description="what a reader should know")
    made_from: dict[str, str] = Field(default={}, description="SHA-256 of plan.json, splits.json and what was scored")
