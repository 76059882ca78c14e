"""Problems of the images and ROIs of one case, and of images that stand for more than one."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodls.errors import DatasetError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.volumes import place_doubt, read_roi, read_volume
from autodls.planning.measure import SequenceMeasure, TumourPlace, measure_sequence
from autodls.planning.tumour import roi_fault, shown_share, tumour_box
from autodls.records.cohort import Case
from autodls.records.problems import Problem, error, warning

MIN_SHOWN = 0.9


@dataclass(frozen=True)
class CaseTask:
    """What one process needs to check a case. `roi_needed`: without its ROI it cannot be trained on."""

    case: Case
    folder: Path
    roi_channel: str
    roi_labels: frozenset[int]
    roi_needed: bool


@dataclass(frozen=True)
class CaseFindings:
    """Problems of a case, and of each sequence that has any contrast, the SHA-256 of its voxels and what it looks like.

    Without a usable ROI nothing is measured.
    """

    case: str
    problems: tuple[Problem, ...]
    voxels_sha256: dict[str, str]
    measures: dict[str, SequenceMeasure]


def check_case(task: CaseTask) -> CaseFindings:
    """Read every image and ROI of a case once."""
    problems: list[Problem] = []
    grids: dict[str, Geometry] = {}
    digests: dict[str, str] = {}
    measures: dict[str, SequenceMeasure] = {}
    place = _tumour_place(task)
    for sequence, path in task.case.images.items():
        try:
            volume = read_volume(path)
        except DatasetError as failure:
            problems.append(_unreadable(task, failure))
            continue
        grids[sequence] = volume.geometry
        problems += _image_problems(task.case.id, sequence, volume)
        if doubt := place_doubt(path):
            problems.append(warning(task.case.id, f"{sequence}: {doubt}", "export it anew with its orientation"))
        if volume.array.min() < volume.array.max():
            digests[sequence] = _sha256(volume.array)
            if place is not None:
                measures[sequence] = measure_sequence(volume, place)
    return CaseFindings(task.case.id, (*problems, *_roi_problems(task, grids)), digests, measures)


def _tumour_place(task: CaseTask) -> TumourPlace | None:
    """Where the tumour lies; None where its ROI is of no use, which `_roi_problems` tells."""
    try:
        roi = read_roi(task.case.roi, task.roi_labels) if task.case.roi else None
    except DatasetError:
        return None
    return None if roi is None or roi_fault(roi, None) else TumourPlace.of(roi)


def _unreadable(task: CaseTask, failure: DatasetError) -> Problem:
    what, _, repair = str(failure).replace(f"{task.folder}/", "").rpartition("; ")
    return error(task.case.id, what, repair)


def _sha256(array: NDArray[Any]) -> str:
    """Of the values, in whatever type they are stored."""
    digest = hashlib.sha256(str(array.shape).encode())
    digest.update(np.ascontiguousarray(array, dtype=np.float32).data)
    return digest.hexdigest()


def _image_problems(case: str, sequence: str, volume: Volume) -> list[Problem]:
    found = []
    if volume.array.min() == volume.array.max():
        what = f"every voxel of {sequence} is {volume.array.flat[0]:g}"
        found.append(error(case, what, "export it anew, or remove the file: a missing sequence is allowed"))
    if not volume.geometry.is_orthonormal():
        what = f"the axes of {sequence} are not unit vectors at right angles"
        found.append(error(case, what, "resample it onto an orthogonal grid"))
    return found


def _roi_problems(task: CaseTask, grids: dict[str, Geometry]) -> list[Problem]:
    case = task.case
    found = []
    if case.roi is None:
        kind = error if task.roi_needed else warning
        found.append(kind(case.id, "it has no ROI", f"draw the tumour on {task.roi_channel} as labelsTr/{case.id}"))
    drawn = {task.roi_channel: case.roi, **case.rois}
    for sequence, path in drawn.items():
        if path is not None:
            found += _drawn_roi_problems(task, sequence, path, grids)
    return found


def _drawn_roi_problems(task: CaseTask, sequence: str, path: Path, grids: dict[str, Geometry]) -> list[Problem]:
    case = task.case.id
    try:
        roi = read_roi(path, task.roi_labels)
    except DatasetError as failure:
        return [_unreadable(task, failure)]
    if fault := roi_fault(roi, grids.get(sequence)):
        what, repair = fault
        return [error(case, f"{path.relative_to(task.folder).as_posix()}: {what}", repair)]
    if sequence != task.roi_channel:
        return []
    box_mm = tumour_box(roi)
    return [
        warning(case, f"{other} shows {100 * share:.0f}% of the tumour's box", "check where its image was exported to")
        for other, grid in grids.items()
        if (share := shown_share(box_mm, grid)) < MIN_SHOWN
    ]


def copy_problems(findings: Iterable[CaseFindings]) -> list[Problem]:
    """Sequences of a case that are copies of one another, and cases that share an image.

    Real cohorts fill gaps with copies; a case that stands twice leaks from training into validation.
    """
    places: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for finding in findings:
        for sequence, digest in finding.voxels_sha256.items():
            places[digest].append((finding.case, sequence))
    found = []
    shared: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for (case, sequence), *copies in places.values():
        for other, copied in copies:
            if other == case:
                what = f"{copied} is a copy of {sequence}, voxel by voxel"
                found.append(error(case, what, "remove the copy: a missing sequence is allowed"))
            else:
                shared[case, other].add(copied)
    for (case, other), sequences in shared.items():
        what = f"its {', '.join(sorted(sequences))} has the same voxels as an image of case {case}"
        found.append(error(other, what, "remove one of the two cases, or export the right images"))
    return found


def unused_roi_problems(cases: Iterable[Case]) -> list[Problem]:
    """ROIs on other channels than the ROI channel, which are checked and not used: one warning for all."""
    drawn = [path for case in cases for path in case.rois.values()]
    if not drawn:
        return []
    more = f" and {len(drawn) - 1} more are" if len(drawn) > 1 else " is"
    what = f"{drawn[0].parent.name}/{drawn[0].name}{more} checked, but neither trained on nor scored with"
    why = "nothing to repair: all sequences are sampled at the same points in space, by the ROI on the ROI channel"
    return [warning("", what, why)]
