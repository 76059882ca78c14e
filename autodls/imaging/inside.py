"""What an image shows at the places of a tumour. NumPy only."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodls.imaging.foreground import every_nth
from autodls.imaging.geometry import Geometry, Points, Volume, bounding_box

MAX_ROI_VOXELS = 50_000
BLANK_SHARE = 0.9
SMALLEST_OVERLAP = 0.5  # of the box around a tumour: an image that shows less lies beside it by its header
_BOX_POINTS = 9

Indices = NDArray[np.intp]


def roi_points(roi: Volume, most: int = MAX_ROI_VOXELS) -> Points:
    """LPS mm, [n, 3], of at most `most` voxels of an ROI, evenly chosen."""
    chosen = every_nth(np.flatnonzero(roi.array), most)
    index_zyx = np.unravel_index(chosen, roi.array.shape)
    return roi.geometry.index_to_physical(np.stack(index_zyx[::-1], axis=-1))


def shown(points_mm: Points, grid: Geometry) -> NDArray[np.bool_]:
    """Which of the points [n, 3] lie in a voxel of `grid`."""
    index = grid.physical_to_index(points_mm)
    return np.asarray(((index >= -0.5) & (index <= np.asarray(grid.size_xyz) - 0.5)).all(axis=1))


def tumour_box(roi: Volume) -> Points:
    """Points in LPS mm, [729, 3], that are spread evenly over the box around the tumour on the ROI's grid."""
    box = bounding_box(roi.array)
    axes = [np.linspace(part.start - 0.5, part.stop - 0.5, 2 * _BOX_POINTS + 1)[1::2] for part in box[::-1]]
    return roi.geometry.index_to_physical(list(itertools.product(*axes)))


def shown_share(box_mm: Points, grid: Geometry) -> float:
    """Share of the points of a `tumour_box` that an image on `grid` shows."""
    return float(shown(box_mm, grid).mean())


def common_share(one: Geometry, other: Geometry) -> float:
    """Share of the smaller of two volumes that lies in the other, by points that are spread evenly over it."""
    small, large = sorted((one, other), key=lambda grid: float(np.prod(grid.size_xyz) * np.prod(grid.spacing_mm)))
    axes = [np.linspace(-0.5, size - 0.5, 2 * _BOX_POINTS + 1)[1::2] for size in small.size_xyz]
    return shown_share(small.index_to_physical(list(itertools.product(*axes))), large)


def nearest_voxels(volume: Volume, points_mm: Points) -> Indices:
    """Indices z, y, x, [3, n], of the voxels nearest to those of the points [n, 3] that the image shows."""
    grid = volume.geometry
    index = np.rint(grid.physical_to_index(points_mm[shown(points_mm, grid)])).astype(np.intp)
    return np.clip(index, 0, np.asarray(grid.size_xyz) - 1).T[::-1]


def blank_share(array: NDArray[Any], voxels_zyx: Indices) -> float:
    """Share of the voxels that all their six neighbours equal: padding, masked or burnt out; 0 of none.

    What was measured has noise, so hardly a voxel of it is blank, whatever its value; what was filled in has none,
    whatever was filled in. A tumour of one voxel is judged by its neighbours.
    """
    if not voxels_zyx.size:
        return 0.0
    z, y, x = voxels_zyx
    here = array[z, y, x]
    blank = np.ones(here.shape, dtype=np.bool_)
    for axis, size in enumerate(array.shape):
        for step in (-1, 1):
            beside = voxels_zyx.copy()
            beside[axis] = np.clip(beside[axis] + step, 0, size - 1)
            z, y, x = beside
            blank &= array[z, y, x] == here
    return float(blank.mean())


def is_blank(volume: Volume, points_mm: Points) -> bool:
    """Whether the image has no signal at the points [n, 3] that it shows, but for a tenth of them at most."""
    return blank_share(volume.array, nearest_voxels(volume, points_mm)) >= BLANK_SHARE
