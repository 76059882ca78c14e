"""Times that differ by round-off are one time.

A follow-up that was computed (age at the event less age at the start) comes out as 2.0000000000000071 in one patient
and as 2.0 in another. Taken literally they are two times, and the hazard ratio changes. R's survival ties them before
anything else (`timefix`, `aeqSurv`; vignette 'tiedtimes'): neighbours no further apart than the square root of the
machine's precision, in units of time or as a share, become the first of them. R takes the share of the mean of all
times; here it is that of the neighbour itself, so that one absurd time (a code such as 99999999) ties no others.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TOLERANCE = float(np.sqrt(np.finfo(np.float64).eps))  # R's sqrt(.Machine$double.eps), 1.5e-8


def tied(times: Floats, *others: float) -> Floats:
    """`times` (n,) in which those that differ by round-off are equal, also to `others`, such as a landmark.

    >>> tied(np.array([2.1, 65.8 - 63.7, 3.0])).tolist()
    [2.0999999999999943, 2.0999999999999943, 3.0]
    """
    if not len(times):
        return times
    ordered = np.unique(np.concatenate([times, np.asarray(others, dtype=np.float64)]))
    starts = ordered[np.concatenate(([True], ~_alike(ordered[1:], ordered[:-1])))]
    found = starts[np.searchsorted(starts, times, side="right") - 1]
    for other in others:
        found[found == starts[np.searchsorted(starts, other, side="right") - 1]] = other
    return np.asarray(found)


def reaches(times: Floats, time: float) -> NDArray[np.bool_]:
    """Whether each of `times` (n,) is at or after `time`, or before it by round-off only."""
    return np.asarray((times >= time) | _alike(np.float64(time), times))


def _alike(later: Floats | np.float64, earlier: Floats) -> NDArray[np.bool_]:
    """Whether `later` is above `earlier` by round-off only."""
    return np.asarray(later - earlier <= TOLERANCE * np.maximum(np.abs(later), 1.0))
