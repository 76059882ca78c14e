"""From the scale of one fold's score to that of the mean of several, whose spread is narrower.

Recalibration is fitted out of fold, on the score s of one fold a case: logit P(positive | s) = a + b s. A new case gets
the mean m of the K folds' scores. Let the score of a case be, within its class, what all folds see in the case and what
one fold alone makes of it (the classical measurement-error model [1]_, with the mean of K replicates): every fold has
the class means mu1 and mu0 and the variance v, and two folds correlate by r. Then var(m) = v (1 + (K - 1) r) / K
(Spearman [2]_, Brown), while the class means stay. For normal scores of equal variance the logistic regression is the
linear discriminant, of slope (mu1 - mu0) / variance, so

    slope(m) / slope(s) = v / var(m) = K / (1 + (K - 1) r) = f.

A recalibration of single scores is too flat for the mean by the factor f: 1.67, 1.32, 1.14 for five folds at r = 0.5,
0.7, 0.85. Both regressions cross between the classes, where mean and single score are equally likely of either. The
crossing is put at the locked cut-off: it is then the same probability for single folds and for their mean.

References
----------
.. [1] Carroll, Ruppert, Stefanski, Crainiceanu. Measurement Error in Nonlinear Models. Chapman & Hall 2006, 4.4.2.
.. [2] Spearman. Correlation calculated from faulty data. Br J Psychol 1910;3:271-295.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from autodls.records.scale import LogisticScale, Vector

LEAST_PAIRS = 10  # beyond one a group: with fewer, a correlation says next to nothing

Pair = tuple[Vector, Vector, NDArray[np.bool_]]


def steepening(correlation: float, folds: int) -> float:
    """f above: how much steeper the slope is for the mean of `folds` scores; at least 1.

    >>> [round(steepening(r, 5), 2) for r in (0.5, 0.7, 0.85, 1.0)]
    [1.67, 1.32, 1.14, 1.0]
    """
    return folds / (1 + (folds - 1) * float(np.clip(correlation, 0, 1)))


def scale_of_mean(single: LogisticScale, correlation: float, folds: int, crossing: float) -> LogisticScale:
    """The recalibration of the mean of `folds` scores from that of a `single` one; both agree at the score `crossing`.

    >>> scale_of_mean(LogisticScale(slope=1.0, intercept=-0.5), 0.7, 5, 0.5).log_odds(np.array([0.5, 1.5])).round(2)
    array([0.  , 1.32])
    """
    factor = steepening(correlation, folds)
    intercept = single.intercept + single.slope * (1 - factor) * crossing
    return LogisticScale(slope=factor * single.slope, intercept=intercept)


def correlation_within_class(pairs: Iterable[Pair]) -> float | None:
    """The correlation of two folds' scores of the same cases within their class.

    A pair holds, for the early-stopping cases of one fold, the score by that fold [case], that by the fold which
    validates the case [case] and the label [case]: neither fold was trained on the case. Scores are taken about the
    means of their class and fold, and pooled. Location and spread that the common scale has left different between
    folds lower the correlation, as they lower the slope that was fitted across folds. None with fewer than
    `LEAST_PAIRS` cases more than groups, or where a score does not vary.
    """
    own, other, freedom = [], [], 0
    for by_own, by_other, labels in pairs:
        for group in (labels, ~labels):
            if group.any():
                own.append(by_own[group] - by_own[group].mean())
                other.append(by_other[group] - by_other[group].mean())
                freedom += int(group.sum()) - 1
    if freedom < LEAST_PAIRS:
        return None
    first, second = np.concatenate(own), np.concatenate(other)
    spread = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / spread if spread > 0 else None
