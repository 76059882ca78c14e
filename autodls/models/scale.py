"""Fit the scale of a fold's scores, on cases that the fold's networks did not see.

Folds score on different scales, so their scores are put on a common one before they are pooled or averaged. The map is
logistic (Platt 1999): log-odds = slope * logit + intercept. With few cases a fit by likelihood alone runs away when
they separate, so the log of the slope and the intercept carry normal priors that pull to the identity.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from autodls.records.scale import LogisticScale, Vector


def fit_scale(logits: Vector, labels: NDArray[np.bool_], prior_sd: float = 1.0) -> LogisticScale:
    """The most probable scale given `logits` [case] and `labels` [case]; the identity when there are no cases.

    >>> spread = np.linspace(-3, 3, 400)
    >>> scale = fit_scale(spread, spread > 0)
    >>> scale.slope > 2, abs(scale.intercept) < 0.1
    (True, True)
    """
    logits, signs = np.asarray(logits, float), np.where(labels, 1.0, -1.0)

    def loss(parameters: Vector) -> float:
        log_odds = np.exp(parameters[0]) * logits + parameters[1]
        return float(np.logaddexp(0, -signs * log_odds).sum() + (parameters @ parameters) / (2 * prior_sd**2))

    # Bounds keep the line search from overflowing the exponential when the classes separate.
    best = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-5, 5), (-20, 20)], options={"ftol": 1e-14}).x
    return LogisticScale(slope=float(np.exp(best[0])), intercept=float(best[1]))
