"""Limits of AUCs that were made as if scores were fixed, for out-of-fold scores: see `shared_folds`."""

import math

from scipy.special import expit, logit

from autodls.evaluation.results import Estimate
from autodls.evaluation.shared_folds import OUT_OF_FOLD_VARIANCE

_WIDER = math.sqrt(OUT_OF_FOLD_VARIANCE)


def widened_auc(found: Estimate) -> Estimate:
    """An AUC with limits that were made as if scores were fixed, moved away from it on the logit scale.

    >>> wide = widened_auc(Estimate(value=0.8, low=0.7, high=0.9))
    >>> round(wide.low, 3), round(wide.high, 3)
    (0.651, 0.926)
    """
    if found.value is None or found.low is None or found.high is None or not 0 < found.value < 1:
        return found
    middle = logit(found.value)
    low, high = (float(expit(middle + _WIDER * (logit(limit) - middle))) for limit in (found.low, found.high))
    return found.model_copy(update={"low": low, "high": high})


def widened_difference(found: Estimate) -> Estimate:
    """The same of a difference of AUCs, within -1 and 1.

    >>> widened_difference(Estimate(value=0.0, low=-0.1, high=0.8)).high
    1.0
    """
    if found.value is None or found.low is None or found.high is None:
        return found
    low, high = (found.value + _WIDER * (limit - found.value) for limit in (found.low, found.high))
    return found.model_copy(update={"low": max(low, -1.0), "high": min(high, 1.0)})
