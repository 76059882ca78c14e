"""Rates at a Youden cut-off that was chosen on the very cases that are counted: intervals that know of the choice.

Choosing the best of all cut-offs gains a little on these cases, and in another cohort the cut-off would fall elsewhere;
Wilson's interval knows of neither (that of sensitivity covers 82 to 92 %, simulated). A bootstrap that chooses the
cut-off anew in every resample shows both [1]_: by how much a rate is better in the resample than in the cohort at the
same cut-off is, on average, what choosing gains, and its spread is that of the estimate. Wilson's limits of the share
less that gain, for as many cases as that spread belongs to, hold what they say.

References
----------
.. [1] Efron, Tibshirani. An Introduction to the Bootstrap. Chapman & Hall 1993, chapter 17 (optimism).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from autodls.errors import ArgumentError
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.binary import wilson_limits
from autodls.evaluation.bootstrap import bootstrap
from autodls.evaluation.delong import Patients
from autodls.evaluation.results import Rate
from autodls.records.cells import read_number
from autodls.seeding import generator

RATES = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
_NEEDED = 0.95  # of the resamples
Indices = NDArray[np.intp]


def rates_at_own_cutoff(
    plain: Mapping[str, Rate], labels: Bools, scores: Floats, patients: Patients = None, seed: int = 0
) -> dict[str, Rate]:
    """The rates `plain` of `scores` (n,) at their own Youden cut-off, with limits that know of the choice.

    `seed` draws resamples of `patients` (n,), or of rows where it is None.
    """
    order = np.lexsort((labels, scores))  # so that the order of the rows moves no limit
    who = len(labels) if patients is None else [patients[at] for at in order]
    positive, values = labels[order].astype(np.float64), scores[order]
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    gains = bootstrap(lambda counts: _gains(positive, counts, starts), who, generator(seed, "evaluate", "youden"))
    return {name: _corrected(plain[name], gains[at]) for at, name in enumerate(RATES)}


def _gains(positive: Floats, counts: Floats, starts: Indices) -> Floats:
    """By how much each rate is better in a resample than in the cohort at the resample's cut-off, (rates, resamples).

    `positive` (n,) and `counts` (resamples, n) go by rising score; each cut-off calls all from one of `starts` on.
    """
    true, false = _called(positive, counts, starts)
    positives, negatives = counts @ positive, counts @ (1 - positive)
    index = true * negatives[:, None] - false * positives[:, None]
    index[np.add.reduceat(counts, starts, axis=1) == 0] = -np.inf  # a score that was not drawn is no cut-off
    row, at = np.arange(len(counts)), index.argmax(axis=1)
    found = _rates(true[row, at], false[row, at], positives, negatives)
    all_true, all_false = (called[0] for called in _called(positive, np.ones((1, len(positive))), starts))
    total = positive.sum()
    return found - _rates(all_true[at], all_false[at], total, len(positive) - total)


def _called(positive: Floats, counts: Floats, starts: Indices) -> tuple[Floats, Floats]:
    """Positives and negatives that each cut-off calls, both (resamples, cut-offs)."""
    true, false = (
        np.cumsum((counts * of_class)[:, ::-1], axis=1)[:, ::-1][:, starts] for of_class in (positive, 1 - positive)
    )
    return true, false


def _rates(true: Floats, false: Floats, positives: Floats, negatives: Floats) -> Floats:
    """RATES of resamples (rates, resamples); NaN without a denominator."""
    right = true + negatives - false
    parts = ((true, positives), (negatives - false, negatives), (true, true + false),
             (negatives - false, positives + negatives - true - false), (right, positives + negatives))  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([hits / of for hits, of in parts])


def _corrected(plain: Rate, gains: Floats) -> Rate:
    """Limits of a rate less its mean gain, for the number of cases that the spread of the gains belongs to."""
    finite = gains[np.isfinite(gains)]
    if plain.value is None or plain.effective is None:
        return plain
    if len(finite) < _NEEDED * len(gains):
        lost = f"{len(gains) - len(finite)} of {len(gains)} resamples hold no case to divide by"
        return Rate(value=plain.value, reason=lost, method="wilson-own-cutoff")
    share, variance = float(np.clip(plain.value - finite.mean(), 0, 1)), float(finite.var())
    worth = share * (1 - share) / variance if variance > 0 and 0 < share < 1 else np.inf
    size = min(plain.effective, worth)
    low, high = wilson_limits(share, size)
    return Rate(value=plain.value, low=low, high=high, effective=size, method="wilson-own-cutoff")


def parse_cutoffs(texts: Sequence[str], scores: Sequence[str]) -> dict[str, float]:
    """Cut-offs by score from texts such as "dls=0.5"; raises ArgumentError.

    >>> parse_cutoffs(["dls=0.5"], scores=["dls", "T1WI"])
    {'dls': 0.5}
    """
    cutoffs: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or name not in scores:
            raise ArgumentError(f"--cutoff {text}: expected COL=VALUE, COL one of the scores {list(scores)}")
        try:
            number = read_number(value)
        except ValueError:
            number = None
        if number is None:
            raise ArgumentError(f"--cutoff {text}: '{value}' is not a finite number")
        if cutoffs.setdefault(name, number) != number:
            raise ArgumentError(f"--cutoff {text}: {name} has the cut-off {cutoffs[name]:g} already; give one")
    return cutoffs
