"""Does a probability of 0.3 come true three times in ten?

References
----------
.. [1] Cox. Two further applications of a model for binary regression. Biometrika 1958;45:562-565.
.. [2] Van Calster et al. Calibration: the Achilles heel of predictive analytics. BMC Med 2019;17:230.
.. [3] Austin, Steyerberg. Graphical assessment of internal and external calibration of logistic regression models by
       using loess smoothers. Stat Med 2014;33:517-535 (span 0.75, without robustness iterations).
.. [4] Liang, Zeger. Longitudinal data analysis using generalized linear models. Biometrika 1986;73:13-22.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from statsmodels.nonparametric.smoothers_lowess import lowess

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.binary import not_probabilities
from autodls.evaluation.clusters import is_clustered
from autodls.evaluation.delong import Patients, checked_pair
from autodls.evaluation.intervals import printed_rate
from autodls.evaluation.logistic import fit_logistic, intercept_at_slope_one
from autodls.evaluation.results import Calibration, Estimate

_NO_MAXIMUM = "the logistic regression of the label on the score does not converge"
_Z = 1.959963984540054
_SINGULAR = 1e14
_POOR_SLOPES = (0.5, 2.0)
_LEAST_CASES = 20  # for a smooth curve
_SPAN, _GRID, _REACHED = 0.75, 51, 0.95


@dataclass(frozen=True)
class SmoothCalibration:
    """Smoothed share of positives at predicted probabilities, with 95 % limits, each (points,); NaN where unknown."""

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class CalibrationGroup:
    """Cases of similar probability: their mean probability and the share that turned out positive."""

    n: int
    mean_probability: float
    observed: Estimate


def calibration(labels: ArrayLike, probabilities: ArrayLike, patients: Patients = None) -> Calibration:
    """Slope and intercept of the logistic regression of the label on the logit [1]_, and the intercept at slope 1 [2]_.

    Perfect calibration has slope 1 and both intercepts 0. Every value is None for scores outside 0..1 or exactly 0 or
    1 (their logit is infinite, and clipping would invent one) and with one class; slope and intercept are None for a
    constant score, for separated classes, and where the fit does not converge. Limits are Wald's, 95 %; where
    `patients` (n,) names several rows of a patient, by the sandwich variance over patients [4]_. So are those of the
    intercept at slope 1 always: its model variance takes the slope for right, and where probabilities are two or three
    times too extreme its limits hold in 88 or 81 %, however many the cases (the sandwich's in 94 to 96 %, simulated).
    """
    positive, values = checked_pair(labels, probabilities)
    if reason := _no_calibration(positive, values):
        return Calibration(reason=reason)
    logits = logit(values)
    ones = np.ones((len(logits), 1))
    large = intercept_at_slope_one(positive, logits)
    each = range(len(positive)) if patients is None else patients
    low, high = _wald(large, _half_width(positive, ones, expit(large + logits), each))
    in_large = Calibration(intercept_large=large, intercept_large_low=low, intercept_large_high=high)
    if reason := _no_slope(positive, logits):
        return in_large.model_copy(update={"reason": reason})
    design = np.column_stack([ones, logits])
    fitted = fit_logistic(positive, design)
    if fitted is None:
        return in_large.model_copy(update={"reason": _NO_MAXIMUM})
    intercept, slope = float(fitted[0]), float(fitted[1])
    clusters = patients if is_clustered(patients) else None
    low, high = _wald(slope, _half_width(positive, design, expit(intercept + slope * logits), clusters))
    of_slope = {"slope": slope, "slope_low": low, "slope_high": high, "intercept": intercept}
    return in_large.model_copy(update=of_slope)


def is_poorly_calibrated(found: Calibration) -> bool:
    """Whether the slope is below a half or above 2, and its interval does not hold 1.

    The slope of exact probabilities is itself that far from 1 in 10 to 45 % of cohorts of 24 (simulated).
    """
    if found.slope is None or found.slope_low is None or found.slope_high is None:
        return False
    lowest, highest = _POOR_SLOPES
    return not lowest <= found.slope <= highest and not found.slope_low <= 1 <= found.slope_high


def why_not_shown_calibrated(found: Calibration) -> str | None:
    """Why a threshold of these probabilities may mean something else; None where the cohort shows what they are worth.

    That is a slope whose interval holds 1 and lies within a half and 2, and an intercept in the large whose interval
    holds 0.
    """
    if found.slope is None or found.slope_low is None or found.slope_high is None:
        return f"calibration is not known: {found.reason}"
    slope = f"slope {found.slope:.2f}, {found.slope_low:.2f} to {found.slope_high:.2f}"
    if not found.slope_low <= 1 <= found.slope_high:
        return f"the score is not calibrated ({slope})"
    low, large, high = found.intercept_large_low, found.intercept_large, found.intercept_large_high
    if low is not None and high is not None and not low <= 0 <= high:
        return f"the score is not calibrated (in the large {large:.2f}, {low:.2f} to {high:.2f})"
    if found.slope_low < _POOR_SLOPES[0] or found.slope_high > _POOR_SLOPES[1]:
        return f"the score is not shown to be calibrated ({slope})"
    return None


def calibration_curve(
    labels: ArrayLike, probabilities: ArrayLike, groups: int = 10, patients: Patients = None
) -> list[CalibrationGroup]:
    """Observed against predicted share in groups of about equal size, lowest first; equal scores stay together.

    Where `patients` names several rows of a patient, the intervals are over patients (`printed_rate`).
    """
    positive, values = checked_pair(labels, probabilities)
    if not len(values):
        return []
    inner = np.quantile(values, np.linspace(0, 1, groups + 1)[1:-1])
    member = np.searchsorted(inner, values, side="left")
    return [
        CalibrationGroup(
            n=int((member == index).sum()),
            mean_probability=float(values[member == index].mean()),
            observed=printed_rate(positive, member == index, patients),
        )
        for index in np.unique(member)
    ]


def smooth_calibration(labels: ArrayLike, probabilities: ArrayLike, counts: Floats) -> SmoothCalibration | None:
    """Observed against predicted probability by local regression [3]_, between the lowest and the highest prediction.

    `counts` (resamples, n) of `bootstrap.resample_counts` draw the band. None with fewer than twenty cases, with one
    class, and where too few predictions differ.
    """
    positive, values = checked_pair(labels, probabilities)
    if len(values) < _LEAST_CASES or positive.all() or not positive.any() or len(np.unique(values)) < _LEAST_CASES // 2:
        return None
    grid = np.linspace(values.min(), values.max(), _GRID)
    curves = [_smooth(positive, values, grid, one.astype(int)) for one in counts]
    low, high = _limits(np.array(curves))
    return SmoothCalibration(grid, _smooth(positive, values, grid, np.ones(len(values), dtype=int)), low, high)


def _smooth(positive: Bools, values: Floats, grid: Floats, times: NDArray[np.int64]) -> Floats:
    y, x = np.repeat(positive.astype(np.float64), times), np.repeat(values, times)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where a resample holds too few different values nearby, there is no number
        return np.asarray(np.clip(lowess(y, x, frac=_SPAN, it=0, xvals=grid), 0, 1))


def _limits(curves: Floats) -> tuple[Floats, Floats]:
    """95 % percentile limits at every point that nineteen of twenty resamples reach, NaN elsewhere."""
    reached = np.isfinite(curves).mean(axis=0) >= _REACHED
    limits = np.full((2, curves.shape[1]), np.nan)
    limits[:, reached] = np.nanquantile(curves[:, reached], [0.025, 0.975], axis=0)
    return limits[0], limits[1]


def _wald(value: float, half: float | None) -> tuple[float | None, float | None]:
    return (None, None) if half is None else (value - half, value + half)


def _half_width(
    positive: Bools, design: Floats, fitted: Floats, clusters: Sequence[str] | Sequence[int] | None
) -> float | None:
    """Half the 95 % interval of the last coefficient of a logistic regression with `fitted` probabilities (n,).

    By the sandwich variance over `clusters` (n,), by that of the model where there are none.
    None where all of them are 0 or 1 to the last digit, which leaves no information.
    """
    information = (design * (fitted * (1 - fitted))[:, None]).T @ design
    if not np.linalg.cond(information) < _SINGULAR:
        return None
    inverse = np.linalg.inv(information)
    if clusters is not None:
        unique, member = np.unique(np.asarray(clusters), return_inverse=True)
        scores = np.zeros((len(unique), design.shape[1]))
        np.add.at(scores, member, design * (positive - fitted)[:, None])
        inverse = inverse @ (scores.T @ scores) @ inverse * len(unique) / (len(unique) - 1)
    return float(_Z * np.sqrt(inverse[-1, -1]))


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
