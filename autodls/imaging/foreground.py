"""Which voxels of an image show the patient, at a cost that does not grow with the image. NumPy only."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_VOXELS = 200_000
AIR_SHARE = 0.1


def every_nth(values: NDArray[Any], most: int) -> NDArray[Any]:
    """At most `most` of `values`, flattened and taken at a regular stride; chance plays no part.

    The stride has no factor in common with the number of values, so that it never runs along one column of an image.

    >>> every_nth(np.arange(12), 4)
    array([ 0,  5, 10])
    """
    stride = max(1, -(-values.size // most))
    while stride > 1 and math.gcd(stride, values.size) > 1:
        stride += 1
    return values.ravel()[::stride]


def foreground(array: NDArray[Any], most: int = MOST_VOXELS) -> NDArray[Any]:
    """Voxels above air, of at most `most` that are looked at.

    Air is what lies in the lowest tenth of the range from the 1st to the 99th percentile: its noise stays below that,
    and most dark tissue above. Percentiles, because filtered images ring below zero and a single voxel would set the
    minimum. All voxels where none is above, as in an image of one value.
    """
    voxels = every_nth(array, most)
    low, high = np.percentile(voxels, [1, 99]).tolist()
    kept: NDArray[Any] = voxels[voxels > low + AIR_SHARE * (high - low)]
    return kept if kept.size else voxels
