"""Scores in units of their standard deviation, so that a hazard ratio of them can be read."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import logit

from autodls.evaluation.arrays import Floats


@dataclass(frozen=True)
class PerSd:
    """Scores less their mean in units of `sd` (n,), of their log-odds where they are probabilities."""

    values: Floats
    sd: float
    scale: Literal["log-odds", "score"]


def per_sd(scores: Floats) -> PerSd:
    """`scores` (n,) standardised: log-odds where all lie between 0 and 1, without these, else as they are.

    Where they do not differ, or differ by more than a number can hold, all are 0 and so is the standard deviation.

    >>> found = per_sd(np.array([-2.0, 0.0, 2.0]))
    >>> found.values.tolist(), found.sd, found.scale
    ([-1.0, 0.0, 1.0], 2.0, 'score')
    >>> per_sd(np.array([-1e300, 0.0, 1e300])).values.tolist()
    [-1.0, 0.0, 1.0]
    """
    is_probability = bool(((scores > 0) & (scores < 1)).all())
    values = logit(scores) if is_probability else scores
    # Squares of large scores overflow; a power of two takes nothing from the digits of any.
    unit = 2.0 ** np.frexp(np.abs(values).max(initial=0.0))[1].clip(-1000, 1000)
    scaled = values / unit
    spread = float(scaled.std(ddof=1)) if len(values) > 1 and np.ptp(scaled) > 0 else 0.0
    sd = spread * float(unit)
    if not 0 < sd < np.inf:
        return PerSd(np.zeros(len(values)), 0.0, "log-odds" if is_probability else "score")
    standard = (scaled - scaled.mean()) / spread
    return PerSd(standard, sd, "log-odds" if is_probability else "score")
