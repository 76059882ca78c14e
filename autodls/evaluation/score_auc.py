"""The AUC of a score in a cohort as a record, and words that several results share."""

from autodls.evaluation.results import AucMethod
from autodls.records.base import Record

OUT_OF_FOLD = "train (out of fold)"


class ScoreAuc(Record):
    """AUC of one row in one cohort, with its 95 % interval (as in `Auc`)."""

    cohort: str
    row: str
    n: int
    positives: int
    value: float | None
    low: float | None
    high: float | None
    reason: str | None
    method: AucMethod = "delong-logit"

    @property
    def text(self) -> str:
        """Such as "0.86 (0.78-0.92)".

        >>> ScoreAuc(cohort="a", row="dls", n=9, positives=4, value=.9, low=.6, high=.98, reason=None).text
        '0.900 (0.600-0.980)'
        """
        if self.value is None:
            return f"not available: {self.reason}"
        if self.low is None or self.high is None:
            return f"{self.value:.3f} (no interval: {self.reason})"
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"


CHOSEN_HERE = "cut-off chosen on labels of these patients"


FOLDS_SHARE = "scored out of fold, by labels that are made from this follow-up"
