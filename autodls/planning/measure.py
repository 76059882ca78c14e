"""One training case reduced to a few numbers: what one process does for the fingerprint."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodls.errors import DatasetError
from autodls.imaging.foreground import foreground
from autodls.imaging.geometry import Geometry, Points, Volume
from autodls.imaging.inside import (
    BLANK_SHARE,
    blank_share,
    nearest_voxels,
    roi_points,
    shown_share,
    tumour_box,
)
from autodls.imaging.lesions import tell_lesions
from autodls.imaging.rois import read_roi_on
from autodls.imaging.volumes import read_geometry, read_roi, read_volume
from autodls.planning.copies import CaseVoxels, voxels_sha256
from autodls.planning.image_fault import image_faults
from autodls.planning.sequence_measure import PERCENTILES, SequenceMeasure
from autodls.planning.tumour import LEAST_LESION_MM3, extent_mm, part_volumes_ml, roi_fault, volume_ml
from autodls.records.case import Case
from autodls.records.files import sha256_of_bytes, sha256_of_input
from autodls.records.plane_names import PlaneName
from autodls.records.preprocessing_plan import MOST_LESIONS
from autodls.records.roi_labels import LesionsBy


@dataclass(frozen=True)
class CaseMeasure:
    """One case: its sequences, its tumour and its parts, its voxels, and the SHA-256 of all files that were read."""

    sequences: dict[str, SequenceMeasure]
    extent_mm: dict[PlaneName, float]
    volume_ml: float
    parts_ml: tuple[float, ...]
    lesions: int | None
    voxels: CaseVoxels
    inputs_sha256: str


@dataclass(frozen=True)
class MeasureTask:
    """A case, the sequence that its ROI was drawn on, the values that mean tumour, and how lesions are told apart."""

    case: Case
    roi_channel: str
    roi_labels: frozenset[int]
    lesions: LesionsBy | None = None


def measure_case(task: MeasureTask) -> CaseMeasure:
    """Read the images and the ROI of a case once, and measure them.

    Raises DatasetError where one cannot be read, where an image cannot be used, where the ROI is missing, and where it,
    or one on another channel, is empty or not on its image.
    """
    case, roi = task.case, _drawn_roi(task)
    for sequence, path in case.rois.items():
        _sound_roi(task, sequence, path)
    place = TumourLocation.of(roi)
    sequences, digests = {}, {}
    for sequence, path in case.images.items():
        volume = read_volume(path)
        for what, repair in image_faults(sequence, volume):
            raise DatasetError(f"case {case.id}: {what}; {repair}")
        sequences[sequence] = measure_sequence(volume, place)
        digests[sequence] = voxels_sha256(volume.array)
    voxels = CaseVoxels(case.id, case.patient, digests, voxels_sha256(roi.array))
    inputs = case_inputs_sha256(case)
    extent, parts_ml, lesions = extent_mm(roi), part_volumes_ml(roi), _count_lesions(task, case.roi, roi)
    return CaseMeasure(sequences, extent, volume_ml(roi), parts_ml, lesions, voxels, inputs)


def _count_lesions(task: MeasureTask, path: Path | None, roi: Volume) -> int | None:
    """How many lesions a case has, None where they are not told apart; raises DatasetError for more than plans take."""
    if task.lesions is None or path is None:
        return None
    drawn = roi if task.lesions == "components" else read_roi(path, task.roi_labels, keep_values=True)
    found = len(tell_lesions(drawn, task.lesions, LEAST_LESION_MM3).places)
    if found > MOST_LESIONS:
        raise DatasetError(
            f"case {task.case.id}: {path}: {found} lesions of {LEAST_LESION_MM3:g} mm3 or more, expected at most "
            f"{MOST_LESIONS}; remove what is no lesion from the ROI"
        )
    return found


def _drawn_roi(task: MeasureTask) -> Volume:
    case = task.case
    if case.roi is None:
        raise DatasetError(
            f"case {case.id}: no ROI; training needs the tumour drawn on {task.roi_channel}, as labelsTr/{case.id}"
        )
    return _sound_roi(task, task.roi_channel, case.roi)


def _sound_roi(task: MeasureTask, sequence: str, path: Path) -> Volume:
    """The ROI at `path`, drawn on `sequence`; raises DatasetError."""
    image = task.case.images.get(sequence)
    grid = read_geometry(image) if image is not None else None
    roi = read_roi_on(path, task.roi_labels, grid).volume
    if fault := roi_fault(roi, grid):
        raise DatasetError(f"case {task.case.id}: {path}: {fault[0]}; {fault[1]}")
    return roi


@dataclass(frozen=True)
class TumourLocation:
    """Where a tumour lies: its grid, points in it, [n, 3] LPS mm, and the box around it."""

    grid: Geometry
    points_mm: Points
    box_mm: Points

    @classmethod
    def of(cls, roi: Volume) -> "TumourLocation":
        """The place of an ROI that is not empty."""
        return cls(roi.geometry, roi_points(roi), tumour_box(roi))


def measure_sequence(volume: Volume, tumour: TumourLocation) -> SequenceMeasure:
    """One sequence of a case whose tumour lies at `tumour`."""
    grid = volume.geometry
    voxels = nearest_voxels(volume, tumour.points_mm)
    z, y, x = voxels
    inside, blank = volume.array[z, y, x], blank_share(volume.array, voxels)
    head = _percentiles(foreground(volume.array))
    seen = inside.size > 0 and blank < BLANK_SHARE
    return SequenceMeasure(
        spacing_mm=grid.spacing_mm,
        shape=grid.size_xyz,
        obliqueness_deg=grid.obliqueness_deg,
        foreground_percentiles=head,
        roi_percentiles=_percentiles(inside) if seen else None,
        same_grid_as_roi=grid.same_grid(tumour.grid),
        overlap_with_roi=shown_share(tumour.box_mm, grid),
        blank_share=blank,
        clipped={"below": float((inside < head[0]).mean()), "above": float((inside > head[-1]).mean())} if seen else {},
    )


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
