"""Pictures in the three planes of a case, brought into the patient's own space."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autodls.imaging.geometry import Geometry, Points, Triple, Volume

_TIE = 1e-6  # rounding must not decide what is half way between two voxels


class PictureFrame(Protocol):
    """Where a picture lies: pixel (row, column) at origin + row * row_step + column * column_step, in LPS mm."""

    @property
    def origin_mm(self) -> Triple:
        """Centre of the first pixel."""

    @property
    def row_step_mm(self) -> Triple:
        """From a row to the next."""

    @property
    def column_step_mm(self) -> Triple:
        """From a column to the next."""


def paint_pictures(grid: Geometry, pictures: Iterable[tuple[PictureFrame, NDArray[np.float64]]]) -> Volume:
    """A float32 volume on `grid` that shows each picture [row, column] where it lies in the patient.

    Only voxels that a plane runs through get a value: that of the picture, by linear interpolation, at the foot of the
    perpendicular from the voxel's centre. Everywhere else the volume is 0, which does not mean that there was nothing
    to find. Where planes cross, the largest value stands.
    """
    painted = np.zeros(grid.size_xyz[::-1], dtype=np.float32)
    for frame, picture in pictures:
        _paint(painted, grid, frame, picture)
    return Volume(painted, grid)


def _paint(painted: NDArray[np.float32], grid: Geometry, frame: PictureFrame, picture: NDArray[np.float64]) -> None:
    steps = np.array([frame.row_step_mm, frame.column_step_mm])
    normal = _downward_normal(*steps)
    # Half the longest reach of a voxel across the plane makes one layer without holes.
    layer_mm = np.abs(normal @ grid.affine[:3, :3]).max() / 2
    low, high = _box(grid, frame, picture.shape, layer_mm * normal)
    indices = np.moveaxis(np.indices((high - low).tolist()), 0, -1) + low
    offsets = grid.index_to_physical(indices) - np.asarray(frame.origin_mm)
    places, distances_mm = np.split(np.linalg.solve(np.stack([*steps, normal], axis=1), offsets.reshape(-1, 3).T), [2])
    on_picture = np.all((places >= -0.5) & (places < np.array([picture.shape]).T - 0.5), axis=0)
    touched = on_picture & (distances_mm[0] >= -layer_mm - _TIE) & (distances_mm[0] < layer_mm - _TIE)
    values = ndimage.map_coordinates(picture, places[:, touched], order=1, mode="nearest")
    x, y, z = indices.reshape(-1, 3)[touched].T
    painted[z, y, x] = np.maximum(painted[z, y, x], values)


def _downward_normal(row_step_mm: Points, column_step_mm: Points) -> Points:
    """Unit normal that points to R, A or I: a plane between two layers then touches the one farther to L, P or S."""
    normal: Points = np.cross(row_step_mm, column_step_mm)
    length_mm = float(np.copysign(np.linalg.norm(normal), normal[np.abs(normal).argmax()]))
    return normal / -length_mm


def _box(
    grid: Geometry, frame: PictureFrame, size: tuple[int, ...], half_layer_mm: Points
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The part of the grid, from index (x, y, z) up to another, that holds every voxel the picture may touch."""
    rows, columns = np.asarray(frame.row_step_mm), np.asarray(frame.column_step_mm)
    corners = [
        np.asarray(frame.origin_mm) + row * rows + column * columns + side * half_layer_mm
        for row in (-0.5, size[0] - 0.5)
        for column in (-0.5, size[1] - 0.5)
        for side in (-1, 1)
    ]
    places = grid.physical_to_index(corners)
    low = np.clip(np.floor(places.min(axis=0)), 0, grid.size_xyz).astype(np.int64)
    high = np.clip(np.ceil(places.max(axis=0)) + 1, low, grid.size_xyz).astype(np.int64)
    return low, high
