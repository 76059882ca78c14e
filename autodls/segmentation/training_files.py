"""The files that nnU-Net is trained on: the dataset's own where they can be used as they are, else copies."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from autodls.errors import DatasetError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.lattice import grid_fault
from autodls.imaging.rois import read_roi_on
from autodls.imaging.volumes import read_geometry, read_labels, write_volume
from autodls.records.base import Record
from autodls.records.case import Case
from autodls.records.files import sha256_of_bytes, sha256_where_readable
from autodls.records.roi_labels import RoiLabels
from autodls.records.segmentation_folders import SegmentationFolder
from autodls.segmentation.framing import Framing

TUMOUR = 1
_FORMAT = "autodls-training-files/1"


class TrainingFiles(Record):
    """Images of one case in the order of the channels, all on one grid, and its ROI of 0 and 1."""

    images: tuple[str, ...]
    roi: str
    made_from: str = Field(default="", description="SHA-256 of the case's own files, their places and their framing")
    content: str = Field(default="", description="SHA-256 of the files above")


@dataclass(frozen=True)
class FilesTask:
    """One case to make files for; small, and can be sent to another process."""

    case: Case
    framing: Framing
    roi_labels: frozenset[int]
    folder: SegmentationFolder


def make_training_files(task: FilesTask) -> TrainingFiles:
    """The files of one case, written where its own images do not do.

    Those of an earlier run are used again where they were made from the same and are as they were written. Raises
    DatasetError, which names the case, for an image or an ROI that cannot be used.
    """
    known, made_from = task.folder.files(task.case.id), _made_from(task)
    if known.exists():
        files = TrainingFiles.load(known, "run 'autodls segment fold all --restart'", DatasetError)
        if (files.made_from, files.content) == (made_from, _content(files)):
            return files
    try:
        files = _make(task)
    except DatasetError as failure:
        raise DatasetError(f"case {task.case.id}: {failure}") from None
    files = files.model_copy(update={"made_from": made_from, "content": _content(files)})
    files.save(known)
    return files


def _made_from(task: FilesTask) -> str:
    case, labels = task.case, task.roi_labels
    own = [("roi", case.roi), *sorted(case.images.items())]
    files = [[name, str(path.resolve()), sha256_where_readable(path)] for name, path in own if path is not None]
    others = sorted(labels.others) if isinstance(labels, RoiLabels) else []
    content = [_FORMAT, asdict(task.framing), sorted(labels), others, files]
    return sha256_of_bytes(json.dumps(content).encode())


def _content(files: TrainingFiles) -> str:
    hashes = [sha256_where_readable(Path(path)) for path in (*files.images, files.roi)]
    return sha256_of_bytes("\n".join(hashes).encode()) if all(hashes) else "not readable"


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
