"""Areas under the ROC curve with DeLong's variance, in O(n log n).

A *placement* is the share of the other class that a case beats, ties counting one half. The AUC is the mean placement
of the positives, and DeLong's covariance is that of the placements of both classes [1]_. Midranks give all placements
from one sort [2]_. Where `patients` names the patient of each row and some have several, the covariance is
Obuchowski's, which takes patients for independent, not rows (`clusters`).

References
----------
.. [1] DeLong, DeLong, Clarke-Pearson. Comparing the areas under two or more correlated receiver operating
       characteristic curves. Biometrics 1988;44:837-845.
.. [2] Sun, Xu. Fast implementation of DeLong's algorithm. IEEE Signal Process Lett 2014;21:1389-1393.
.. [3] Pepe. The Statistical Evaluation of Medical Tests for Classification and Prediction. Oxford 2003, 5.2.5.
.. [4] Holm. A simple sequentially rejective multiple test procedure. Scand J Stat 1979;6:65-70.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, expit, logit, ndtr, ndtri

from autodls.errors import ArgumentError
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.clusters import clustered_covariance, few_of_a_class, is_clustered, patients_of_class
from autodls.evaluation.shared_folds import FEWEST_FOR_TESTS, OUT_OF_FOLD_VARIANCE

Patients = Sequence[str] | None

_ROUND_OFF = 1e-14  # placements are ratios of counts, so a variance below this is a zero that was rounded


@dataclass(frozen=True)
class AucEstimate:
    """An AUC with its 95 % interval on the logit scale [3]_ and, beside it, the plain one.

    `value` is None with one class only; `variance` and the intervals are None with fewer than two positives or two
    negatives; `low` and `high` are None where the AUC is 0 or 1, which has no logit. `reason` says so in words. Of
    out-of-fold scores (`delong-logit-cv`) they are of the doubled variance (`shared_folds`), not so the plain interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    plain_low: float | None = None
    plain_high: float | None = None
    variance: float | None = None
    reason: str | None = None
    method: Literal["delong-logit", "delong-logit-cv"] = "delong-logit"


@dataclass(frozen=True)
class AucComparison:
    """Two-sided DeLong test of the first AUC minus the second; None with a reason where there is no test."""

    delta: float | None
    low: float | None = None
    high: float | None = None
    z: float | None = None
    p: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class GlobalTest:
    """Wald test that all AUCs are equal; `df` is the rank of the covariance of their differences."""

    chi2: float | None
    df: int | None = None
    p: float | None = None
    reason: str | None = None


def auc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Probability that a positive scores higher than a negative, ties counting one half; None with one class.

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    positive, values = checked_pair(labels, scores)
    if positive.all() or not positive.any():
        return None
    return float(placements(positive, values)[positive].mean())


def auc_with_ci(
    labels: ArrayLike,
    scores: ArrayLike,
    level: float = 0.95,
    patients: Patients = None,
    *,
    out_of_fold: bool = False,
) -> AucEstimate:
    """AUC of `scores` (n,) for `labels` (n,), true or 1 where positive, with DeLong's interval.

    `patients` (n,) names the patient of each row; `out_of_fold` says that a cross-validation made the scores. A score
    is never flipped: an AUC below one half stays there. Raises ArgumentError for scores that are missing.

    >>> estimate = auc_with_ci([0, 0, 0, 1, 1, 1], [0.1, 0.4, 0.6, 0.35, 0.8, 0.9])
    >>> [round(number, 3) for number in (estimate.value, estimate.low, estimate.high)]
    [0.778, 0.173, 0.983]
    """
    positive, values = checked_pair(labels, scores)
    method: Literal["delong-logit", "delong-logit-cv"] = "delong-logit-cv" if out_of_fold else "delong-logit"
    if reason := _no_auc(positive):
        return AucEstimate(None, reason=reason, method=method)
    placed = placements(positive, values)
    value = float(placed[positive].mean())
    if reason := _no_variance(positive, patients):
        return AucEstimate(value, reason=reason, method=method)
    variance = _variance(positive, placed, patients)
    half = float(_quantile(level) * np.sqrt(variance))
    low, high = logit_interval(value, variance * _ratio(out_of_fold), level)
    reason = _degenerate(value, variance)
    return AucEstimate(value, low, high, max(value - half, 0.0), min(value + half, 1.0), variance, reason, method)


def logit_interval(value: float, variance: float, level: float = 0.95) -> tuple[float | None, float | None]:
    """Interval of a proportion-like `value` by the delta method on the logit scale; None for 0 and 1.

    >>> low, high = logit_interval(0.9, 0.001)
    >>> round(low, 4), round(high, 4)
    (0.8188, 0.9471)
    """
    if not 0 < value < 1:
        return None, None
    half = _quantile(level) * np.sqrt(variance) / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def delong(labels: ArrayLike, scores: ArrayLike, patients: Patients = None) -> tuple[Floats, Floats]:
    """AUCs (k,) and their covariance (k, k) for the scores (k, n) of k models on the same n cases.

    Raises ArgumentError with fewer than two cases (patients, where `patients` names them) of a class.
    """
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    positive, _ = checked_pair(labels, table[0])
    if reason := _no_auc(positive) or _no_variance(positive, patients):
        raise ArgumentError(f"DeLong covariance of {len(table)} models: {reason}; two cases of each class are needed")
    placed = np.stack([placements(positive, checked_pair(labels, row)[1]) for row in table])
    return placed[:, positive].mean(axis=1), _covariance(positive, placed, patients)


def compare_aucs(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    level: float = 0.95,
    patients: Patients = None,
    *,
    out_of_fold: bool = False,
    fewest: int = 0,
) -> AucComparison:
    """Paired DeLong test of two models on the same cases; the limits of the difference stay within -1 and 1.

    Models that rank alike have a difference of zero without variance: z = 0, p = 1. A difference other than zero
    without variance (a perfect against a constant score) has no test, nor have scores with less than `fewest` patients
    of a class: of 2 to 7 positives beside 20 to 100 negatives, equal AUCs of 0.6 have P < .05 in 8 to 15 % (simulated
    by `benchmarks/intervals.py`; of 10 beside 50 in 7 %), so what is printed asks for `FEWEST_FOR_TESTS`.
    `out_of_fold` scores always need as many, and are tested by the doubled variance.
    """
    positive, values = checked_pair(labels, first)
    _, others = checked_pair(labels, second)
    if reason := _no_auc(positive):
        return AucComparison(None, reason=reason)
    difference = placements(positive, values) - placements(positive, others)
    delta = float(difference[positive].mean())
    if reason := _no_variance(positive, patients):
        return AucComparison(delta, reason=reason)
    variance = _variance(positive, difference, patients)
    if variance < _ROUND_OFF:
        return _without_variance(delta)
    needed = max(fewest, FEWEST_FOR_TESTS if out_of_fold else 0)
    if few := few_of_a_class(positive, patients, needed):
        return AucComparison(delta, reason=f"{few}, fewer than the {needed} that a test of two AUCs needs")
    error = float(np.sqrt(variance * _ratio(out_of_fold)))
    half = _quantile(level) * error
    low, high = max(delta - half, -1.0), min(delta + half, 1.0)
    return AucComparison(delta, low, high, delta / error, float(2 * ndtr(-abs(delta) / error)))


def _without_variance(delta: float) -> AucComparison:
    if abs(delta) < _ROUND_OFF:
        return AucComparison(0.0, 0.0, 0.0, 0.0, 1.0)
    return AucComparison(delta, reason="the difference has zero variance, so there is no test")


def global_test(aucs: Floats, covariance: Floats) -> GlobalTest:
    """DeLong's chi-square test that k AUCs (k,) with `covariance` (k, k) are all equal.

    Models that duplicate others take no degree of freedom. No variance at all and equal AUCs: chi2 = 0, p = 1.
    """
    contrast = np.eye(len(aucs))[:-1] - np.eye(len(aucs))[1:]
    differences = contrast @ aucs
    spread = contrast @ covariance @ contrast.T
    rank = int(np.linalg.matrix_rank(spread, tol=1e-12, hermitian=True)) if len(aucs) > 1 else 0
    inverse = np.linalg.pinv(spread, rcond=1e-10, hermitian=True) if rank else np.zeros_like(spread)
    if np.abs(differences - spread @ inverse @ differences).max(initial=0) > 1e-9:
        return GlobalTest(None, reason="a difference between AUCs has zero variance, so there is no test")
    statistic = float(differences @ inverse @ differences)
    return GlobalTest(statistic, rank, float(chdtrc(rank, statistic)) if rank else 1.0)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p values [4]_; comparisons without a test are not counted and stay None.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for position, (p, index) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - position) * p))
        adjusted[index] = largest
    return adjusted


def placements(positive: Bools, scores: Floats) -> Floats:
    """For each positive the share of negatives below it, for each negative that of positives above it, (n,)."""
    order = np.argsort(scores)
    ranked, is_positive = scores[order], positive[order]
    starts = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
    ends = np.append(starts[1:], len(ranked))
    positives_until = np.concatenate(([0], np.cumsum(is_positive)))
    positives_below = (positives_until[starts] + positives_until[ends]) / 2
    negatives_below = (starts + ends) / 2 - positives_below
    total = int(positives_until[-1])
    shares = (negatives_below / (len(ranked) - total), 1 - positives_below / total)
    placed = np.empty(len(ranked))
    placed[order] = np.where(is_positive, *(np.repeat(share, ends - starts) for share in shares))
    return placed


def checked_pair(labels: ArrayLike, scores: ArrayLike) -> tuple[Bools, Floats]:
    """Labels as booleans and scores as floats, both (n,); raises ArgumentError for anything else."""
    values = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(labels)
    if truth.ndim != 1 or values.shape != truth.shape:
        raise ArgumentError(f"labels of shape {truth.shape} and scores of shape {values.shape}: both must be (n,)")
    if truth.dtype != np.bool_ and (
        strange := {str(label) for label in np.unique(truth)} - {"0", "1", "0.0", "1.0", "False", "True"}
    ):
        raise ArgumentError(f"labels must be 0 or 1, got {min(strange)}; code the positive class as 1")
    if missing := int(np.isnan(values).sum()):
        raise ArgumentError(f"{missing} of {len(values)} scores are missing; exclude those cases first")
    return truth.astype(bool), values


def _ratio(out_of_fold: bool) -> float:
    return OUT_OF_FOLD_VARIANCE if out_of_fold else 1.0


def _quantile(level: float) -> float:
    return float(ndtri(0.5 + level / 2))


def _variance(positive: Bools, placed: Floats, patients: Patients) -> float:
    return float(_covariance(positive, placed[None], patients)[0, 0])


def _covariance(positive: Bools, placed: Floats, patients: Patients) -> Floats:
    if patients is not None and is_clustered(patients):
        return clustered_covariance(positive, placed, patients)
    parts = (placed[:, positive], placed[:, ~positive])
    return np.asarray(sum(np.atleast_2d(np.cov(part)) / part.shape[1] for part in parts), dtype=np.float64)


def _no_auc(positive: Bools) -> str | None:
    if len(positive) == 0:
        return "there are no cases"
    if positive.all() or not positive.any():
        side = "positive" if positive[0] else "negative"
        return f"all {len(positive)} cases are {side}" if len(positive) > 1 else f"the only case is {side}"
    return None


def _no_variance(positive: Bools, patients: Patients) -> str | None:
    one = "patient has a row that" if is_clustered(patients) else "case"
    for name, count in patients_of_class(positive, patients).items():
        if count < 2:
            return f"only {count} {one} is {name}, so the AUC has no variance estimate"
    return None


def _degenerate(value: float, variance: float) -> str | None:
    if value in (0.0, 1.0):
        return f"the classes are fully separated (AUC {value:g}), so the logit interval is undefined"
    return "the score is constant, so the interval has no width" if variance == 0 else None
