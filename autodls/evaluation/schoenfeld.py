"""Score test of proportional hazards, as R's `cox.zph` makes it since survival 3.0.

With the coefficient beta(t) = beta + theta g(t), the test is of theta = 0 at the fitted beta [1]_. At every event the
Schoenfeld residual, the covariate less its mean over those at risk, weighs g; its variance is that of the covariate
over those at risk, so nothing is taken to be the same at all times (as the approximation of earlier versions does).
Tied events share the risk set by Efron's rule.

References
----------
.. [1] Grambsch, Therneau. Proportional hazards tests and diagnostics based on weighted residuals. Biometrika
       1994;81:515-526.
.. [2] Therneau, Grambsch. Modeling survival data: extending the Cox model. Springer 2000, 6.2; the score test: R
       package survival, `cox.zph` and `zph1.c`.
"""

import numpy as np
from scipy.stats import chi2

from autodls.evaluation.arrays import Bools, Floats


def proportional_hazards_p(
    times: Floats, events: Bools, covariate: Floats, coefficient: float, transformed: Floats
) -> float | None:
    """P of the test at the fitted `coefficient`, all arrays (n,); `transformed` is g at each time.

    Times that are ties must be equal. None where the residuals say nothing of g.
    """
    residual, variance = residuals(times, events, covariate, coefficient)
    g = transformed[events] - transformed[events].mean()
    crossed, own = float((g * variance).sum()), float((g**2 * variance).sum())
    total = float(variance.sum())
    information = own - crossed**2 / total if total > 0 else 0.0
    if not information > 1e-12 * max(own, 1e-300):
        return None
    return float(chi2.sf(float((g * residual).sum()) ** 2 / information, 1))


def residuals(times: Floats, events: Bools, covariate: Floats, coefficient: float) -> tuple[Floats, Floats]:
    """Schoenfeld residual and variance of the covariate (events,) at each event, in the order of the rows.

    Of d tied events the k-th (k = 0..d-1) sees those at risk with the d weighing (1 - k / d) of their own; each has the
    mean of the d means and of the d variances.
    """
    centred = covariate - covariate.mean()
    exponent = coefficient * centred
    weights = np.exp(exponent - exponent.max())
    moments = np.stack([weights, weights * centred, weights * centred**2])
    unique, member = np.unique(times, return_inverse=True)
    at_risk = _sums(moments, member, len(unique))[:, ::-1].cumsum(axis=1)[:, ::-1]
    failing = _sums(moments * events, member, len(unique))
    tied = np.bincount(member[events], minlength=len(unique))
    means, variances = np.zeros(len(unique)), np.zeros(len(unique))
    for rank in range(int(tied.max())):
        held = np.flatnonzero(tied > rank)
        sums = at_risk[:, held] - rank / tied[held] * failing[:, held]
        mean = sums[1] / sums[0]
        means[held] += mean / tied[held]
        variances[held] += (sums[2] / sums[0] - mean**2) / tied[held]
    own = member[events]
    return centred[events] - means[own], variances[own]


def _sums(moments: Floats, member: np.ndarray[tuple[int], np.dtype[np.intp]], size: int) -> Floats:
    """Sums (moments, size) of `moments` (moments, n) by distinct time."""
    return np.stack([np.bincount(member, row, size) for row in moments])
