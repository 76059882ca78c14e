"""How the AUC of a way to score grows with the cases that it learns from, and what more of them may bring.

The curve is measured by refitting: of every fold's training part, subsets of several sizes are drawn, and the fold's
test cases scored by what was fitted on each. An inverse power law, AUC(n) = a - b n^-c [1]_, goes on from there. Its
exponent is hardly known from one cohort, so all of a grid are kept, each with the likelihood that the points give it;
the band holds that, the scatter of the subsets, and the error that all points share since they are judged on the same
cases (of twice DeLong's variance, as of all out-of-fold scores). It is of the mean AUC of such fits on new cases of the
same population: never a promise, and nothing is known of another hospital. `benchmarks/learning_curve.py` shows how
often it holds.

References
----------
.. [1] Figueroa et al. Predicting sample size required for classification performance. BMC Med Inform Decis Mak
       2012;12:8.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.model_selection import StratifiedGroupKFold

from autodls.errors import ArgumentError
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.delong import auc, auc_with_ci
from autodls.evaluation.results import Estimate
from autodls.evaluation.shared_folds import OUT_OF_FOLD_VARIANCE

Indices = NDArray[np.intp]
Refit = Callable[[Indices, Indices], Floats]

FOLDS = 5
LEAST_OF_CLASS = 20  # patients: a quarter of a training part then has four
SHARES = (0.25, 0.4, 0.6, 0.8, 1.0)
_EXPONENTS = np.linspace(0.2, 1.5, 27)
_LEAST_SCATTER = 0.005
_DRAWS = 4000


@dataclass(frozen=True)
class CurvePoint:
    """Mean AUC, on the test folds, of fits on `n` cases; `scatter` is the standard error that drawing subsets adds."""

    n: int
    auc: float
    scatter: float


@dataclass(frozen=True)
class LearningCurve:
    """The points that were measured; `error` is the standard error that they share."""

    points: tuple[CurvePoint, ...]
    error: float


@dataclass(frozen=True)
class Subset:
    """Rows to fit on, a `share` of what `fold` may learn from, and the rows of its test part to score by the fit."""

    repeat: int
    fold: int
    share: float
    fitted: Indices
    scored: Indices


@dataclass(frozen=True)
class FoldRows:
    """Rows of one fold: `parts` to learn from, each thinned by itself, and `scored`, its test part."""

    parts: tuple[Indices, ...]
    scored: Indices


def measure_curve(
    labels: Bools,
    patients: Sequence[str],
    refit: Refit,
    chance: np.random.Generator,
    repeats: int = 5,
) -> LearningCurve:
    """Refit on subsets of labelled cases (n,): `refit(fitted, scored)` gives the scores of the rows `scored`.

    Folds and subsets keep the rows of a patient together, and both classes in their proportion. `refit` must look at
    the labels of the rows `fitted` alone. Raises ArgumentError with fewer than `LEAST_OF_CLASS` patients of a class.
    """
    subsets = draw_subsets(labels, patients, chance, repeats)
    return curve_of(labels, patients, subsets, [refit(one.fitted, one.scored) for one in subsets])


def draw_subsets(
    labels: Bools,
    patients: Sequence[str],
    chance: np.random.Generator,
    repeats: int,
    folds: Sequence[FoldRows] | None = None,
    shares: Sequence[float] = SHARES,
) -> list[Subset]:
    """Subsets of each fold's training part by repeat, fold and share, the smaller within the larger.

    `folds` are drawn anew in each repeat where none are given. Raises ArgumentError as `measure_curve`.
    """
    _require_enough(labels, patients)
    names, drawn = np.asarray(patients), []
    for repeat in range(repeats):
        for at, fold in enumerate(folds if folds is not None else _folds(labels, names, chance)):
            places = [_in_proportion(labels[rows], names[rows], chance) for rows in fold.parts]
            for share in shares:
                thinned = [rows[place < share] for rows, place in zip(fold.parts, places, strict=True)]
                drawn.append(Subset(repeat, at, share, np.concatenate(thinned), fold.scored))
    return drawn


def curve_of(
    labels: Bools, patients: Sequence[str], subsets: Sequence[Subset], scores: Sequence[Floats]
) -> LearningCurve:
    """The curve that the `scores` of each subset's rows `scored` make; the last share must be the whole of the parts.

    With one repeat alone, the scatter of a point is that of the folds' gains up to the whole.
    """
    repeats, folds = (1 + max(getattr(one, name) for one in subsets) for name in ("repeat", "fold"))
    shape = (repeats, folds, len(subsets) // (repeats * folds))
    found = [auc(labels[one.scored], values) for one, values in zip(subsets, scores, strict=True)]
    aucs = np.array([np.nan if value is None else value for value in found]).reshape(shape)
    sizes = np.array([len(one.fitted) for one in subsets], dtype=np.float64).reshape(shape)
    by_repeat = np.nanmean(aucs, axis=1)  # [repeat, share]
    if repeats > 1:
        scatter = by_repeat.std(axis=0, ddof=1) / np.sqrt(repeats)
    else:
        scatter = np.nanstd(aucs[0] - aucs[0][:, -1:], axis=0, ddof=1) / np.sqrt(folds)
    points = tuple(
        CurvePoint(round(size), float(value), max(float(spread), _LEAST_SCATTER))
        for size, value, spread in zip(sizes.mean(axis=(0, 1)), by_repeat.mean(axis=0), scatter, strict=True)
    )
    whole = [(one, values) for one, values in zip(subsets, scores, strict=True) if one.share == subsets[-1].share]
    errors = [
        _shared_error(labels, patients, [pair for pair in whole if pair[0].repeat == repeat])
        for repeat in range(repeats)
    ]
    return LearningCurve(points, float(np.mean(errors)))


def extrapolate(curve: LearningCurve, n: float, chance: np.random.Generator, ceiling: float = 1.0) -> Estimate:
    """The mean AUC that fits on `n` cases may have, with a 95 % band; none may pass the `ceiling`."""
    sizes = np.array([point.n for point in curve.points], dtype=np.float64)
    values, scatter = (np.array([getattr(point, name) for point in curve.points]) for name in ("auc", "scatter"))
    fits = [_posterior(sizes**-exponent / scatter, 1 / scatter, values / scatter) for exponent in _EXPONENTS]
    evidence = np.array([fit[2] for fit in fits])
    weights = np.exp(evidence - evidence.max())
    counts = chance.multinomial(_DRAWS, weights / weights.sum())
    drawn = []
    for exponent, count, (mean, covariance, _) in zip(_EXPONENTS, counts, fits, strict=True):
        a, b = chance.multivariate_normal(mean, covariance, size=count).T if count else np.empty((2, 0))
        drawn.append(np.minimum(a, ceiling) - np.maximum(b, 0) * n**-exponent)
    shared = chance.normal(0, curve.error, _DRAWS)
    low, middle, high = np.quantile(np.clip(np.concatenate(drawn) + shared, 0, ceiling), [0.025, 0.5, 0.975])
    return Estimate(value=float(middle), low=float(low), high=float(high))


def _posterior(x: Floats, ones: Floats, y: Floats) -> tuple[Floats, Floats, float]:
    """Mean and covariance of (a, b) for one exponent, and the log of its evidence, under weak normal priors.

    a is about 0.8 (SD 0.3), b about half of what the smallest size could lose (SD the same): b n^-c is 0.2 there.
    """
    design = np.column_stack([ones, -x])
    reach = 0.2 / float((x / ones).max())
    prior_mean, prior_sd = np.array([0.8, reach]), np.array([0.3, reach])
    precision = design.T @ design + np.diag(prior_sd**-2)
    covariance = np.linalg.inv(precision)
    mean = covariance @ (design.T @ y + prior_mean / prior_sd**2)
    left = float(((y - design @ mean) ** 2).sum() + (((mean - prior_mean) / prior_sd) ** 2).sum())
    evidence = -left / 2 - float(np.linalg.slogdet(precision)[1]) / 2 - float(np.log(prior_sd).sum())
    return np.asarray(mean), np.asarray(covariance), evidence


def _folds(labels: Bools, names: NDArray[np.str_], chance: np.random.Generator) -> list[FoldRows]:
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=int(chance.integers(2**31)))
    return [FoldRows((fitted,), scored) for fitted, scored in splitter.split(labels, labels, names)]


def _shared_error(labels: Bools, patients: Sequence[str], whole: Sequence[tuple[Subset, Floats]]) -> float:
    """Standard error of the pooled AUC of one repeat, by the scores of fits on the whole of what folds learn from."""
    rows = np.concatenate([one.scored for one, _ in whole])
    pooled = np.concatenate([_ranks(values) for _, values in whole])
    members = [patients[row] for row in rows]
    variance = auc_with_ci(labels[rows], pooled, patients=members).variance or 0.0
    return float(np.sqrt(variance * OUT_OF_FOLD_VARIANCE))


def _in_proportion(labels: Bools, names: NDArray[np.str_], chance: np.random.Generator) -> Floats:
    """A place in 0..1 of every row: those below a share are that share of the patients of either class."""
    unique, first, member = np.unique(names, return_index=True, return_inverse=True)
    of_class, place = labels[first], np.empty(len(unique))
    for group in (np.flatnonzero(of_class), np.flatnonzero(~of_class)):
        place[group] = chance.permutation(len(group)) / max(len(group), 1)
    return np.asarray(place[member])


def _ranks(scores: Floats) -> Floats:
    """Places within the fold, so that folds on different scales can be pooled; equal scores share theirs."""
    return np.asarray((rankdata(scores) - 1) / max(len(scores) - 1, 1))


def _require_enough(labels: Bools, patients: Sequence[str]) -> None:
    names = np.asarray(patients)
    for count, name in ((len(set(names[labels])), "positive"), (len(set(names[~labels])), "negative")):
        if count < LEAST_OF_CLASS:
            raise ArgumentError(
                f"learning curve: {count} {name} patients, expected {LEAST_OF_CLASS} of each class: quarters of fewer "
                "say nothing; add patients"
            )
