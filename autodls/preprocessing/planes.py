"""The three planes of the largest tumour area, found without resampling the volume. NumPy only.

The isotropic frame is the grid of the ROI with its axes brought nearest to L, P and S, the centre of its first voxel
kept, and one spacing along all axes. A sample of the frame takes the ROI voxel that is nearest to it. As the axes of
both grids are parallel, that voxel is found axis by axis, and the area of a plane is a weighted sum over the voxels of
one ROI slice: nothing is resampled, and the cost is that of the tumour's bounding box.

How the stored pictures lie: axial rows run anterior to posterior and columns from the patient's right to left;
coronal rows run superior to inferior and columns from right to left; sagittal rows run superior to inferior and
columns anterior to posterior. In oblique scans these are the image axes nearest to the body axes.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from autodls.errors import ArgumentError, DatasetError
from autodls.imaging.geometry import (
    Geometry,
    Points,
    Triple,
    as_triple,
    as_triple_of_int,
    bounding_box,
    lps_orientation,
)

PlaneName = Literal["axial", "sagittal", "coronal"]
PLANES: tuple[PlaneName, ...] = get_args(PlaneName)

# A sample half way between two voxels takes the upper one, also where rounding puts it a little below.
_TIE = 1e-9


@dataclass(frozen=True)
class _Axes:
    """Axes of the isotropic frame (0 = L, 1 = P, 2 = S) of one plane; a reversed one runs against it."""

    normal: int
    rows: int
    columns: int
    rows_reversed: bool


_AXES: dict[PlaneName, _Axes] = {
    "axial": _Axes(normal=2, rows=1, columns=0, rows_reversed=False),
    "sagittal": _Axes(normal=0, rows=2, columns=1, rows_reversed=True),
    "coronal": _Axes(normal=1, rows=2, columns=0, rows_reversed=True),
}


@dataclass(frozen=True)
class Plane:
    """Where a square picture lies in the patient.

    Pixel (row, column) has its centre at `origin_mm + row * row_step_mm + column * column_step_mm`, in LPS mm.
    `index` is the number of the plane in the isotropic frame, `area_mm2` the area of the tumour in it; the area is 0
    only for a tumour that falls between the samples of the frame.
    """

    name: PlaneName
    index: int
    origin_mm: Triple
    row_step_mm: Triple
    column_step_mm: Triple
    size: tuple[int, int]
    area_mm2: float

    def points_mm(self) -> Points:
        """LPS mm of every pixel centre, [row, column, 3]."""
        rows, columns = np.indices(self.size, dtype=np.float64)
        along_rows: Points = rows[..., None] * np.asarray(self.row_step_mm)
        along_columns: Points = columns[..., None] * np.asarray(self.column_step_mm)
        return np.asarray(self.origin_mm) + along_rows + along_columns

    def resized(self, size_px: int) -> "Plane":
        """The same square with `size_px` pixels a side: borders stay, pixel centres move.

        >>> plane = Plane("axial", 0, (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (10, 10), 1.0)
        >>> plane.resized(20).origin_mm
        (-0.25, -0.25, 0.0)
        """
        factors = np.asarray(self.size) / size_px
        row_step, column_step = np.asarray(self.row_step_mm), np.asarray(self.column_step_mm)
        shift = (factors[0] - 1) / 2 * row_step + (factors[1] - 1) / 2 * column_step
        return Plane(
            self.name,
            self.index,
            as_triple(np.asarray(self.origin_mm) + shift),
            as_triple(row_step * factors[0]),
            as_triple(column_step * factors[1]),
            (size_px, size_px),
            self.area_mm2,
        )


def isotropic_frame(grid: Geometry, spacing_mm: float) -> Geometry:
    """The isotropic frame of `grid`: nearest to LPS, first voxel kept, max(1, round(size * spacing / isotropic)).

    >>> isotropic_frame(Geometry((40, 48, 12), (0.5, 0.5, 5.0)), 1.0).size_xyz
    (20, 24, 60)
    """
    turned = lps_orientation(grid).geometry(grid)
    size = (
        max(1, round(count * step / spacing_mm)) for count, step in zip(turned.size_xyz, turned.spacing_mm, strict=True)
    )
    return Geometry(as_triple_of_int(size), (spacing_mm,) * 3, turned.origin_mm, turned.direction)


def find_planes(
    roi: NDArray[np.bool_], grid: Geometry, spacing_mm: float, crop_mm: float
) -> tuple[Plane, Plane, Plane]:
    """Axial, sagittal and coronal plane of the largest tumour area, cropped to round(crop_mm / spacing_mm) samples.

    `roi` [z, y, x] lies on `grid`. Of planes with the same area the one with the lowest index is taken. A crop is
    centred on the bounding box of the tumour in its plane, to the sample; it may reach beyond the frame. A tumour so
    small that it falls between all samples of the frame is represented by the sample nearest to its centre, and has
    area 0. Raises DatasetError for an empty ROI.
    """
    if crop_mm < spacing_mm:
        raise ArgumentError(f"crop of {crop_mm:g} mm on a grid of {spacing_mm:g} mm: it must hold a sample at least")
    if not roi.any():
        raise DatasetError("the ROI is empty; draw the tumour, or take the case out of the table")
    frame = isotropic_frame(grid, spacing_mm)
    tumour = _look_up(roi, grid, frame)
    side = round(crop_mm / spacing_mm)
    axial, sagittal, coronal = (_plane(name, tumour, frame, side) for name in PLANES)
    return axial, sagittal, coronal


@dataclass(frozen=True)
class _Tumour:
    """The ROI in its bounding box, with axes L, P, S, and what the samples of the frame take from it.

    `voxels[axis]` gives, for each sample of the frame along `axis`, the index in `mask` that it takes; -1 outside.
    """

    mask: NDArray[np.bool_]
    voxels: tuple[NDArray[np.int64], ...]
    is_sampled: bool = True

    def counts(self, axis: int) -> NDArray[np.int64]:
        """How many samples of the frame take each index along `axis`."""
        voxels = self.voxels[axis]
        return np.bincount(voxels[voxels >= 0], minlength=self.mask.shape[axis])

    def areas(self, axis: int) -> NDArray[np.int64]:
        """Samples inside the tumour in each plane of the frame normal to `axis`."""
        first, second = (other for other in range(3) if other != axis)
        slices = np.moveaxis(self.mask, axis, 0).astype(np.int64)
        per_slice = slices @ self.counts(second) @ self.counts(first)
        voxels = self.voxels[axis]
        return np.where(voxels >= 0, per_slice[voxels], 0)

    def extent(self, normal: int, index: int, axis: int) -> tuple[int, int]:
        """First and last sample of the tumour along `axis`, in plane `index` normal to `normal`."""
        third = 3 - normal - axis
        in_plane = np.moveaxis(self.mask, (normal, axis, third), (0, 1, 2))[self.voxels[normal][index]]
        touched = in_plane[:, self.counts(third) > 0].any(axis=1)
        voxels = self.voxels[axis]
        samples = np.flatnonzero((voxels >= 0) & touched[voxels])
        return int(samples[0]), int(samples[-1])


def _look_up(roi: NDArray[np.bool_], grid: Geometry, frame: Geometry) -> _Tumour:
    orientation = lps_orientation(grid)
    mask = orientation.array(roi).T
    box = bounding_box(mask)
    ratios = [frame.spacing_mm[axis] / grid.spacing_mm[orientation.axes[axis]] for axis in range(3)]
    places = [np.arange(count, dtype=np.float64) * ratio for count, ratio in zip(frame.size_xyz, ratios, strict=True)]
    tumour = _Tumour(mask[box], tuple(_voxels_in(place, span) for place, span in zip(places, box, strict=True)))
    if tumour.areas(0).any():
        return tumour
    single = tuple(_nearest_only(place, span) for place, span in zip(places, box, strict=True))
    return _Tumour(np.ones((1, 1, 1), dtype=np.bool_), single, is_sampled=False)


def _voxels_in(places: Points, span: slice) -> NDArray[np.int64]:
    nearest = np.floor(places + 0.5 + _TIE).astype(np.int64)
    return np.where((nearest >= span.start) & (nearest < span.stop), nearest - span.start, -1)


def _nearest_only(places: Points, span: slice) -> NDArray[np.int64]:
    middle = (span.start + span.stop - 1) / 2
    return np.where(np.arange(places.size) == np.abs(places - middle).argmin(), 0, -1)


def _plane(name: PlaneName, tumour: _Tumour, frame: Geometry, side: int) -> Plane:
    axes = _AXES[name]
    areas = tumour.areas(axes.normal)
    index = int(areas.argmax())
    first_sample = np.zeros(3)
    first_sample[axes.normal] = index
    for axis in (axes.rows, axes.columns):
        low, high = tumour.extent(axes.normal, index, axis)
        first_sample[axis] = (low + high - side + 1) // 2
    steps = frame.affine[:3, :3].T
    row_step = steps[axes.rows]
    if axes.rows_reversed:
        first_sample[axes.rows] += side - 1
        row_step = -row_step
    return Plane(
        name,
        index,
        as_triple(frame.index_to_physical(first_sample)),
        as_triple(row_step),
        as_triple(steps[axes.columns]),
        (side, side),
        float(areas[index]) * frame.spacing_mm[0] ** 2 if tumour.is_sampled else 0.0,
    )
