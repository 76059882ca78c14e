"""One training case reduced to a few numbers: what one process does for the fingerprint."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autodls.errors import DatasetError
from autodls.imaging.foreground import every_nth, foreground
from autodls.imaging.geometry import Geometry, Points, Triple, Volume
from autodls.imaging.volumes import read_roi, read_volume
from autodls.planning.copies import CaseVoxels, voxels_sha256
from autodls.planning.tumour import Plane, components, extent_mm, roi_fault, shown, shown_share, tumour_box, volume_ml
from autodls.records.cohort import Case
from autodls.records.files import sha256_of_bytes, sha256_of_input

PERCENTILES = (0.5, 5.0, 50.0, 95.0, 99.5)
MAX_ROI_VOXELS = 50_000


@dataclass(frozen=True)
class SequenceMeasure:
    """One sequence of one case; percentiles are `PERCENTILES` of its intensities, in the foreground and in the ROI."""

    spacing_mm: Triple
    shape: tuple[int, int, int]
    obliqueness_deg: float
    head_percentiles: tuple[float, ...]
    roi_percentiles: tuple[float, ...] | None
    same_grid_as_roi: bool
    overlap_with_roi: float

    @property
    def field_of_view_mm(self) -> Triple:
        """Voxels times spacing, in x, y, z."""
        x, y, z = (count * step for count, step in zip(self.shape, self.spacing_mm, strict=True))
        return x, y, z

    @property
    def median(self) -> float:
        """Of the intensities in the foreground."""
        return self.head_percentiles[PERCENTILES.index(50.0)]

    @property
    def contrast(self) -> dict[str, float]:
        """See `contrast`."""
        return contrast(self.head_percentiles, self.roi_percentiles)


def contrast(head: Sequence[float], roi: Sequence[float] | None) -> dict[str, float]:
    """What makes a T2WI look unlike a T1WI, whatever the unit: shares of the range from the 5th to the 95th percentile.

    `head` and `roi` are `PERCENTILES` of the foreground and of the tumour. Of "dark" and "bright" tails and the
    "middle", and of the "tumour" above the middle. Nothing where the range is empty.

    >>> contrast((0, 10, 40, 110, 160), (30, 50, 60, 70, 90))
    {'dark': 0.1, 'middle': 0.3, 'bright': 0.5, 'tumour': 0.2}
    """
    lowest, low, middle, high, highest = head
    span = high - low
    if span <= 0:
        return {}
    found = {"dark": low - lowest, "middle": middle - low, "bright": highest - high}
    if roi is not None:
        found["tumour"] = roi[PERCENTILES.index(50.0)] - middle
    return {name: value / span for name, value in found.items()}


@dataclass(frozen=True)
class CaseMeasure:
    """One case: its sequences and its tumour, its voxels, and the SHA-256 of all files that were read."""

    sequences: dict[str, SequenceMeasure]
    extent_mm: dict[Plane, float]
    volume_ml: float
    components: int
    voxels: CaseVoxels
    inputs_sha256: str


@dataclass(frozen=True)
class MeasureTask:
    """A case, the sequence that its ROI was drawn on, and the values that mean tumour."""

    case: Case
    roi_channel: str
    roi_labels: frozenset[int]


def measure_case(task: MeasureTask) -> CaseMeasure:
    """Read the images and the ROI of a case once, and measure them.

    Raises DatasetError where one cannot be read, or where the ROI is missing, empty, or not on its image.
    """
    case, roi = task.case, _drawn_roi(task)
    place = TumourPlace.of(roi)
    sequences, digests = {}, {}
    for sequence, path in case.images.items():
        volume = read_volume(path)
        if sequence == task.roi_channel:
            _require_sound(case, roi, volume.geometry)
        sequences[sequence] = measure_sequence(volume, place)
        if volume.array.min() < volume.array.max():
            digests[sequence] = voxels_sha256(volume.array)
    voxels = CaseVoxels(case.id, case.patient, digests, voxels_sha256(roi.array))
    return CaseMeasure(sequences, extent_mm(roi), volume_ml(roi), components(roi), voxels, case_inputs_sha256(case))


def _drawn_roi(task: MeasureTask) -> Volume:
    case = task.case
    if case.roi is None:
        raise DatasetError(
            f"case {case.id}: no ROI; training needs the tumour drawn on {task.roi_channel}, as labelsTr/{case.id}"
        )
    roi = read_roi(case.roi, task.roi_labels)
    _require_sound(case, roi, None)
    return roi


def _require_sound(case: Case, roi: Volume, image: Geometry | None) -> None:
    if fault := roi_fault(roi, image):
        raise DatasetError(f"case {case.id}: {case.roi}: {fault[0]}; {fault[1]}")


@dataclass(frozen=True)
class TumourPlace:
    """Where a tumour lies: its grid, points in it, [n, 3] LPS mm, and the box around it."""

    grid: Geometry
    points_mm: Points
    box_mm: Points

    @classmethod
    def of(cls, roi: Volume) -> "TumourPlace":
        """The place of an ROI that is not empty."""
        return cls(roi.geometry, _roi_points(roi), tumour_box(roi))


def _roi_points(roi: Volume) -> Points:
    """LPS mm, [n, 3], of at most `MAX_ROI_VOXELS` voxels of the ROI."""
    chosen = every_nth(np.flatnonzero(roi.array), MAX_ROI_VOXELS)
    index_zyx = np.unravel_index(chosen, roi.array.shape)
    return roi.geometry.index_to_physical(np.stack(index_zyx[::-1], axis=-1))


def measure_sequence(volume: Volume, tumour: TumourPlace) -> SequenceMeasure:
    """One sequence of a case whose tumour lies at `tumour`."""
    grid = volume.geometry
    inside = _nearest_voxels(volume, tumour.points_mm)
    return SequenceMeasure(
        spacing_mm=grid.spacing_mm,
        shape=grid.size_xyz,
        obliqueness_deg=grid.obliqueness_deg,
        head_percentiles=_percentiles(foreground(volume.array)),
        roi_percentiles=_percentiles(inside) if inside.size else None,
        same_grid_as_roi=grid.same_grid(tumour.grid),
        overlap_with_roi=shown_share(tumour.box_mm, grid),
    )


def _nearest_voxels(volume: Volume, points_mm: Points) -> NDArray[np.float32]:
    """Intensities at those of the points that the image shows."""
    grid = volume.geometry
    index = np.rint(grid.physical_to_index(points_mm[shown(points_mm, grid)])).astype(np.intp)
    x, y, z = np.clip(index, 0, np.asarray(grid.size_xyz) - 1).T
    intensities: NDArray[np.float32] = volume.array[z, y, x]
    return intensities


def _percentiles(intensities: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.percentile(intensities.astype(np.float64), PERCENTILES))


def case_inputs_sha256(case: Case) -> str:
    """SHA-256 of every image and ROI file of a case, and of the parts they play, not of their names.

    Raises DatasetError for one that cannot be read.
    """
    images = [f"image {sequence} {sha256_of_input(path)}" for sequence, path in sorted(case.images.items())]
    rois = [f"roi {sequence} {sha256_of_input(path)}" for sequence, path in sorted(case.rois.items())]
    own = [f"roi {sha256_of_input(case.roi)}"] if case.roi else []
    return sha256_of_bytes("\n".join([case.id, *images, *rois, *own]).encode())
