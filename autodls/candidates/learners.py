"""How candidates learn: what each may choose between, and what it has learned, which is numbers alone.

A learner has settings to choose from (`nested.fit_choosing` chooses) and fits one of them. Everything that it is fitted
with comes from the rows that it is given: medians, scales, which features are redundant, coefficients, trees.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit
from scipy.stats import rankdata
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from autodls.candidates.covariates import Covariates, frame, preparation

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_RIDGE = (0.01, 0.1, 1.0, 10.0)
_NET = (0.03, 0.1, 0.3, 1.0)
_LASSO_SHARES = (0.1, 0.5, 0.9)
_TREES = 200
_FEWEST_IN_LEAF = 3
_REDUNDANT = 0.9  # Spearman's rank correlation of two features, of which one is left out
FARTHEST = 3.0  # interquartile ranges: beyond, a feature is cut
_MOST_STEPS = 2000


class Fitted(Protocol):
    """What was learned."""

    def log_odds(self, cases: Sequence[str]) -> Floats:
        """Of the positive class, of `cases` (n,)."""


class Learner(Protocol):
    """A way to learn, with settings to choose from, the simplest first."""

    @property
    def settings(self) -> tuple[str, ...]:
        """What can be chosen, as printed."""

    def fit(self, settings: Sequence[str], cases: Sequence[str], labels: Bools, seed: int) -> dict[str, Fitted]:
        """A model of each of `settings`, learned from `cases` and their `labels` (n,) alone."""


@dataclass(frozen=True)
class OfPipeline:
    """A logistic regression on prepared numbers."""

    prepared: "_Prepared"
    model: LogisticRegression

    def log_odds(self, cases: Sequence[str]) -> Floats:
        """See `Fitted`."""
        return np.asarray(self.model.decision_function(self.prepared.of(cases)), dtype=np.float64)


class _Prepared(Protocol):
    def of(self, cases: Sequence[str]) -> Floats: ...


@dataclass(frozen=True)
class OfCovariates:
    """Covariates, imputed, scaled and coded as was fitted."""

    covariates: Covariates
    fitted: ColumnTransformer

    def of(self, cases: Sequence[str]) -> Floats:
        """Numbers [case, feature]."""
        return np.asarray(self.fitted.transform(frame(self.covariates, cases)), dtype=np.float64)


@dataclass(frozen=True)
class RidgeLearner:
    """A ridge logistic regression on `covariates`: the strength of the penalty is chosen."""

    covariates: Covariates

    @property
    def settings(self) -> tuple[str, ...]:
        """Strengths of the penalty."""
        return tuple(f"ridge C={strength:g}" for strength in _RIDGE)

    def fit(self, settings: Sequence[str], cases: Sequence[str], labels: Bools, seed: int) -> dict[str, Fitted]:
        """See `Learner`; `seed` is not needed."""
        del seed
        prepared = OfCovariates(self.covariates, preparation(self.covariates).fit(frame(self.covariates, cases)))
        values = prepared.of(cases)
        strength = dict(zip(self.settings, _RIDGE, strict=True))
        return {
            name: OfPipeline(prepared, LogisticRegression(C=strength[name], max_iter=_MOST_STEPS).fit(values, labels))
            for name in settings
        }


@dataclass(frozen=True)
class Selected:
    """Features of the cases of a table: imputed, scaled, cut, less the redundant ones; all as some rows say."""

    table: pd.DataFrame
    columns: tuple[str, ...]
    middle: Floats
    spread: Floats

    @classmethod
    def fitted(cls, table: pd.DataFrame, cases: Sequence[str]) -> "Selected":
        """The scales and the choice of features that the rows of `cases` say."""
        rows = table.loc[list(cases)]
        known = rows.columns[rows.notna().any()]
        values = rows[known].to_numpy(dtype=np.float64)
        middle = np.nanmedian(values, axis=0)
        low, high = np.nanpercentile(values, [25, 75], axis=0)
        spread = np.where(high > low, (high - low) / 1.349, np.nanstd(values, axis=0))
        filled = np.where(np.isnan(values), middle, values)
        kept = _not_redundant(filled, spread > 0)
        return cls(table, tuple(known[kept]), middle[kept], spread[kept])

    def of(self, cases: Sequence[str]) -> Floats:
        """Numbers [case, feature]."""
        values = self.table.loc[list(cases), list(self.columns)].to_numpy(dtype=np.float64)
        scaled = (np.where(np.isnan(values), self.middle, values) - self.middle) / self.spread
        return np.asarray(np.clip(scaled, -FARTHEST, FARTHEST), dtype=np.float64)


def _not_redundant(values: Floats, varies: Bools) -> NDArray[np.intp]:
    """Columns that vary and go with none before them by more than 0.9, in their order."""
    ranks = np.apply_along_axis(rankdata, 0, values)
    centred = ranks - ranks.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    alike = np.abs((centred / np.where(norms > 0, norms, 1)).T @ (centred / np.where(norms > 0, norms, 1)))
    kept: list[int] = []
    for column in np.flatnonzero(varies & (norms > 0)):
        if not (alike[column, kept] > _REDUNDANT).any():
            kept.append(int(column))
    return np.array(kept, dtype=np.intp)


@dataclass(frozen=True)
class OfForest:
    """A random forest on prepared numbers."""

    prepared: _Prepared
    model: RandomForestClassifier

    def log_odds(self, cases: Sequence[str]) -> Floats:
        """See `Fitted`."""
        share = self.model.predict_proba(self.prepared.of(cases))[:, 1]
        least = 0.5 / (_TREES + 1)
        return np.asarray(logit(np.clip(share, least, 1 - least)), dtype=np.float64)


@dataclass(frozen=True)
class RadiomicsLearner:
    """An elastic net, or a random forest, on the radiomic features that are not redundant; which one, is chosen.

    `features` are by case and name. The order of names decides which of two redundant features stays: shape first.
    """

    features: Mapping[str, Mapping[str, float]] = field(repr=False)
    forest: bool = True

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a case, a column a feature, in a fixed order; NaN where it was not measured."""
        names = sorted({name for one in self.features.values() for name in one}, key=_shape_first)
        rows = {case: [one.get(name, np.nan) for name in names] for case, one in self.features.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=names, dtype=np.float64)

    @property
    def settings(self) -> tuple[str, ...]:
        """Elastic nets by strength and share of the lasso, then the forest."""
        return (*_nets(), "forest") if self.forest else tuple(_nets())

    def fit(self, settings: Sequence[str], cases: Sequence[str], labels: Bools, seed: int) -> dict[str, Fitted]:
        """See `Learner`; `seed` draws the trees."""
        prepared = Selected.fitted(self.table, cases)
        values, nets = prepared.of(cases), _nets()
        found: dict[str, Fitted] = {}
        for name in settings:
            if name in nets:
                found[name] = OfPipeline(prepared, _net(*nets[name]).fit(values, labels))
            else:
                forest = RandomForestClassifier(_TREES, min_samples_leaf=_FEWEST_IN_LEAF, random_state=seed % 2**32)
                found[name] = OfForest(prepared, forest.fit(values, labels))
        return found


def _nets() -> dict[str, tuple[float, float]]:
    return {f"net C={c:g} l1={share:g}": (c, share) for share in _LASSO_SHARES for c in _NET}


def _net(strength: float, lasso_share: float) -> "_Quiet":
    return _Quiet(C=strength, l1_ratio=lasso_share, solver="saga", tol=1e-3, max_iter=_MOST_STEPS, random_state=0)


class _Quiet(LogisticRegression):  # type: ignore[misc]
    """A regression that stops after so many steps without a word: what it has then is judged like any other."""

    def fit(self, values: Floats, labels: Bools) -> "_Quiet":
        """Fit by at most the given steps."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            super().fit(values, labels)
        return self


def _shape_first(name: str) -> tuple[bool, str]:
    return (not name.startswith("shape:"), name)
