"""One training case reduced to a few numbers: what one process does for the fingerprint."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autodls.errors import DatasetError
from autodls.imaging.foreground import every_nth, foreground
from autodls.imaging.geometry import Geometry, Points, Triple, Volume
from autodls.imaging.volumes import read_roi, read_volume
from autodls.planning.tumour import Plane, components, extent_mm, roi_fault, shown, shown_share, tumour_box, volume_ml
from autodls.records.cohort import Case
from autodls.records.files import sha256_of_bytes, sha256_of_file

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


@dataclass(frozen=True)
class CaseMeasure:
    """One case: its sequences and its tumour."""

    sequences: dict[str, SequenceMeasure]
    extent_mm: dict[Plane, float]
    volume_ml: float
    components: int
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
    points_mm, box_mm = _roi_points(roi), tumour_box(roi)
    sequences = {}
    for sequence, path in case.images.items():
        volume = read_volume(path)
        if sequence == task.roi_channel:
            _require_sound(case, roi, volume.geometry)
        sequences[sequence] = _measure_sequence(volume, roi.geometry, points_mm, box_mm)
    return CaseMeasure(sequences, extent_mm(roi), volume_ml(roi), components(roi), case_inputs_sha256(case))


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


def _roi_points(roi: Volume) -> Points:
    """LPS mm, [n, 3], of at most `MAX_ROI_VOXELS` voxels of the ROI."""
    chosen = every_nth(np.flatnonzero(roi.array), MAX_ROI_VOXELS)
    index_zyx = np.unravel_index(chosen, roi.array.shape)
    return roi.geometry.index_to_physical(np.stack(index_zyx[::-1], axis=-1))


def _measure_sequence(volume: Volume, roi_grid: Geometry, points_mm: Points, box_mm: Points) -> SequenceMeasure:
    grid = volume.geometry
    inside = _nearest_voxels(volume, points_mm)
    return SequenceMeasure(
        spacing_mm=grid.spacing_mm,
        shape=grid.size_xyz,
        obliqueness_deg=grid.obliqueness_deg,
        head_percentiles=_percentiles(foreground(volume.array)),
        roi_percentiles=_percentiles(inside) if inside.size else None,
        same_grid_as_roi=grid.same_grid(roi_grid),
        overlap_with_roi=shown_share(box_mm, grid),
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
    """SHA-256 of every image and ROI file of a case, and of the parts they play, not of their names."""
    images = [f"image {sequence} {sha256_of_file(path)}" for sequence, path in sorted(case.images.items())]
    rois = [f"roi {sequence} {sha256_of_file(path)}" for sequence, path in sorted(case.rois.items())]
    own = [f"roi {sha256_of_file(case.roi)}"] if case.roi else []
    return sha256_of_bytes("\n".join([case.id, *images, *rois, *own]).encode())
