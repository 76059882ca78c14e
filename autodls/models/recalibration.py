"""Fit the scale of a fold's scores, on cases that the fold's networks did not see.

Folds score on different scales, so their scores are put on a common one before they are pooled or averaged: here by a
fold on its own, and where the model is locked by all folds together (`autodls/training/common_scale.py`). The map is
logistic (Platt 1999): log-odds = slope * logit + intercept. With few cases a fit by likelihood alone runs away when
they separate, so the log of the slope and the intercept carry normal priors that pull to the identity.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from autodls.errors import TrainingError
from autodls.records.scale import LogisticScale, Vector

WEAK_PRIOR_SD = 10.0  # for the many scores of a cohort: it only keeps a perfect separation finite
LEAST = float(np.finfo(np.float64).epsneg)  # a score of 0 or 1 has no log-odds
_BOUNDS = ((-5.0, 5.0), (-20.0, 20.0))  # of the log of the slope, and of the intercept
_OPTIONS = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000, "maxls": 50}
_MOST_STARTS = 5  # a line search that gives up is begun anew where it stands
_TOLERANCE = 1e-4  # of the gradient, a case


def fit_scale(logits: Vector, labels: NDArray[np.bool_], prior_sd: float = 1.0) -> LogisticScale:
    """The most probable scale given `logits` [case] and `labels` [case]; the identity when there are no cases.

    Raises TrainingError where the fit does not converge.

    >>> spread = np.linspace(-3, 3, 400)
    >>> scale = fit_scale(spread, spread > 0)
    >>> scale.slope > 2, abs(scale.intercept) < 0.1
    (True, True)
    """
    logits, signs = np.asarray(logits, float), np.where(labels, 1.0, -1.0)

    def loss(parameters: Vector) -> tuple[float, Vector]:
        scaled = np.exp(parameters[0]) * logits
        margins = signs * (scaled + parameters[1])
        fall = -signs * expit(-margins)  # of the loss by the log-odds
        value = float(np.logaddexp(0, -margins).sum() + (parameters @ parameters) / (2 * prior_sd**2))
        return value, np.array([fall @ scaled, fall.sum()]) + parameters / prior_sd**2

    best, held = np.zeros(2), np.inf
    for _ in range(_MOST_STARTS):
        # Bounds keep the line search from overflowing the exponential when the classes separate.
        best = minimize(loss, best, jac=True, method="L-BFGS-B", bounds=_BOUNDS, options=_OPTIONS).x
        free = np.clip(best - loss(best)[1], *np.transpose(_BOUNDS)) - best  # 0 at the best, also on a bound
        if (held := float(np.abs(free).max())) <= _TOLERANCE * (1 + len(logits)):
            return LogisticScale(slope=float(np.exp(best[0])), intercept=float(best[1]))
    raise TrainingError(
        f"the scale of {len(logits)} scores does not converge (gradient {held:.2g}); are their logits, "
        f"{logits.min():.3g} to {logits.max():.3g}, those of a trained network?"
    )


def cross_fitted(labels: NDArray[np.bool_], scores: Vector, folds: Sequence[int]) -> Vector:
    """Probabilities (n,) of pooled out-of-fold `scores` (n,), each recalibrated on the cases of the other `folds`."""
    log_odds, fold_of = logit(np.clip(scores, LEAST, 1 - LEAST)), np.asarray(folds)
    found = np.empty(len(log_odds))
    for fold in np.unique(fold_of):
        held = fold_of == fold
        found[held] = fit_scale(log_odds[~held], labels[~held], WEAK_PRIOR_SD).log_odds(log_odds[held])
    return np.asarray(expit(found))
