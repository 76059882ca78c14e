"""Does a probability of 0.3 come true three times in ten?

References
----------
.. [1] Cox. Two further applications of a model for binary regression. Biometrika 1958;45:562-565.
.. [2] Van Calster et al. Calibration: the Achilles heel of predictive analytics. BMC Med 2019;17:230.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit

from autodls.evaluation.binary import not_probabilities, wilson
from autodls.evaluation.delong import Bools, Floats, checked_pair
from autodls.evaluation.logistic import fit_logistic, intercept_at_slope_one
from autodls.evaluation.results import Calibration, Proportion

_NO_MAXIMUM = "the logistic regression of the label on the score does not converge"


@dataclass(frozen=True)
class CalibrationGroup:
    """Cases of similar probability: their mean probability and the share that turned out positive."""

    n: int
    mean_probability: float
    observed: Proportion


def calibration(labels: ArrayLike, probabilities: ArrayLike) -> Calibration:
    """Slope and intercept of the logistic regression of the label on the logit [1]_, and the intercept at slope 1 [2]_.

    Perfect calibration has slope 1 and both intercepts 0. Every value is None for scores outside 0..1 or exactly 0 or
    1 (their logit is infinite, and clipping would invent one) and with one class; slope and intercept are None for a
    constant score, for separated classes, and where the fit does not converge.
    """
    positive, values = checked_pair(labels, probabilities)
    if reason := _no_calibration(positive, values):
        return Calibration(reason=reason)
    logits = logit(values)
    large = intercept_at_slope_one(positive, logits)
    if reason := _no_slope(positive, logits):
        return Calibration(intercept_large=large, reason=reason)
    fitted = fit_logistic(positive, np.column_stack([np.ones(len(logits)), logits]))
    if fitted is None:
        return Calibration(intercept_large=large, reason=_NO_MAXIMUM)
    return Calibration(slope=float(fitted[1]), intercept=float(fitted[0]), intercept_large=large)


def calibration_curve(labels: ArrayLike, probabilities: ArrayLike, groups: int = 10) -> list[CalibrationGroup]:
    """Observed against predicted share in groups of about equal size, lowest first; equal scores stay together."""
    positive, values = checked_pair(labels, probabilities)
    if not len(values):
        return []
    inner = np.quantile(values, np.linspace(0, 1, groups + 1)[1:-1])
    member = np.searchsorted(inner, values, side="left")
    return [
        CalibrationGroup(
            n=int((member == index).sum()),
            mean_probability=float(values[member == index].mean()),
            observed=wilson(int(positive[member == index].sum()), int((member == index).sum())),
        )
        for index in np.unique(member)
    ]


def _no_calibration(positive: Bools, values: Floats) -> str | None:
    if reason := not_probabilities(values):
        return reason
    if extreme := int(((values == 0) | (values == 1)).sum()):
        return f"{extreme} scores are exactly 0 or 1, whose logit is infinite"
    if positive.all() or not positive.any():
        return f"all {len(positive)} cases are {'positive' if positive[0] else 'negative'}"
    return None


def _no_slope(positive: Bools, logits: Floats) -> str | None:
    if np.ptp(logits) == 0:
        return "the score is constant, so it has no slope"
    cases, controls = logits[positive], logits[~positive]
    if cases.min() >= controls.max() or cases.max() <= controls.min():
        return "the classes are fully separated, so the slope is infinite"
    return None
