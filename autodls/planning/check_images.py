"""Problems of the images and ROIs of one case."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import DatasetError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.inside import shown_share, tumour_box
from autodls.imaging.rois import read_roi_on
from autodls.imaging.volumes import place_doubt, read_geometry, read_volume
from autodls.planning.copies import CaseVoxels, voxels_sha256
from autodls.planning.image_fault import image_faults
from autodls.planning.measure import TumourLocation, measure_sequence
from autodls.planning.sequence_measure import SequenceMeasure
from autodls.planning.tumour import roi_fault
from autodls.records.case import Case
from autodls.records.problems import Problem, error, warning

MIN_SHOWN = 0.9
LEAST_BLANK_TOLD = 0.1


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
    """Problems of a case, its voxels, and what each sequence that has any contrast looks like.

    Without a usable ROI nothing is measured.
    """

    case: str
    problems: tuple[Problem, ...]
    voxels: CaseVoxels
    measures: dict[str, SequenceMeasure]


def check_case(task: CaseTask) -> CaseFindings:
    """Read every image and ROI of a case once."""
    problems: list[Problem] = []
    grids: dict[str, Geometry] = {}
    digests: dict[str, str] = {}
    measures: dict[str, SequenceMeasure] = {}
    roi = _usable_roi(task)
    place = TumourLocation.of(roi) if roi is not None else None
    for sequence, path in task.case.images.items():
        try:
            volume = read_volume(path)
        except DatasetError as failure:
            problems.append(_unreadable(task, failure))
            continue
        grids[sequence] = volume.geometry
        problems += [error(task.case.id, *fault) for fault in image_faults(sequence, volume)]
        if doubt := place_doubt(path):
            problems.append(warning(task.case.id, f"{sequence}: {doubt}", "export it anew with its orientation"))
        if volume.array.min() < volume.array.max():
            digests[sequence] = voxels_sha256(volume.array)
            if place is not None:
                measures[sequence] = measure_sequence(volume, place)
                problems += _blank_problems(task.case.id, sequence, measures[sequence])
    voxels = CaseVoxels(task.case.id, task.case.patient, digests, voxels_sha256(roi.array) if roi is not None else None)
    return CaseFindings(task.case.id, (*problems, *_roi_problems(task, grids)), voxels, measures)


def _usable_roi(task: CaseTask) -> Volume | None:
    """The ROI; None where it is of no use, which `_roi_problems` tells."""
    if task.case.roi is None:
        return None
    image = task.case.images.get(task.roi_channel)
    try:
        roi = read_roi_on(task.case.roi, task.roi_labels, read_geometry(image) if image else None).volume
    except DatasetError:
        return None
    return None if roi_fault(roi, None) else roi


def _unreadable(task: CaseTask, failure: DatasetError) -> Problem:
    what, _, repair = str(failure).replace(f"{task.folder}/", "").rpartition("; ")
    return error(task.case.id, what, repair)


def _blank_problems(case: str, sequence: str, measure: SequenceMeasure) -> list[Problem]:
    """Padding, defacing and registration leave images without signal in places."""
    if measure.blank_share < LEAST_BLANK_TOLD:
        return []
    what = f"{sequence} has no signal in {100 * measure.blank_share:.0f}% of the tumour: voxels equal their neighbours"
    if not measure.is_blank:
        return [warning(case, what, "export it anew as it was measured, if it was masked, padded or cut")]
    return [warning(case, f"{what}; it is taken as missing", "export it anew as it was measured, or remove its file")]


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
        found = read_roi_on(path, task.roi_labels, grids.get(sequence))
    except DatasetError as failure:
        return [_unreadable(task, failure)]
    name = path.relative_to(task.folder).as_posix()
    if fault := roi_fault(found.volume, grids.get(sequence)):
        what, repair = fault
        return [error(case, f"{name}: {what}", repair)]
    repair = "look at it once over its image; nothing to repair where it lies on the tumour"
    told = [warning(case, f"{name}: {note}", repair) for note in found.notes]
    if sequence != task.roi_channel:
        return told
    box_mm = tumour_box(found.volume)
    return told + [
        warning(case, f"{other} shows {100 * share:.0f}% of the tumour's box", "check where its image was exported to")
        for other, grid in grids.items()
        if (share := shown_share(box_mm, grid)) < MIN_SHOWN
    ]


def unused_roi_problems(cases: Iterable[Case]) -> list[Problem]:
    """ROIs on other channels than the ROI channel, which are checked and not used: one warning for all."""
    drawn = [path for case in cases for path in case.rois.values()]
    if not drawn:
        return []
    more = f" and {len(drawn) - 1} more are" if len(drawn) > 1 else " is"
    what = f"{drawn[0].parent.name}/{drawn[0].name}{more} checked, but neither trained on nor scored with"
    why = "nothing to repair: all sequences are sampled at the same points in space, by the ROI on the ROI channel"
    return [warning("", what, why)]
