"""Cubic B-spline samples of a plane, interpolated from the voxels that they need.

What a sample needs reaches `REACH_VOXELS` around it; further voxels have faded from the spline's filter. Agrees with
ITK's BSplineInterpolateImageFunction on the whole volume.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodls.errors import ArgumentError
from autodls.imaging.geometry import Points, Volume, transform_points
from autodls.preprocessing.spline import cardinal_weights, spline_at

_BORDER = 1e-9  # rounding must not decide whether a point on the border is inside
_STRAIGHT_VOXELS = 1e-6  # what an image that is parallel to the planes may stray from them


def sample_points(volume: Volume, points_mm: Points, to_volume: NDArray[np.float64] | None = None) -> Points:
    """Cubic B-spline values of `volume` at LPS points [..., 3]; NaN outside the volume.

    `to_volume` is a homogeneous matrix [4, 4] in LPS mm, applied to the points first (`RigidResult.matrix`). A point is
    inside when its continuous index lies in [-0.5, size - 0.5) along every axis, as in ITK. Computes in float32. Points
    [row, column, 3] of a plane along the axes of the volume are interpolated axis by axis, at a tenth of the cost.
    """
    placed = points_mm if to_volume is None else transform_points(to_volume, points_mm)
    places = np.ascontiguousarray(np.moveaxis(volume.geometry.physical_to_index(placed), -1, 0)[::-1])
    upper = np.reshape(volume.array.shape, (3, *[1] * (places.ndim - 1))) - 0.5 - _BORDER
    inside = ((places >= -0.5 - _BORDER) & (places < upper)).all(axis=0)
    values = np.full(inside.shape, np.nan)
    if not inside.any():
        return values
    if drivers := _drivers(places):
        values[inside] = _on_grid(volume.array, np.clip(places, -0.5, upper), drivers)[inside]
    else:
        values[inside] = spline_at(volume.array, places[:, inside])
    return values


def _drivers(places: Points) -> tuple[int, int] | None:
    """Axes of the volume that run along the rows and the columns of `places` [axis, row, column]; None if oblique."""
    if places.ndim != 3:
        return None
    moved = np.array([np.ptp(places, axis=along).max(axis=1) > _STRAIGHT_VOXELS for along in (1, 2)])
    if (moved.sum(axis=1) != 1).any() or moved.all(axis=0).any():
        return None
    by_row, by_column = moved.argmax(axis=1).tolist()
    return by_row, by_column


def _on_grid(array: NDArray[Any], places: Points, drivers: tuple[int, int]) -> NDArray[np.float32]:
    """Values [row, column] where index `drivers[0]` depends on the row alone, `drivers[1]` on the column alone."""
    rows, columns = drivers
    normal = 3 - rows - columns
    lines = {normal: places[normal][0, :1], rows: places[rows][:, 0], columns: places[columns][0]}
    weighted = {axis: cardinal_weights(line, array.shape[axis]) for axis, line in lines.items()}
    low = [int(weighted[axis][0].min()) for axis in range(3)]
    high = [int(weighted[axis][0].max()) + 1 for axis in range(3)]
    block = array[tuple(map(slice, low, high))].transpose(normal, rows, columns).astype(np.float32)
    for axis in (normal, rows, columns):
        voxels, weights = weighted[axis]
        block = np.einsum("nt,ntab->abn", weights.astype(np.float32), block[voxels - low[axis]])
    plane: NDArray[np.float32] = block[0]
    return plane


def resize(pictures: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    """Crop pictures [..., n, n] as [..., size_px, size_px], by linear interpolation between pixel centres.

    The borders of a picture stay where they are (`Plane.resized` moves its pixel centres alike).

    >>> resize(np.array([[[0.0, 1.0], [0.0, 1.0]]], dtype=np.float32), 4)[0, 0].tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    rows, columns = pictures.shape[-2:]
    if rows != columns or size_px < 1:
        raise ArgumentError(f"pictures of {rows} x {columns} to {size_px} pixels: they must be square and not empty")
    centres = np.clip((np.arange(size_px) + 0.5) * rows / size_px - 0.5, 0, rows - 1)
    first = np.floor(centres).astype(np.int64)
    second = np.minimum(first + 1, rows - 1)
    share = (centres - first).astype(pictures.dtype)
    tall = pictures[..., first, :] * (1 - share)[:, None] + pictures[..., second, :] * share[:, None]
    resized: NDArray[np.float32] = tall[..., first] * (1 - share) + tall[..., second] * share
    return resized
