"""Cut-off, confusion table, and the proportions read from it.

A case is called positive when its score is at or above the cut-off. A ratio without a denominator is None, never 0.

References
----------
.. [1] Youden. Index for rating diagnostic tests. Cancer 1950;3:32-35.
.. [2] Wilson. Probable inference, the law of succession, and statistical inference. JASA 1927;22:209-212.
.. [3] Brier. Verification of forecasts expressed in terms of probability. Mon Weather Rev 1950;78:1-3.
"""

import numpy as np
from numpy.typing import ArrayLike
from statsmodels.stats.proportion import proportion_confint

from autodls.errors import ArgumentError
from autodls.evaluation.delong import checked_pair
from autodls.evaluation.results import Confusion, Estimate, Ratio
from autodls.records.words import plural


def youden_cutoff(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """The observed score with the largest sensitivity + specificity - 1 [1]_, the lowest of ties; None with one class.

    >>> youden_cutoff([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
    0.4
    """
    positive, values = checked_pair(labels, scores)
    total = int(positive.sum())
    if total in (0, len(positive)):
        return None
    cutoffs, group = np.unique(values, return_inverse=True)
    positives = np.bincount(group, weights=positive)[::-1].cumsum()[::-1]
    negatives = np.bincount(group, weights=~positive)[::-1].cumsum()[::-1]
    # compared as integers, so that equal indices tie exactly
    index = positives * (len(positive) - total) - negatives * total
    return float(cutoffs[int(np.argmax(index))])


def class_medians_cutoff(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Half way between the median scores of the two classes; None with one class.

    Youden's cut-off is the extreme of a noisy curve: in small cohorts it falls far from where it would in large ones
    (standard error of the order of n ** -1/3). The medians of the classes are steadier, and averaging the folds of an
    ensemble, which pulls each class towards its middle, leaves them where they are.

    >>> class_medians_cutoff([0, 0, 0, 1, 1], [-3.0, -2.0, 0.5, -1.0, 3.0])
    -0.5
    """
    positive, values = checked_pair(labels, scores)
    if positive.all() or not positive.any():
        return None
    return float(np.median(values[positive]) + np.median(values[~positive])) / 2


def confusion_at(labels: ArrayLike, scores: ArrayLike, cutoff: float) -> Confusion:
    """Counts of the four outcomes when `scores >= cutoff` is called positive.

    >>> confusion_at([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.6], cutoff=0.6)
    Confusion(tp=1, fp=1, fn=1, tn=1)
    """
    positive, values = checked_pair(labels, scores)
    called = values >= cutoff
    return Confusion(
        tp=int((called & positive).sum()),
        fp=int((called & ~positive).sum()),
        fn=int((~called & positive).sum()),
        tn=int((~called & ~positive).sum()),
    )


def wilson(successes: int, total: int, level: float = 0.95) -> Estimate:
    """The proportion `successes` / `total` with Wilson's score interval [2]_; None where `total` is 0.

    Raises ArgumentError for a count that is not between 0 and `total`.

    >>> estimate = wilson(30, 37)
    >>> round(estimate.value, 3), round(estimate.low, 3), round(estimate.high, 3)
    (0.811, 0.658, 0.905)
    """
    if not 0 <= successes <= total:
        raise ArgumentError(f"{successes} successes of {total}: expected a count between 0 and {total}")
    if total == 0:
        return Estimate(reason="no case to divide by")
    low, high = wilson_limits(successes / total, total, level)
    return Estimate(value=successes / total, low=low, high=high)


def wilson_limits(share: float, size: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's limits of a `share` of `size` cases, which need not be a whole number."""
    low, high = proportion_confint(share * size, size, alpha=1 - level, method="wilson")
    return float(max(low, 0)), float(min(high, 1))


def proportions(confusion: Confusion) -> dict[str, Estimate]:
    """Sensitivity, specificity, PPV, NPV and accuracy of a confusion table, by name."""
    tp, fp, fn, tn = confusion.tp, confusion.fp, confusion.fn, confusion.tn
    return {
        "sensitivity": wilson(tp, tp + fn),
        "specificity": wilson(tn, tn + fp),
        "ppv": wilson(tp, tp + fp),
        "npv": wilson(tn, tn + fn),
        "accuracy": wilson(tp + tn, tp + fp + fn + tn),
    }


def youden_index(confusion: Confusion) -> Estimate:
    """Sensitivity + specificity - 1, without an interval; None with one class."""
    rates = proportions(confusion)
    sensitivity, specificity = rates["sensitivity"].value, rates["specificity"].value
    if sensitivity is None or specificity is None:
        return Estimate(reason="sensitivity or specificity is undefined with one class")
    return Estimate(value=sensitivity + specificity - 1)


def brier(labels: ArrayLike, probabilities: ArrayLike) -> Ratio:
    """Mean squared difference between probability and outcome [3]_; None for scores outside 0..1.

    >>> brier([0, 1], [0.5, 0.5]).value
    0.25
    """
    positive, values = checked_pair(labels, probabilities)
    if reason := not_probabilities(values):
        return Ratio(reason=reason)
    return Ratio(value=float(np.mean((values - positive) ** 2)))


def scaled_brier(labels: ArrayLike, probabilities: ArrayLike) -> Ratio:
    """1 less the Brier score over that of the prevalence given to everyone: 1 is perfect, 0 no better, below 0 worse.

    >>> scaled_brier([0, 1], [0.5, 0.5]).value, scaled_brier([0, 1], [0.0, 0.5]).value
    (0.0, 0.5)
    """
    positive, values = checked_pair(labels, probabilities)
    error, prevalence = brier(positive, values), float(positive.mean()) if len(positive) else 0.0
    if error.value is None or prevalence in (0.0, 1.0):
        return Ratio(reason=error.reason or "there is one class only")
    return Ratio(value=1 - error.value / (prevalence * (1 - prevalence)))


def not_probabilities(scores: ArrayLike) -> str | None:
    """Why `scores` (n,) cannot be read as probabilities, None when they can."""
    values = np.asarray(scores, dtype=np.float64)
    if not len(values):
        return "there are no cases"
    outside = values[(values < 0) | (values > 1)]
    return (
        f"{plural(len(outside), 'score')} outside 0..1, e.g. {outside[0]:g}: not a probability"
        if len(outside)
        else None
    )
