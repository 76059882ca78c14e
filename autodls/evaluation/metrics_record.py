"""metrics.json: what is said of each cohort."""

from typing import Literal

from pydantic import Field

from autodls.evaluation.results import ChiSquare, Comparison, Excluded, FoldMetrics, Landmark, ScoreMetrics, Survival
from autodls.records.base import Record


class PatternAuc(Record):
    """The cases of a cohort that have exactly `sequences`, by their fused score; `method` as of every AUC."""

    sequences: tuple[str, ...] = Field(description="what these cases have")
    n: int = Field(description="cases")
    positives: int = Field(description="positive cases among them")
    value: float | None = Field(default=None, description="the AUC")
    low: float | None = Field(default=None, description="lower limit of its 95 % interval")
    high: float | None = Field(default=None, description="upper limit")
    method: str | None = Field(default=None, description="of the interval")
    reason: str | None = Field(default=None, description="why there is none")


class CohortMetrics(Record):
    """Everything about one cohort: `n` rows that have a label (where there are labels) and a score."""

    n: int = Field(description="cases with a label, where there are labels, and a score")
    patients: int | None = Field(default=None, description="patients of the n rows, where they are named")
    contradicting: dict[str, str] = Field(
        default={}, description="patients left out of survival and landmark, as their rows contradict each other, how"
    )
    positives: int | None = Field(description="positive cases among them; null without labels")
    prevalence: float | None = Field(description="share of positives")
    excluded: tuple[Excluded, ...] = Field(description="rows that were left out, and why")
    scores: dict[str, ScoreMetrics] = Field(description="by name of the score")
    comparisons: tuple[Comparison, ...] = Field(description="pairs of scores")
    global_test: ChiSquare = Field(description="whether any of the AUCs differ")
    survival: Survival | None = Field(description="null without follow-up")
    landmark: Landmark | None = Field(description="null without a landmark or follow-up")
    folds: tuple[FoldMetrics, ...] = Field(default=(), description="of the out-of-fold cohort: its folds on their own")
    patterns: tuple[PatternAuc, ...] = Field(default=(), description="by the sequences that cases have, if they differ")


class Metrics(Record):
    """metrics.json."""

    format: Literal["autodls-metrics/1"] = Field(default="autodls-metrics/1", description="of this file")
    reference: str = Field(description="the first score: reference in comparisons and in survival")
    cohorts: dict[str, CohortMetrics] = Field(description="by name, in the order of the table")
    warnings: tuple[str, ...] = Field(description="what a reader should know")
