"""Candidates fitted on the whole training cohort, as numbers that need no pickle."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autodls.candidates.learners import Learner
from autodls.candidates.nested import Part, fit_choosing
from autodls.candidates.stacking import cross_fitted, fit_stack
from autodls.candidates.terms import Terms, linear_stack, terms_of, without_feature
from autodls.errors import ArgumentError
from autodls.records.clinical_column import ClinicalColumn
from autodls.records.locked_candidate import VOLUME

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SIMPLE = ("volume", "clinical", "radiomics")


@dataclass(frozen=True)
class Fit:
    """The terms of a candidate, and the setting that was chosen for it."""

    terms: Terms
    setting: str


@dataclass(frozen=True)
class StackFit:
    """The terms of an integrated candidate, and its log-odds of the training cases (n,), by weights of other folds."""

    terms: Terms
    setting: str
    cross_fitted: Floats


def fit_candidate(name: str, learner: Learner, whole: Part, coded: Collection[str] = ()) -> Fit:
    """Fit the candidate `name` on `whole`, by the same choosing as in each fold.

    `coded` names the clinical columns whose words for missing values the study gives itself. Raises ArgumentError where
    there is nothing to fit.
    """
    chosen = fit_choosing(learner, whole)
    terms = terms_of(chosen.model, coded)
    if name == "volume":
        terms = without_feature(terms, ClinicalColumn(name=VOLUME).of_missing)
        if not terms.highest[0] > terms.lowest[0]:
            volume_ml = np.exp(terms.lowest[0])
            raise ArgumentError(f"all tumours have a volume of {volume_ml:g} ml: there is nothing to lock")
        terms = replace(terms, columns=())
    return Fit(terms, chosen.setting)


def fit_integrated(parts: Sequence[str], scores: Floats, labels: Bools, folds: Sequence[int]) -> StackFit:
    """Fit the weights of `parts` on their out-of-fold log-odds `scores` [case, part] of the training cohort.

    Apparent scores would say nothing: a part is not better the better it knows its cases by heart. `folds` (n,) say by
    which fold a case was scored; what is cross-fitted comes from weights that were fitted to the other folds' cases.
    """
    stack = fit_stack(scores, labels)
    setting = ", ".join(f"{part} {weight:.2f}" for part, weight in zip(parts, stack.weights, strict=True))
    crossed = cross_fitted(scores, labels, [str(fold) for fold in folds])
    return StackFit(linear_stack(parts, scores, stack.weights, stack.intercept), setting, crossed)
