"""A candidate without networks, fitted on the whole training cohort, as numbers that need no pickle."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autodls.candidates.learners import Learner, RadiomicsLearner, RidgeLearner, linear_terms
from autodls.candidates.nested import Part, fit_choosing
from autodls.errors import ArgumentError
from autodls.records.locked_candidate import VOLUME

Floats = NDArray[np.float64]

LOCKABLE = ("volume", "radiomics")
_WHY_NOT = {
    "clinical": "predict is given images, and no table of clinical columns",
    "deep": "the networks are locked already, in the folder model of the workspace",
}
_INTEGRATED = "its parts are networks and others, which no single record holds"


@dataclass(frozen=True)
class Terms:
    """A linear score: what is measured, its scale and its coefficients; `farthest` in spreads, None for no bound."""

    features: tuple[str, ...]
    middle: tuple[float, ...]
    spread: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    farthest: float | None
    setting: str


@dataclass(frozen=True)
class Fit:
    """The terms of a candidate, and its own out-of-fold log-odds by case."""

    terms: Terms
    out_of_fold: Mapping[str, float]


def require_lockable(name: str, experiments: Collection[str] = ()) -> None:
    """Raise ArgumentError for a candidate that cannot be locked, which says why and what can.

    The networks of `experiments` are locked already.
    """
    if name not in LOCKABLE:
        locked = f"its networks are locked already, in the folder experiments/{name}/model (predict --name {name})"
        why = locked if name in experiments else _WHY_NOT.get(name, _INTEGRATED)
        raise ArgumentError(
            f"candidate '{name}' cannot be locked: {why}; name one that can with --candidate: {', '.join(LOCKABLE)}"
        )


def fit_candidate(name: str, learner: Learner, whole: Part, folds: Sequence[tuple[Part, tuple[str, ...]]]) -> Fit:
    """Fit on `whole`; out of fold, by the same way in the training part of each of `folds`, on its test cases.

    A forest is no choice here: it would have to be stored tree by tree. Raises ArgumentError as `require_lockable`.
    """
    require_lockable(name)
    able = replace(learner, forest=False) if isinstance(learner, RadiomicsLearner) else learner
    scores: dict[str, float] = {}
    for seen, test in folds:
        odds = fit_choosing(able, seen).model.log_odds(test)
        scores |= dict(zip(test, odds.tolist(), strict=True))
    chosen = fit_choosing(able, whole)
    if isinstance(able, RidgeLearner):
        return Fit(_of_volume(able, chosen.model.log_odds, chosen.setting, whole), scores)
    columns, middle, spread, coefficients, intercept, farthest = linear_terms(chosen.model)
    return Fit(Terms(columns, middle, spread, coefficients, intercept, farthest, chosen.setting), scores)


def _of_volume(learner: RidgeLearner, log_odds: Callable[[Sequence[str]], Floats], setting: str, whole: Part) -> Terms:
    """The line that the regression is in the logarithm of the volume, by its ends; raises ArgumentError."""
    values = learner.covariates[VOLUME]
    ends = tuple(pick(whole.cases, key=lambda case: float(values[case])) for pick in (min, max))
    low, high = (float(values[case]) for case in ends)
    if not high > low:
        raise ArgumentError(f"all tumours have a volume of {np.exp(low):g} ml: there is nothing to lock")
    first, last = log_odds(ends).tolist()
    slope = (last - first) / (high - low)
    return Terms((VOLUME,), (low,), (1.0,), (float(slope),), float(first), None, setting)
