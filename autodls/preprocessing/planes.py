"""The three planes of the largest tumour area, found without resampling the volume.

The isotropic frame is the grid of the ROI with its axes brought nearest to L, P and S, the centre of its first voxel
kept, and one spacing along all axes. Planes are chosen and centred by the largest connected part of the tumour: between
two lesions that lie far apart there is no tumour. What else of the tumour lies in a picture is in it, and how much does
not is said.

How the stored pictures lie: axial rows run anterior to posterior and columns from the patient's right to left;
coronal rows run superior to inferior and columns from right to left; sagittal rows run superior to inferior and
columns anterior to posterior. In oblique scans these are the image axes nearest to the body axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from autodls.errors import ArgumentError, DatasetError
from autodls.imaging.geometry import Geometry, Points, Triple, as_triple, as_triple_of_int, lps_orientation
from autodls.preprocessing.sections import Sections, sections_of
from autodls.preprocessing.shown import Shown
from autodls.records.plane_names import PlaneName

PLANES: tuple[PlaneName, ...] = get_args(PlaneName)


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
    `index` is the number of the plane in the isotropic frame, `area_mm2` the area in it of the tumour's largest part;
    the area is 0 only for one that falls between the samples of the frame.
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


@dataclass(frozen=True)
class Choice:
    """The planes of a tumour, and how much of it they show."""

    planes: tuple[Plane, Plane, Plane]
    shown: Shown


def find_planes(
    roi: NDArray[np.bool_], grid: Geometry, spacing_mm: float, crop_mm: float
) -> tuple[Plane, Plane, Plane]:
    """Axial, sagittal and coronal plane of the largest tumour area, cropped to round(crop_mm / spacing_mm) samples.

    See `choose_planes`.
    """
    return choose_planes(roi, grid, spacing_mm, crop_mm, crop_mm).planes


def choose_planes(roi: NDArray[np.bool_], grid: Geometry, spacing_mm: float, crop_mm: float, seen_mm: float) -> Choice:
    """Axial, sagittal and coronal plane, cropped to round(crop_mm / spacing_mm) samples, and what they show.

    `roi` [z, y, x] lies on `grid`. Of the parts that are connected (voxels that share a corner are) the one of the
    largest volume is looked for, of equal ones the one that begins farthest to I, then A, then R. The plane is that of
    its largest area; among planes of the same area the middle one, at the centre of the slice of the ROI's grid that it
    shows (`Sections.largest`). A crop is centred on the bounding box of that part in its plane, to the sample; it may
    reach beyond the frame. `seen_mm` is the side of the middle of a crop that the network sees. A part so small that it
    falls between all samples of the frame is represented by the sample nearest to its centre, and has area 0. Raises
    DatasetError for an empty ROI.
    """
    if crop_mm < spacing_mm:
        raise ArgumentError(f"crop of {crop_mm:g} mm on a grid of {spacing_mm:g} mm: it must hold a sample at least")
    if not roi.any():
        raise DatasetError("the ROI is empty; draw the tumour, or leave the case out")
    frame = isotropic_frame(grid, spacing_mm)
    sections = sections_of(roi, grid, frame)
    side = round(crop_mm / spacing_mm)
    placed = [_place(name, sections, side) for name in PLANES]
    axial, sagittal, coronal = (_plane(place, sections, frame) for place in placed)
    voxel_ml = float(np.prod(grid.spacing_mm)) / 1000
    return Choice((axial, sagittal, coronal), _shown(placed, sections, seen_mm / spacing_mm, voxel_ml))


@dataclass(frozen=True)
class _Place:
    """A crop in samples of the frame: the plane along its normal, its first sample along rows and columns."""

    name: PlaneName
    index: int
    first: dict[int, int]
    side: int


def _place(name: PlaneName, sections: Sections, side: int) -> _Place:
    axes = _AXES[name]
    index = sections.largest(axes.normal)
    spans = {axis: sections.extent(axes.normal, index, axis) for axis in (axes.rows, axes.columns)}
    return _Place(name, index, {axis: (low + high - side + 1) // 2 for axis, (low, high) in spans.items()}, side)


def _plane(place: _Place, sections: Sections, frame: Geometry) -> Plane:
    axes, side = _AXES[place.name], place.side
    first_sample = np.zeros(3)
    first_sample[axes.normal] = place.index
    for axis, first in place.first.items():
        first_sample[axis] = first
    steps = frame.affine[:3, :3].T
    row_step = steps[axes.rows]
    if axes.rows_reversed:
        first_sample[axes.rows] += side - 1
        row_step = -row_step
    area = float(sections.areas(axes.normal)[place.index]) * frame.spacing_mm[0] ** 2
    return Plane(
        place.name,
        place.index,
        as_triple(frame.index_to_physical(first_sample)),
        as_triple(row_step),
        as_triple(steps[axes.columns]),
        (side, side),
        area if sections.is_sampled else 0.0,
    )


def _shown(placed: Sequence[_Place], sections: Sections, seen: float, voxel_ml: float) -> Shown:
    """What lies within `seen` samples around the middle of each crop."""
    shares, found = [], set[int]()
    for place in placed:
        middles = {axis: first + (place.side - 1) / 2 for axis, first in place.first.items()}
        windows = {axis: (middle - seen / 2, middle + seen / 2) for axis, middle in middles.items()}
        share, parts = sections.seen(_AXES[place.name].normal, place.index, windows)
        shares.append(share)
        found |= parts
    axial, sagittal, coronal = shares
    volumes_ml = sections.voxels_of_parts * voxel_ml
    unseen = [part for part in range(1, sections.parts + 1) if part not in found]
    unseen_ml = float(sum(volumes_ml[part - 1] for part in unseen))
    return Shown((axial, sagittal, coronal), sections.parts, len(unseen), float(volumes_ml.sum()), unseen_ml)
