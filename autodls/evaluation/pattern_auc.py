"""The AUC of the cases that have the same sequences, as metrics.json holds it."""

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
