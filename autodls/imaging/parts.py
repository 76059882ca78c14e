"""Connected parts of a mask, and where the largest part is widest. NumPy only: SciPy takes 0.2 s to import, more than
finding the planes of a tumour takes.
"""

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Runs = NDArray[np.int32]
_ONWARD = ((0, 1), (1, -1), (1, 0), (1, 1))  # from a row of voxels to half of its neighbours; the others look back


def number_parts(mask: Bools) -> tuple[Runs, int]:
    """Connected parts of `mask` [three axes], numbered by volume, and how many there are: 1 is the largest, 0 none.

    Voxels that share a corner are connected. Of equal parts that with the first voxel has the lower number. Runs of
    voxels along the last axis that touch take the lowest number among them until nothing changes.

    >>> number_parts(np.array([[[True, False, True, True]]]))
    (array([[[2, 0, 1, 1]]], dtype=int32), 2)
    """
    runs, count = _runs(mask)
    first = np.arange(count + 1)  # of the part that a run belongs to
    one, other = _touching(runs)
    while True:
        lowest = np.minimum(first[one], first[other])
        joined = first.copy()
        np.minimum.at(joined, first[one], lowest)
        np.minimum.at(joined, first[other], lowest)
        joined = joined[joined]
        if np.array_equal(joined, first):
            break
        first = joined
    parts, of_run = np.unique(first, return_inverse=True)  # the first is what lies outside
    voxels = np.bincount(of_run[runs.ravel()], minlength=len(parts))[1:]
    numbers = np.zeros(len(parts), dtype=np.int32)
    numbers[1 + np.argsort(-voxels, kind="stable")] = np.arange(1, len(parts))
    return numbers[of_run][runs], len(parts) - 1


def _runs(mask: Bools) -> tuple[Runs, int]:
    """The number of its run along the last axis in every voxel of `mask`, 0 outside, and how many there are."""
    starts = mask.copy()
    starts[..., 1:] &= ~mask[..., :-1]
    runs = np.cumsum(starts, dtype=np.int32).reshape(mask.shape)
    return runs * mask, int(runs[-1, -1, -1])


def _touching(runs: Runs) -> tuple[Runs, Runs]:
    """Pairs of runs in neighbouring rows that touch, also at a corner.

    They do where they overlap once each is longer by a voxel, for which there is room: between two runs lies one.
    """
    longer = np.pad(runs, ((0, 0), (0, 0), (0, 1)))
    longer[..., 1:] += np.where(longer[..., 1:] == 0, runs, 0)
    pairs = []
    for slices, rows in _ONWARD:
        here, there = longer[: len(longer) - slices], longer[slices:]
        here, there = (here[:, : here.shape[1] - rows], there[:, rows:]) if rows >= 0 else (here[:, 1:], there[:, :-1])
        both = (here > 0) & (there > 0)
        pair = np.stack([here[both], there[both]])
        changes = np.ones(pair.shape[1], dtype=np.bool_)
        changes[1:] = (pair[:, 1:] != pair[:, :-1]).any(axis=0)
        pairs.append(pair[:, changes])
    one, other = np.concatenate(pairs, axis=1)
    return one, other


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
