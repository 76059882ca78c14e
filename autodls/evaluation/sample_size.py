"""How many patients an AUC takes to be known, and how far labels that are themselves uncertain let it go.

References
----------
.. [1] Hanley, McNeil. The meaning and use of the area under a receiver operating characteristic curve. Radiology
       1982;143:29-36 (the variance of an AUC of which only the value is known).
.. [2] Kraemer. Ramifications of a population model for kappa as a coefficient of reliability. Psychometrika
       1979;44:461-472.
"""

import math

from scipy.special import expit, logit

from autodls.errors import ArgumentError

_Z_95 = 1.959963984540054
_MOST = 10_000_000


def auc_variance(auc: float, positives: float, negatives: float) -> float:
    """Of an AUC by Hanley and McNeil [1]_."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return spread / (positives * negatives)


def cases_for_auc(auc: float, prevalence: float, half_width: float) -> int:
    """The fewest new cases whose AUC, were it `auc`, has a 95 % interval of at most plus or minus `half_width`.

    One case a patient, a cohort that nothing was fitted to, and the interval on the logit scale that is printed; half
    of its length counts. Raises ArgumentError for what cannot be.

    >>> cases_for_auc(0.8, 0.4, 0.05)
    344
    """
    if not (0.5 <= auc < 1 and 0 < prevalence < 1 and 0 < half_width < 0.5):
        raise ArgumentError(
            f"AUC {auc:g}, prevalence {prevalence:g}, half width {half_width:g}: expected 0.5 to 1, 0 to 1 and 0 to 0.5"
        )

    def half(n: int) -> float:
        error = math.sqrt(auc_variance(auc, n * prevalence, n * (1 - prevalence))) / (auc * (1 - auc))
        middle = float(logit(auc))
        return float(expit(middle + _Z_95 * error) - expit(middle - _Z_95 * error)) / 2

    low, high = math.ceil(2 / min(prevalence, 1 - prevalence)), _MOST
    while low < high:
        n = (low + high) // 2
        low, high = (low, n) if half(n) <= half_width else (n + 1, high)
    return low


def auc_ceiling(kappa: float, prevalence: float, auc: float = 1.0) -> float:
    """The AUC against labels of one reader of a score whose AUC against the truth is `auc`.

    `kappa` is the agreement of two such readers on this cut of the target, `prevalence` the share that a reader calls
    positive. Supposed is that readers err independently of each other and of the score, as often in either class. Two
    of them then agree by kappa = (q - e)(1 - q - e) / (q (1 - q)) at the error rate e [2]_, and as pairs of labels that
    differ may be wrong, AUC - 1/2 shrinks by PPV + NPV - 1. Readers who err alike, as on one stained slide, agree
    better than they are right: the ceiling is then lower than this says.

    >>> auc_ceiling(1.0, 0.4), round(auc_ceiling(0.7, 0.4), 3)
    (1.0, 0.915)
    """
    if not (0 < kappa <= 1 and 0 < prevalence < 1 and 0.5 <= auc <= 1):
        raise ArgumentError(
            f"kappa {kappa:g}, prevalence {prevalence:g}, AUC {auc:g}: expected 0 to 1, 0 to 1 and 0.5 to 1"
        )
    q = prevalence
    error = (1 - math.sqrt(1 - 4 * q * (1 - q) * (1 - kappa))) / 2
    true = (q - error) / (1 - 2 * error)
    ppv, npv = (1 - error) * true / q, (1 - error) * (1 - true) / (1 - q)
    return 0.5 + (auc - 0.5) * (ppv + npv - 1)
