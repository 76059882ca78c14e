"""An ROI drawn a little smaller, larger or elsewhere, in millimetres on any grid: how robust is what follows from it?

Erosion and dilation are those by a ball, between the centres of voxels: a step that is shorter than a voxel is long
changes nothing along that axis. A shift is not bound to whole voxels: the signed distance to the ROI's surface is
interpolated linearly (shape-based interpolation, Raya and Udupa 1990, 10.1109/42.52980). NumPy and SciPy only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autodls.errors import ArgumentError
from autodls.imaging.geometry import Points, Triple, Volume

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Perturbed:
    """The changed ROI on its old grid, or None and the reason why nothing is left of it."""

    roi: Volume | None
    reason: str | None = None


def erode(roi: Volume, radius_mm: float) -> Perturbed:
    """Keep the voxels whose distance to all voxels outside the ROI is more than `radius_mm`.

    What lies beyond the image is outside. Raises ArgumentError for a negative radius and an empty ROI.
    """
    _check(roi, radius_mm)
    deep = _distance_mm(roi.array, roi) > radius_mm
    return _perturbed(deep, roi, f"erosion by {radius_mm:g} mm leaves nothing of the ROI")


def dilate(roi: Volume, radius_mm: float) -> Perturbed:
    """Add the voxels whose distance to the ROI is at most `radius_mm`; never None.

    Raises ArgumentError for a negative radius and an empty ROI.
    """
    _check(roi, radius_mm)
    return Perturbed(Volume(_distance_mm(~roi.array, roi, beyond=False) <= radius_mm, roi.geometry))


def shift(roi: Volume, vector_mm: Triple) -> Perturbed:
    """Move the ROI by `vector_mm`, in LPS; what leaves the image is lost.

    Raises ArgumentError for an empty ROI and a vector that is not finite.
    """
    _check(roi, 0.0)
    if not np.isfinite(vector_mm).all():
        raise ArgumentError(f"shift of {vector_mm} mm: must be three finite numbers")
    grid = roi.geometry
    step_xyz = grid.physical_to_index(np.add(grid.origin_mm, vector_mm))
    whole = np.round(step_xyz[::-1], 9)  # rounding errors must not push a border voxel out of the image
    moved = ndimage.shift(_depth_mm(roi), whole, order=1, mode="constant", cval=-np.inf)
    by = ", ".join(f"{part:g}" for part in vector_mm)
    return _perturbed(moved > 0, roi, f"a shift by ({by}) mm leaves nothing of the ROI in the image")


def centroid_mm(roi: Volume) -> Points:
    """LPS mm [3] of the mean of the voxels of an ROI that is not empty."""
    index_zyx = np.array([places.mean() for places in np.nonzero(roi.array)])
    return roi.geometry.index_to_physical(index_zyx[::-1])


def _check(roi: Volume, radius_mm: float) -> None:
    if not 0 <= radius_mm < np.inf:
        raise ArgumentError(f"radius of {radius_mm:g} mm: must be 0 or more")
    if not roi.array.any():
        raise ArgumentError("the ROI is empty; there is nothing to erode, dilate or shift")


def _perturbed(array: Bools, roi: Volume, reason: str) -> Perturbed:
    return Perturbed(Volume(array, roi.geometry)) if array.any() else Perturbed(None, reason)


def _distance_mm(inside: Bools, roi: Volume, beyond: bool = True) -> Floats:
    """Distance in mm of every voxel of `inside` to the nearest one outside, between centres; 0 outside.

    `beyond`: whether what lies beyond the image counts as outside.
    """
    framed = np.pad(inside, 1) if beyond else inside
    found: Floats = ndimage.distance_transform_edt(framed, sampling=roi.geometry.spacing_mm[::-1])
    return found[1:-1, 1:-1, 1:-1] if beyond else found


def _depth_mm(roi: Volume) -> Floats:
    """Signed distance to the surface, which lies half way between voxels: positive inside the ROI."""
    return _distance_mm(roi.array, roi) - _distance_mm(~roi.array, roi, beyond=False)
