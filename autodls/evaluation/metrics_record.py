"""metrics.json: what is said of each cohort."""

from typing import Literal

from pydantic import Field

from autodls.evaluation.results import ChiSquare, Comparison, Excluded, FoldMetrics, Landmark, ScoreMetrics, Survival
from autodls.records.base import Record


class PatternAuc(Record):
    """The cases of a cohort that have exactly `sequences`, by their fused score; `method` as of every AUC."""

    sequences: tuple[str, ...]
    n: int
    positives: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    method: str | None = None
    reason: str | None = None


class CohortMetrics(Record):
    """Everything about one cohort: `n` rows that have a label (where there are labels) and a score."""

    n: int
    patients: int | None = Field(default=None, description="patients of the n rows, where they are named")
    contradicting: dict[str, str] = Field(
        default={}, description="patients left out of survival and landmark, as their rows contradict each other, how"
    )
    positives: int | None
    prevalence: float | None
    excluded: tuple[Excluded, ...]
    scores: dict[str, ScoreMetrics]
    comparisons: tuple[Comparison, ...]
    global_test: ChiSquare
    survival: Survival | None
    landmark: Landmark | None
    folds: tuple[FoldMetrics, ...] = Field(default=(), description="of the out-of-fold cohort: its folds on their own")
    patterns: tuple[PatternAuc, ...] = Field(default=(), description="by the sequences that cases have, if they differ")


class Metrics(Record):
    """metrics.json."""

    format: Literal["autodls-metrics/1"] = "autodls-metrics/1"
    reference: str = Field(description="the first score: reference in comparisons and in survival")
    cohorts: dict[str, CohortMetrics]
    warnings: tuple[str, ...]
