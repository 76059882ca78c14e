"""Bootstrap over patients, without a loop over resamples.

A resample is a vector of counts: how often each case was drawn. With the negatives sorted by score, the weighted AUC of
all resamples comes from one cumulative sum. Every model sees the same resamples, so differences stay paired.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.clusters import patients_of_class
from autodls.evaluation.delong import auc, checked_pair
from autodls.evaluation.results import Estimate

RESAMPLES = 2000
FEWEST_OF_CLASS = 10  # patients; with fewer, percentile limits of an AUC are too near and often one point
_MOST_COUNTS = 1 << 22  # of one block of resamples: 32 MiB


def resample_counts(patients: Sequence[str] | int, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """How often each case is drawn, (resamples, n), when patients are drawn with replacement.

    `patients` names the patient of each case, so that all cases of a patient are drawn together; a number n means n
    cases of n patients.
    """
    names = range(patients) if isinstance(patients, int) else patients
    unique, member = np.unique(np.asarray(names), return_inverse=True)
    drawn = rng.integers(len(unique), size=(resamples, len(unique)))
    drawn += np.arange(resamples)[:, None] * len(unique)
    counts = np.bincount(drawn.ravel(), minlength=resamples * len(unique)).reshape(resamples, len(unique))
    return counts[:, member].astype(np.float64)


def bootstrap(
    statistic: Callable[[Floats], Floats],
    patients: Sequence[str] | int,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Floats:
    """The values (..., resamples) of `statistic`, which takes counts (some resamples, n) and gives (..., some).

    The resamples are drawn in blocks, so that a cohort of many rows fits in memory.
    """
    rows = patients if isinstance(patients, int) else len(patients)
    block = max(1, min(resamples, _MOST_COUNTS // max(rows, 1)))
    sizes = [min(block, resamples - start) for start in range(0, resamples, block)]
    return np.concatenate([statistic(resample_counts(patients, rng, size)) for size in sizes], axis=-1)


def bootstrap_aucs(labels: ArrayLike, scores: ArrayLike, counts: Floats) -> Floats:
    """AUCs (k, resamples) of k models with scores (k, n); NaN for a resample with one class only."""
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    return np.stack([_weighted_aucs(*checked_pair(labels, row), counts.T) for row in table])


def _weighted_aucs(positive: Bools, scores: Floats, weights: Floats) -> Floats:
    negatives = np.flatnonzero(~positive)[np.argsort(scores[~positive])]
    cumulative = np.zeros((len(negatives) + 1, weights.shape[1]))
    np.cumsum(weights[negatives], axis=0, out=cumulative[1:])
    below, not_above = (np.searchsorted(scores[negatives], scores[positive], side) for side in ("left", "right"))
    wins = np.einsum("pb,pb->b", weights[positive], cumulative[below] + cumulative[not_above]) / 2
    pairs = weights[positive].sum(axis=0) * cumulative[-1]
    return np.asarray(np.divide(wins, pairs, out=np.full_like(wins, np.nan), where=pairs > 0))


def percentile_interval(
    estimate: float | None, resampled: Floats, level: float = 0.95, lost_because: str = "hold one class only"
) -> Estimate:
    """`estimate` with the percentile limits of its finite resampled values (resamples,).

    No interval where more than one resample in twenty has no value: what is left would not represent the cohort. None
    either without width: the cohort does not show how its values differ, and a point would be no interval.
    """
    finite = resampled[np.isfinite(resampled)]
    if estimate is None or len(finite) < 0.95 * len(resampled):
        lost = len(resampled) - len(finite)
        return Estimate(value=estimate, reason=f"{lost} of {len(resampled)} resamples {lost_because}")
    low, high = np.quantile(finite, [0.5 - level / 2, 0.5 + level / 2])
    if low == high:
        return Estimate(value=estimate, reason=f"nearly every resample gives {low:.3g}, so the limits have no width")
    return Estimate(value=estimate, low=float(low), high=float(high))


def bootstrap_auc_interval(
    labels: Bools, scores: Floats, patients: Sequence[str] | None, rng: np.random.Generator
) -> Estimate:
    """The AUC of `scores` (n,) with percentile limits over `patients` (n,), None where each row is one.

    None at an AUC of 0 or 1, which every resample shares, and with fewer than `FEWEST_OF_CLASS` patients of a class.
    """
    value = auc(labels, scores)
    if value is None:
        return Estimate(reason="one class only")
    if value in (0.0, 1.0):
        return Estimate(value=value, reason=f"every resample has an AUC of {value:g} too, so there are no limits")
    for name, count in patients_of_class(labels, patients).items():
        if count < FEWEST_OF_CLASS:
            fewer = f"{count} {name} patients, fewer than the {FEWEST_OF_CLASS} that a bootstrap needs"
            return Estimate(value=value, reason=fewer)
    who = len(labels) if patients is None else patients
    return percentile_interval(value, bootstrap(lambda counts: bootstrap_aucs(labels, scores, counts)[0], who, rng))
