"""What a learner has fitted, as numbers that a record can hold: terms of a regression, or the trees of a forest."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer

from autodls.candidates.covariates import Covariates, is_numeric
from autodls.candidates.learners import FARTHEST, Fitted, OfCovariates, OfForest, OfPipeline, Selected
from autodls.errors import ArgumentError
from autodls.records.clinical_column import ClinicalColumn

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Terms:
    """Features with their scale, and what is made of them.

    Without `trees` log-odds are linear; `farthest` is in spreads, None for no bound. `columns` say how the cells of a
    clinical table become features; `lowest` and `highest` are of the training cohort.
    """

    features: tuple[str, ...]
    middle: tuple[float, ...]
    spread: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    farthest: float | None
    columns: tuple[ClinicalColumn, ...] = ()
    trees: tuple[str, ...] = ()
    lowest: tuple[float, ...] = ()
    highest: tuple[float, ...] = ()


def terms_of(model: Fitted, coded: Collection[str] = ()) -> Terms:
    """What `model` has learned; raises ArgumentError where it is neither a regression nor a forest of ours.

    `coded` names the clinical columns whose words for missing values the study gives itself.
    """
    if isinstance(model, OfPipeline) and isinstance(model.prepared, OfCovariates):
        return _of_covariates(model, model.prepared, coded)
    if isinstance(model, OfPipeline | OfForest) and isinstance(model.prepared, Selected):
        kept = model.prepared
        middle, spread = tuple(kept.middle.tolist()), tuple(kept.spread.tolist())
        if isinstance(model, OfForest):
            trees = tuple(tree_text(one.tree_) for one in model.model.estimators_)
            return Terms(kept.columns, middle, spread, (), 0.0, FARTHEST, trees=trees)
        weights, bias = tuple(model.model.coef_[0].tolist()), float(model.model.intercept_[0])
        return Terms(kept.columns, middle, spread, weights, bias, FARTHEST)
    raise ArgumentError(f"a {type(model).__name__} is no regression and no forest: nothing of it can be stored")


def _of_covariates(model: OfPipeline, prepared: OfCovariates, coded: Collection[str]) -> Terms:
    columns, middle, spread = _columns(prepared.fitted, prepared.covariates, coded)
    named = {column.name: column for column in columns}
    numbers = [name for name in named if not named[name].levels]
    features = [
        *numbers,
        *(named[name].of_missing for name in numbers if named[name].had_missing),
        *(feature for name in named if named[name].levels for feature in named[name].features),
    ]
    if len(set(features)) < len(features):
        twice = next(name for name in features if features.count(name) > 1)
        raise ArgumentError(f"two clinical columns would both be called '{twice}'; rename one of them")
    weights = model.model.coef_[0]
    ends = {column.name: (column.low, column.high) for column in columns if not column.levels}
    low, high = zip(*(ends.get(name, (0.0, 1.0)) for name in features), strict=True)
    return Terms(
        tuple(features), middle, spread, tuple(weights.tolist()), float(model.model.intercept_[0]), None, columns,
        lowest=low, highest=high,
    )  # fmt: skip


def _columns(
    fitted: ColumnTransformer, covariates: Covariates, coded: Collection[str]
) -> tuple[tuple[ClinicalColumn, ...], tuple[float, ...], tuple[float, ...]]:
    """The columns as they were imputed and coded, and middle and spread of every feature: numbers first, then levels.

    The training cohort is all that the preparation was fitted to, which knows no more than medians; `covariates` hold
    that cohort alone.
    """
    parts: dict[str, Any] = fitted.named_transformers_
    columns: dict[str, ClinicalColumn] = {}
    middle: list[float] = []
    spread: list[float] = []
    numbers = [name for name, values in covariates.items() if is_numeric(values.values())]
    levels = [name for name in covariates if name not in numbers]
    if numbers:
        imputer, scaler = parts["numbers"]
        lacked = {numbers[at] for at in imputer.indicator_.features_}
        for name, median in zip(numbers, imputer.statistics_, strict=True):
            known = [float(value) for value in covariates[name].values()]
            columns[name] = ClinicalColumn(
                name=name, median=float(median), low=min(known), high=max(known), had_missing=name in lacked
            )
        middle, spread = scaler.mean_.tolist(), scaler.scale_.tolist()
    if levels:
        for name, found in zip(levels, parts["levels"].categories_, strict=True):
            columns[name] = ClinicalColumn(name=name, levels=tuple(map(str, found)), coded=name in coded)
            middle += [0.0] * len(found)
            spread += [1.0] * len(found)
    return tuple(columns[name] for name in covariates), tuple(middle), tuple(spread)


def without_feature(terms: Terms, name: str) -> Terms:
    """The same score without the feature `name`, which is then taken at 0: the intercept has its share."""
    if name not in terms.features:
        return terms
    at = terms.features.index(name)
    share = -terms.coefficients[at] * terms.middle[at] / terms.spread[at]

    def rest(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return values[:at] + values[at + 1 :]

    return replace(
        terms,
        intercept=terms.intercept + share,
        features=rest(terms.features),
        middle=rest(terms.middle),
        spread=rest(terms.spread),
        coefficients=rest(terms.coefficients),
        lowest=rest(terms.lowest),
        highest=rest(terms.highest),
    )


def tree_text(tree: Any) -> str:
    """A fitted tree of scikit-learn as `records/forest.py` reads it."""
    words: list[str] = []
    waiting = [0]
    while waiting:
        node = waiting.pop()
        if tree.children_left[node] < 0:
            counts = tree.value[node][0]
            words.append(repr(float(counts[1] / counts.sum())))
        else:
            words.append(f"{tree.feature[node]}<={float(tree.threshold[node])!r}")
            waiting += [int(tree.children_right[node]), int(tree.children_left[node])]
    return " ".join(words)


def linear_stack(parts: Sequence[str], scores: Floats, weights: Sequence[float], intercept: float) -> Terms:
    """The terms of a stack of `parts`, from their log-odds `scores` [case, part] over the training cohort."""
    spread = np.where(scores.std(axis=0) > 0, scores.std(axis=0), 1.0)
    middle = scores.mean(axis=0)
    scaled = np.asarray(weights) * spread
    return Terms(
        tuple(parts), tuple(middle.tolist()), tuple(spread.tolist()), tuple(scaled.tolist()),
        float(intercept + np.asarray(weights) @ middle), None,
        lowest=tuple(scores.min(axis=0).tolist()), highest=tuple(scores.max(axis=0).tolist()),
    )  # fmt: skip
