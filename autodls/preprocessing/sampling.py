"""Cubic B-spline samples of a plane, interpolated from the block of the volume that they need.

The spline's coefficients come from a recursive filter over the voxels (Unser, Aldroubi and Eden, IEEE Trans Signal
Process 1993;41:821-833) whose memory fades by |sqrt(3) - 2| = 0.27 a voxel. Filtering a block that reaches
`MARGIN_VOXELS` beyond the support of the samples therefore gives what filtering the volume gives; where the block
meets the border of the volume the mirrored boundary is the same. Agrees with ITK's BSplineInterpolateImageFunction.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autodls.errors import ArgumentError
from autodls.imaging.geometry import Points, Volume, transform_points

MARGIN_VOXELS = 8
_SUPPORT_VOXELS = 2  # a cubic B-spline reaches two voxels to either side
_BORDER = 1e-9  # rounding must not decide whether a point on the border is inside


def sample_points(volume: Volume, points_mm: Points, to_volume: NDArray[np.float64] | None = None) -> Points:
    """Cubic B-spline values of `volume` at LPS points [..., 3]; NaN outside the volume.

    `to_volume` is a homogeneous matrix [4, 4] in LPS mm, applied to the points first (`RigidResult.matrix`). A point is
    inside when its continuous index lies in [-0.5, size - 0.5) along every axis, as in ITK. Computes in float64.
    """
    placed = points_mm if to_volume is None else transform_points(to_volume, points_mm)
    places = volume.geometry.physical_to_index(placed)[..., ::-1]
    upper = np.asarray(volume.array.shape) - 0.5 - _BORDER
    inside = np.all((places >= -0.5 - _BORDER) & (places < upper), axis=-1)
    values = np.full(inside.shape, np.nan)
    if inside.any():
        values[inside] = _interpolate(volume.array, places[inside])
    return values


def _interpolate(array: NDArray[np.float32], places: Points) -> Points:
    """Values at indices (z, y, x) [N, 3], all inside `array`."""
    reach = _SUPPORT_VOXELS + MARGIN_VOXELS
    low = np.maximum(np.floor(places.min(axis=0)).astype(int) - reach, 0)
    high = np.minimum(np.ceil(places.max(axis=0)).astype(int) + reach + 1, array.shape)
    block = array[tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))]
    coefficients = ndimage.spline_filter(block.astype(np.float64), order=3, mode="mirror")
    values: Points = ndimage.map_coordinates(coefficients, (places - low).T, order=3, mode="mirror", prefilter=False)
    return values


def resize(pictures: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    """Square pictures [..., n, n] as [..., size_px, size_px], by linear interpolation between pixel centres.

    The borders of a picture stay where they are (`Plane.resized` moves its pixel centres alike).

    >>> resize(np.array([[[0.0, 1.0], [0.0, 1.0]]], dtype=np.float32), 4)[0, 0].tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    rows, columns = pictures.shape[-2:]
    if rows != columns or size_px < 1:
        raise ArgumentError(f"pictures of {rows} x {columns} to {size_px} pixels: they must be square and not empty")
    if rows == size_px:
        return pictures
    factors = [1.0] * (pictures.ndim - 2) + [size_px / rows] * 2
    resized: NDArray[np.float32] = ndimage.zoom(pictures, factors, order=1, mode="nearest", grid_mode=True)
    return resized
