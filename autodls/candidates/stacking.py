"""Several scores as one: a penalised logistic model of their log-odds, whose prior is their mean.

Its weights are fitted on the early-stopping set of a fold: the only training cases of which there are honest scores of
the fold's networks, and these are few (ten to fifty). Hence the prior: without data the score is the mean of the
log-odds of its parts, and a weight moves away from it by as much as the cases say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from autodls.errors import TrainingError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_WEIGHT_SD, _INTERCEPT_SD = 0.3, 1.0


@dataclass(frozen=True)
class Stack:
    """Log-odds = intercept + sum of weight * log-odds of each part."""

    weights: tuple[float, ...]
    intercept: float

    def log_odds(self, parts: Floats) -> Floats:
        """Of cases, from the log-odds of their `parts` [case, part]."""
        return np.asarray(parts @ np.asarray(self.weights) + self.intercept, dtype=np.float64)


def fit_stack(parts: Floats, labels: Bools) -> Stack:
    """The most probable stack given the log-odds of `parts` [case, part] and the labels (n,) of the same cases.

    >>> fit_stack(np.empty((0, 2)), np.empty(0, dtype=bool)).weights
    (0.5, 0.5)
    """
    count = parts.shape[1]
    prior = np.append(np.full(count, 1 / count), 0.0)
    precision = np.append(np.full(count, _WEIGHT_SD**-2), _INTERCEPT_SD**-2)
    design = np.column_stack([parts, np.ones(len(parts))])

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds, moved = design @ weights, weights - prior
        value = float(np.logaddexp(0, np.where(labels, -odds, odds)).sum() + 0.5 * moved @ (precision * moved))
        return value, np.asarray(design.T @ (expit(odds) - labels) + precision * moved)

    found = minimize(loss, prior, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-8})
    if not np.isfinite(found.x).all():
        raise TrainingError(f"the weights of {count} scores of {len(labels)} cases do not converge: {found.message}")
    return Stack(tuple(found.x[:-1].tolist()), float(found.x[-1]))


def cross_fitted(parts: Floats, labels: Bools, patients: Sequence[str]) -> Floats:
    """Log-odds (n,) of each case by a stack that was fitted on the cases of the other patients."""
    names, found = np.asarray(patients), np.empty(len(labels))
    for name in np.unique(names):
        held = names == name
        found[held] = fit_stack(parts[~held], labels[~held]).log_odds(parts[held])
    return found
