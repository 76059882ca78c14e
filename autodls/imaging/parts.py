"""Connected parts of a mask, and where the largest part is widest."""

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
TOUCHING: Bools = np.ones((3, 3, 3), dtype=np.bool_)  # voxels that share a corner are connected


def number_parts(mask: Bools) -> tuple[NDArray[np.int32], int]:
    """Connected parts of `mask` [three axes], numbered by volume, and how many there are: 1 is the largest, 0 none.

    Of equal parts that with the first voxel has the lower number.

    >>> number_parts(np.array([[[True, False, True, True]]]))
    (array([[[2, 0, 1, 1]]], dtype=int32), 2)
    """
    from scipy import ndimage  # whoever needs no parts goes without its import of 0.2 s

    labels, count = ndimage.label(mask, structure=TOUCHING)
    if count < 2:
        return labels, int(count)
    by_volume = np.argsort(-np.bincount(labels.ravel(), minlength=count + 1)[1:], kind="stable") + 1
    numbers = np.zeros(count + 1, dtype=np.int32)
    numbers[by_volume] = np.arange(1, count + 1)
    return numbers[labels], int(count)


def largest_run(areas: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the longest run of the largest of `areas`; of equally long runs the first.

    >>> largest_run(np.array([3, 1, 3, 3, 3, 2])).tolist()
    [2, 3, 4]
    """
    tied = np.flatnonzero(areas == areas.max())
    return max(np.split(tied, np.flatnonzero(np.diff(tied) > 1) + 1), key=len)


def middle(places: NDArray[np.int64]) -> int:
    """The middle one of `places`, the lower of two.

    >>> middle(np.array([4, 5, 6, 7]))
    5
    """
    return int(places[(len(places) - 1) // 2])
