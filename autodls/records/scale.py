"""The logistic map from a raw logit to calibrated log-odds."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from autodls.records.base import Record

Vector = NDArray[np.float64]


class LogisticScale(Record):
    """log-odds = slope * logit + intercept; the slope is positive, so ranks and the AUC stay as they are.

    >>> LogisticScale(slope=2.0, intercept=-1.0).probability(np.array([0.5])).tolist()
    [0.5]
    """

    slope: float = Field(gt=0, description="factor of the log-odds")
    intercept: float = Field(description="added to them")

    def followed_by(self, other: "LogisticScale") -> "LogisticScale":
        """This map, and then `other`.

        >>> LogisticScale(slope=2.0, intercept=1.0).followed_by(LogisticScale(slope=3.0, intercept=-1.0))
        LogisticScale(slope=6.0, intercept=2.0)
        """
        return LogisticScale(slope=other.slope * self.slope, intercept=other.slope * self.intercept + other.intercept)

    def log_odds(self, logits: Vector) -> Vector:
        """Calibrated log-odds [case] of raw logits [case]."""
        return self.slope * np.asarray(logits, float) + self.intercept

    def probability(self, logits: Vector) -> Vector:
        """Calibrated probability [case] of raw logits [case]."""
        return sigmoid(self.log_odds(logits))


def sigmoid(logits: Vector) -> Vector:
    """1 / (1 + exp(-logit)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, float)))
