"""Cubic B-splines through voxels, with mirrored borders: NumPy only, as importing SciPy takes longer than a case.

A cubic B-spline through values v is the sum of coefficients c times the basis function (Unser, Aldroubi and Eden, IEEE
Trans Signal Process 1993;41:821-833). The coefficients come from a recursive filter whose impulse response fades by
the pole z = sqrt(3) - 2 = -0.27 a voxel, so that `REACH_VOXELS` to either side are all that a value depends on.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from autodls.imaging.geometry import Points

POLE = math.sqrt(3.0) - 2.0
REACH_VOXELS = 14  # 0.27 ** 13 is 4e-8
_SUPPORT = np.arange(-1, 3)  # voxels that the basis function spans, from the one at or below a place
_TAPS = np.arange(1 - REACH_VOXELS, REACH_VOXELS + 1)
_RESPONSE = math.sqrt(3.0) * POLE ** np.abs(_SUPPORT[:, None] - _TAPS)

Indices = NDArray[np.int64]
Index = Sequence[int]
Float = TypeVar("Float", np.float32, np.float64)


def cardinal_weights(places: Points, size: int) -> tuple[Indices, Points]:
    """Voxels [n, tap] of a row of `size`, and their weights [n, tap], that give the spline's values at `places` [n].

    Filter and basis function in one: where samples form a grid along the axes of a volume, the values are weighted
    means along one axis after the other, and no coefficient is ever computed.

    >>> voxels, weights = cardinal_weights(np.array([4.0]), 20)
    >>> voxels[0, np.abs(weights[0]) > 1e-6]
    array([4])
    """
    below = np.floor(places).astype(np.int64)
    weights = _basis(places - below) @ _RESPONSE
    return _mirrored(below[:, None] + _TAPS, size), weights / weights.sum(axis=1, keepdims=True)


def coefficients(values: NDArray[Any], low: Index, high: Index) -> NDArray[np.float32]:
    """Coefficients from index `low` up to `high` (z, y, x), which may lie beyond the borders of `values` [z, y, x].

    One axis after the other is filtered and cut to what is asked for, that which loses most first.
    """
    spans = [slice(max(0, first - REACH_VOXELS), last + REACH_VOXELS) for first, last in zip(low, high, strict=True)]
    block = values[tuple(spans)].astype(np.float32)
    kept = [last - first for first, last in zip(low, high, strict=True)]
    for axis in sorted(range(3), key=lambda axis: kept[axis] / block.shape[axis]):
        wanted = _mirrored(np.arange(low[axis], high[axis]), values.shape[axis]) - spans[axis].start
        block = np.moveaxis(_filtered(np.moveaxis(block, axis, 0))[wanted], 0, axis)
    return block


def spline_at(values: NDArray[Any], places: Points) -> NDArray[np.float32]:
    """The spline through `values` [z, y, x] at `places` [axis, n], none of them far outside."""
    below = np.floor(places).astype(np.int64)
    first, last = below.min(axis=1) + _SUPPORT[0], below.max(axis=1) + _SUPPORT[-1]
    spline = np.ascontiguousarray(coefficients(values, first.tolist(), (last + 1).tolist()))
    z, y, x = below + _SUPPORT[0] - first[:, None]
    near = sliding_window_view(spline, (len(_SUPPORT),) * 3)[z, y, x]
    along_z, along_y, along_x = _basis((places - below).astype(np.float32))
    rows = np.einsum("nkji,ni->nkj", near, along_x)
    found: NDArray[np.float32] = np.einsum("nkj,nj,nk->n", rows, along_y, along_z)
    return found


def _filtered(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The recursive filter along the first axis: once up, once down.

    In C order, so that a step along the axis, whichever it was before, walks through neighbours in memory.
    """
    found = np.multiply(values, np.float32(6.0), order="C")
    horizon = np.arange(1, 1 + REACH_VOXELS)
    response = (POLE**horizon).astype(np.float32)
    found[0] += np.tensordot(response, found[_mirrored(horizon, len(found))], axes=1)
    for index in range(1, len(found)):
        found[index] += POLE * found[index - 1]
    found[-1] = POLE / (POLE**2 - 1) * (POLE * found[-2] + found[-1])
    for index in range(len(found) - 2, -1, -1):
        step = found[index]
        np.subtract(found[index + 1], step, out=step)
        step *= POLE
    return found


def _mirrored(index: Indices, size: int) -> Indices:
    """Indices beyond a row of `size`, reflected at the centres of its first and last voxel."""
    period = 2 * size - 2
    within = index % period
    return np.minimum(within, period - within)


def _basis(above: NDArray[Float]) -> NDArray[Float]:
    """The basis function at the four voxels around places that lie `above` one of them; the last axis is the voxels."""
    below = 1.0 - above
    near_above, near_below = (4.0 + above * above * (3.0 * above - 6.0)), (4.0 + below * below * (3.0 * below - 6.0))
    cubes: NDArray[Float] = np.stack([below * below * below, near_above, near_below, above * above * above], axis=-1)
    return cubes / 6.0
