"""Many small studies at once: a real cross-validation of a linear learner whose AUC on new patients is known exactly.

The protocol is that of training: stratified folds; an inner hold-out of the training part chooses the penalty (as
networks choose their epoch) and sets the scale of the fold; out-of-fold log-odds are pooled; the ensemble is the mean
of the folds' log-odds. Cases of a class are drawn alike, so folds are dealt by their place; only data are chance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0)
_AT_ONCE = 50  # studies that are fitted together


@dataclass(frozen=True)
class Design:
    """Cases, positives first, and how they are split, as the planner does by the patients of the rarer class.

    Each patient has `per_patient` cases, which stand side by side, have one label and are never parted.
    """

    cases: int
    positives: int
    per_patient: int = 1

    @property
    def labels(self) -> Bools:
        """(n,)."""
        return np.arange(self.cases) < self.positives

    @property
    def folds(self) -> int:
        """5, 3 or 2."""
        return 5 if self._rarer >= 15 else 3 if self._rarer >= 6 else 2

    @property
    def inner_share(self) -> int:
        """One case in so many of the training part is held out inside."""
        return 5 if self._rarer >= 15 else 4

    @property
    def _rarer(self) -> int:
        return min(self.positives, self.cases - self.positives) // self.per_patient

    def splits(self) -> list[tuple[NDArray[np.intp], ...]]:
        """Training part, inner hold-out and validation cases of every fold, stratified."""
        labels = self.labels[:: self.per_patient]
        dealt = _dealt(labels, self.folds)
        found = []
        for fold in range(self.folds):
            rest = np.flatnonzero(dealt != fold)
            inner = _dealt(labels[rest], self.inner_share) == 0
            parts = (rest[~inner], rest[inner], np.flatnonzero(dealt == fold))
            found.append(tuple(self._cases_of(part) for part in parts))
        return found

    def _cases_of(self, patients: NDArray[np.intp]) -> NDArray[np.intp]:
        return (patients[:, None] * self.per_patient + np.arange(self.per_patient)).ravel()


@dataclass(frozen=True)
class Studies:
    """Out-of-fold log-odds [study, case]; AUC on new patients [study]: the mean of the folds', and the ensemble's."""

    scores: Floats
    truth: Floats
    ensemble: Floats


def draw_features(design: Design, gap: Floats, studies: int, rng: np.random.Generator) -> Floats:
    """Normal features [study, case, feature] whose class means are `gap` (feature,) apart."""
    sides = np.where(design.labels, 0.5, -0.5)
    return rng.normal(size=(studies, design.cases, len(gap))) + sides[:, None] * gap


def cross_validated(design: Design, features: Floats, gap: Floats) -> Studies:
    """The cross-validation of a learner that is given `features` [study, case, feature]."""
    parts = [
        _cross_validated(design, features[start : start + _AT_ONCE], gap) for start in range(0, len(features), _AT_ONCE)
    ]
    return Studies(*(np.concatenate([getattr(part, name) for part in parts]) for name in Studies.__annotations__))


def _cross_validated(design: Design, features: Floats, gap: Floats) -> Studies:
    signs = np.where(design.labels, 1.0, -1.0)
    scores = np.empty(features.shape[:2])
    weights, truths = [], []
    for train, inner, validation in design.splits():
        weight, shift = _ridge(features[:, train], signs[train], features[:, inner], signs[inner])
        raw = 4 * (np.einsum("snp,sp->sn", features, weight) + shift[:, None])
        slope, intercept = fitted_scales(raw[:, inner], signs[inner])
        scores[:, validation] = slope[:, None] * raw[:, validation] + intercept[:, None]
        weights.append(slope[:, None] * weight)
        truths.append(_auc_on_new(weight, gap))
    return Studies(scores, np.mean(truths, axis=0), _auc_on_new(np.mean(weights, axis=0), gap))


def _ridge(train: Floats, signs: Floats, inner: Floats, inner_signs: Floats) -> tuple[Floats, Floats]:
    """Weights [study, feature] and shift [study] at the penalty that is best on the inner hold-out."""
    centre, middle = train.mean(axis=1), signs.mean()
    centred = train - centre[:, None]
    gram = centred.transpose(0, 2, 1) @ centred
    target = (centred * (signs - middle)[:, None]).sum(axis=1)[..., None]
    eye = np.eye(train.shape[2])
    weights = np.concatenate([np.linalg.solve(gram + penalty * eye, target) for penalty in PENALTIES], axis=2)
    shifts = middle - np.einsum("sp,spl->sl", centre, weights)
    losses = ((inner @ weights + shifts[:, None] - inner_signs[:, None]) ** 2).mean(axis=1)
    best = losses.argmin(axis=1)
    at = np.arange(len(train))
    return weights[at, :, best], shifts[at, best]


def fitted_scales(raw: Floats, signs: Floats, steps: int = 30) -> tuple[Floats, Floats]:
    """Slope and intercept [study] of `autodls.models.recalibration.fit_scale` for `raw` [study, case], all at once."""
    log_slope, intercept = np.zeros(len(raw)), np.zeros(len(raw))
    for _ in range(steps):
        slope = np.exp(log_slope)[:, None]
        p = expit(slope * raw + intercept[:, None])
        spread, missed = p * (1 - p), (signs > 0) - p
        by_slope = slope * raw
        gradient = np.stack([(missed * by_slope).sum(1) - log_slope, missed.sum(1) - intercept])
        a, b, c = (spread * by_slope**2).sum(1) + 1, (spread * by_slope).sum(1), spread.sum(1) + 1
        determinant = a * c - b * b
        step = np.stack([c * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]]) / determinant
        log_slope, intercept = np.clip(log_slope + np.clip(step[0], -1, 1), -5, 5), intercept + np.clip(step[1], -2, 2)
    return np.exp(log_slope), intercept


def _auc_on_new(weights: Floats, gap: Floats) -> Floats:
    length = np.linalg.norm(weights, axis=1)
    distance = np.divide(weights @ gap, length, out=np.zeros_like(length), where=length > 0)
    return np.asarray(ndtr(distance / np.sqrt(2)))


def _dealt(labels: Bools, parts: int) -> NDArray[np.intp]:
    """Part of each case, the classes dealt one after the other."""
    dealt = np.empty(len(labels), dtype=np.intp)
    order = np.concatenate([np.flatnonzero(~labels), np.flatnonzero(labels)])
    dealt[order] = np.arange(len(labels)) % parts
    return dealt
