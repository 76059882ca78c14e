"""The files that nnU-Net is trained on: the dataset's own where they can be used as they are, else copies."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autodls.errors import DatasetError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.lattice import grid_fault
from autodls.imaging.rois import read_roi_on
from autodls.imaging.volumes import read_geometry, read_labels, write_volume
from autodls.records.base import Record
from autodls.records.cohort import Case
from autodls.records.segmentation_folders import SegmentationFolder
from autodls.segmentation.framing import Framing

TUMOUR = 1


class TrainingFiles(Record):
    """Images of one case in the order of the channels, all on one grid, and its ROI of 0 and 1."""

    images: tuple[str, ...]
    roi: str


@dataclass(frozen=True)
class FilesTask:
    """One case to make files for; small, and can be sent to another process."""

    case: Case
    framing: Framing
    roi_labels: frozenset[int]
    folder: SegmentationFolder


def make_training_files(task: FilesTask) -> TrainingFiles:
    """The files of one case, written where its own images do not do; those of an earlier run are used again.

    Raises DatasetError, which names the case, for an image or an ROI that cannot be used.
    """
    known = task.folder.files(task.case.id)
    if known.exists():
        files = TrainingFiles.load(known, "run 'autodls segment fold all --restart'", DatasetError)
        if all(Path(path).is_file() for path in (*files.images, files.roi)):
            return files
    try:
        files = _make(task)
    except DatasetError as failure:
        raise DatasetError(f"case {task.case.id}: {failure}") from None
    files.save(known)
    return files


def roi_grid(case: Case, roi_channel: str) -> Geometry:
    """The grid of the ROI channel of a training case: of its image, or of the manual ROI where that is missing."""
    source = case.images.get(roi_channel, case.roi)
    if source is None:
        raise DatasetError(f"case {case.id}: has no ROI; draw it on {roi_channel}, or take the case out of the table")
    return read_geometry(source)


def _make(task: FilesTask) -> TrainingFiles:
    case, framing = task.case, task.framing
    grid = roi_grid(case, framing.roi_channel)
    framed = framing.frame(case.images, grid)
    images = []
    for index, sequence in enumerate(framing.sequences):
        found, copy = framed.get(sequence), task.folder.channel(case.id, index)
        if found is not None and found.untouched:
            images.append(str(case.images[sequence].resolve()))
            continue
        zeros = np.zeros(grid.size_xyz[::-1], dtype=np.float32)
        write_volume(copy, found.volume if found is not None else Volume(zeros, grid))
        images.append(str(copy.resolve()))
    return TrainingFiles(images=tuple(images), roi=str(_roi_file(task, grid).resolve()))


def _roi_file(task: FilesTask, grid: Geometry) -> Path:
    """The case's own ROI where its values are 0 and 1, else a copy of such values."""
    case = task.case
    if case.roi is None:
        raise DatasetError("has no ROI; draw it on the ROI channel, or take the case out of the table")
    found = read_roi_on(case.roi, task.roi_labels, grid)
    if not found.volume.geometry.same_grid(grid):
        what, repair = grid_fault(found.volume.geometry, grid)
        raise DatasetError(f"{case.roi}: the ROI {what}; {repair}")
    if found.untouched and set(np.unique(read_labels(case.roi).array).tolist()) <= {0, TUMOUR}:
        return case.roi
    copy = task.folder.roi(case.id)
    write_volume(copy, Volume(found.volume.array, grid))
    return copy
