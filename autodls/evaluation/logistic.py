"""Logistic regression that is at its maximum, or says that it is not.

Iteratively reweighted least squares takes full Newton steps: where a score is far too sure, the first overshoots, the
weights vanish, and the fit ends anywhere, without a word (statsmodels issue 1604). A trust region [1]_ leads to the
maximum of a concave likelihood from anywhere, and the gradient is asked at the end.

References
----------
.. [1] Conn, Gould, Toint. Trust-region methods. SIAM 2000.
"""

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit

from autodls.evaluation.arrays import Bools, Floats

_MOST_STEPS = 2000
_TOLERANCE = 1e-7  # of the gradient per case, in units of the largest value of the column
_FARTHEST = 1e-3  # of the coefficients: how far the maximum may still be by Newton's step


def fit_logistic(positive: Bools, design: Floats) -> Floats | None:
    """Maximum-likelihood coefficients (columns,) of `positive` (n,) on `design` (n, columns); None without a maximum.

    There is none where the classes are separated or the columns depend on each other.
    """
    target = positive.astype(np.float64)
    scale = np.maximum(np.abs(design).max(axis=0), np.finfo(float).tiny)
    columns = design / scale

    def loss(coefficients: Floats) -> float:
        return -log_likelihood(positive, columns @ coefficients) / len(target)

    def gradient(coefficients: Floats) -> Floats:
        return np.asarray(columns.T @ (expit(columns @ coefficients) - target) / len(target))

    def information(coefficients: Floats) -> Floats:
        probability = expit(columns @ coefficients)
        return np.asarray((columns * (probability * (1 - probability))[:, None]).T @ columns / len(target))

    options = {"gtol": _TOLERANCE, "maxiter": _MOST_STEPS}
    start = np.zeros(columns.shape[1])
    try:
        found = minimize(loss, start, jac=gradient, hess=information, method="trust-exact", options=options)
        last_step = np.linalg.solve(information(found.x), gradient(found.x))
    except np.linalg.LinAlgError:
        return None
    near = np.abs(last_step).max() <= _FARTHEST * (1 + np.abs(found.x).max())
    return np.asarray((found.x - last_step) / scale) if found.success and near else None


def intercept_at_slope_one(positive: Bools, log_odds: Floats) -> float:
    """The intercept a at which sum(expit(a + log_odds)) is the number of positives; both classes must be there.

    The sum rises with a, and is too low at one end of the bracket and too high at the other: the root is always found.
    """
    share = float(positive.mean())
    prior = float(np.log(share / (1 - share)))
    low, high = prior - float(log_odds.max()) - 1.0, prior - float(log_odds.min()) + 1.0
    return float(brentq(lambda a: expit(a + log_odds).sum() - positive.sum(), low, high, xtol=1e-12, maxiter=1000))


def log_likelihood(positive: Bools, log_odds: Floats) -> float:
    """Of independent cases with these log-odds (n,)."""
    return float(-np.logaddexp(0, np.where(positive, -log_odds, log_odds)).sum())
