"""Net benefit: what calling patients at a threshold is worth, in true positives.

Source: Vickers, Elkin. Decision curve analysis: a novel method for evaluating prediction models. Med Decis Making
2006;26:565-574.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.binary import not_probabilities
from autodls.evaluation.delong import Patients, checked_pair
from autodls.evaluation.results import NetBenefit

THRESHOLDS: Floats = np.arange(1, 100) / 100


FEWEST_CALLED = 10  # patients: of fewer that are called, or not, resamples do not show how the others would fare
FEWEST_MISSED = 5  # positives that are not called: they weigh most in the difference to treating all, and are few


@dataclass(frozen=True)
class NetBenefitBand:
    """95 % percentile limits of the net benefit at each of THRESHOLDS, all (99,); NaN where there are none.

    `low` and `high` are of the model, NaN where fewer than ten patients are called; `less_all` is the model less
    treating all, with limits that are NaN where fewer than ten are not called, or fewer than five positives. Each limit
    is for its threshold alone.
    """

    low: Floats
    high: Floats
    less_all: Floats
    less_all_low: Floats
    less_all_high: Floats


def net_benefit(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NetBenefit, ...] | None:
    """TP/n - FP/n * t/(1-t) at the thresholds t 0.01..0.99, beside treating all and none.

    None for scores outside 0..1: a threshold probability means nothing for them. Scores that are not calibrated give
    a curve that misleads; see `calibration`.

    >>> [point] = [point for point in net_benefit([0, 1], [0.3, 0.6]) if point.threshold == 0.5]
    >>> point.model, point.all
    (0.5, 0.0)
    """
    positive, values = checked_pair(labels, probabilities)
    if not_probabilities(values):
        return None
    curve = _curve(positive.astype(np.float64), values, np.ones((1, len(values))))[0]
    prevalence = positive.mean()
    treat_all = prevalence - (1 - prevalence) * _odds()
    return tuple(
        NetBenefit(threshold=float(threshold), model=float(model), all=float(all_))
        for threshold, model, all_ in zip(THRESHOLDS, curve, treat_all, strict=True)
    )


def net_benefit_at(labels: ArrayLike, probabilities: ArrayLike, threshold: float, counts: Floats) -> Floats:
    """The net benefit at one `threshold` in every resample of `counts` (resamples, n); see `net_benefit`.

    >>> float(net_benefit_at([0, 1], [0.3, 0.6], 0.5, np.ones((1, 2)))[0])
    0.5
    """
    positive, values = checked_pair(labels, probabilities)
    return _curve(positive.astype(np.float64), values, counts, np.array([threshold]))[:, 0]


def net_benefit_band(
    labels: ArrayLike, probabilities: ArrayLike, counts: Floats, patients: Patients = None
) -> NetBenefitBand | None:
    """Bootstrap limits of the model's net benefit from `counts` (resamples, n) of `bootstrap.resample_counts`.

    `patients` (n,) are those of the counts.
    """
    positive, values = checked_pair(labels, probabilities)
    if not_probabilities(values):
        return None
    truth = positive.astype(np.float64)
    names = np.arange(len(values)) if patients is None else np.asarray(patients)
    above = values[:, None] >= THRESHOLDS
    called = _patients(names, above) >= FEWEST_CALLED
    spared = (_patients(names, ~above) >= FEWEST_CALLED) & (
        _patients(names, ~above & positive[:, None]) >= FEWEST_MISSED
    )
    model = _curve(truth, values, counts)
    less_all = model - _curve(truth, np.ones(len(values)), counts)
    low, high = np.where(called, np.quantile(model, [0.025, 0.975], axis=0), np.nan)
    less_low, less_high = np.where(spared, np.quantile(less_all, [0.025, 0.975], axis=0), np.nan)
    once = np.ones((1, len(values)))
    apart = (_curve(truth, values, once) - _curve(truth, np.ones(len(values)), once))[0]
    return NetBenefitBand(low, high, apart, less_low, less_high)


def _patients(names: NDArray[np.generic], rows: Bools) -> Floats:
    """How many patients have one of `rows` (n, thresholds), (thresholds,)."""
    return np.array([len(np.unique(names[held])) for held in rows.T], dtype=np.float64)


def _curve(positive: Floats, values: Floats, counts: Floats, thresholds: Floats = THRESHOLDS) -> Floats:
    called = (values[:, None] >= thresholds[None]).astype(np.float64)
    gain = positive[:, None] * called - (1 - positive)[:, None] * called * (thresholds / (1 - thresholds))
    return np.asarray(counts @ gain / counts.sum(axis=1, keepdims=True))


def _odds() -> Floats:
    return np.asarray(THRESHOLDS / (1 - THRESHOLDS))
