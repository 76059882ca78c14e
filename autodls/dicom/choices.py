"""What the edited table asks for, held against the rules of a dataset before anything is converted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autodls.dicom.cases import StudyCase, names_somebody
from autodls.dicom.drawn import DrawnRoi
from autodls.dicom.headers import Person
from autodls.dicom.series import Part
from autodls.dicom.table import ROI, Choice
from autodls.errors import DatasetError
from autodls.records.case_id import case_id_fault, look_alikes
from autodls.records.dataset import DatasetDescription

_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", re.ASCII)
_ORDER = ("T1WI", "T2WI", "FLAIR", "STIR", "PDWI", "CE-T1WI", "T2STAR", "CT", "PET")
_DRAWN_ON = ("CE-T1WI", "T1WI", "FLAIR", "T2WI")


@dataclass(frozen=True)
class Chosen:
    """What is converted: images by case and channel, ROIs by case and the channel that they are drawn on."""

    channels: tuple[str, ...]
    images: Mapping[tuple[str, str], tuple[Choice, Part]]
    rois: Mapping[tuple[str, str], tuple[tuple[Choice, DrawnRoi], ...]]
    roi_channel: str

    @property
    def cases(self) -> tuple[str, ...]:
        """All cases, in order."""
        return tuple(sorted({case for case, _ in self.images}))


def chosen(
    path: Path,
    choices: Sequence[Choice],
    parts: Mapping[tuple[str, str, str], Part],
    rois: Mapping[tuple[str, str, str], DrawnRoi],
    drawn_on: Mapping[tuple[str, str, str], tuple[tuple[str, str, str], ...]],
    studies: Mapping[str, StudyCase],
) -> Chosen:
    """The choices of table `path`, checked; `drawn_on` holds the volumes that an ROI may be drawn on.

    Raises DatasetError, which names the row, for a role that is no channel name, a case id that is no file name or
    names a patient, two rows of one case and role, two patients in one case, a volume that cannot be converted, and an
    ROI whose series is not converted.
    """
    taken = [choice for choice in choices if choice.role]
    people = [study.person for study in studies.values()]
    images: dict[tuple[str, str], tuple[Choice, Part]] = {}
    patients: dict[str, tuple[str, str]] = {}
    for choice in taken:
        _require_case(path, choice, people)
        if choice.identity in parts:
            _take_image(path, choice, parts[choice.identity], images)
            _require_one_patient(path, choice, studies[parts[choice.identity].study].patient, patients)
    if not images:
        refused = [part.stack.refused for part in parts.values()]
        if all(refused):
            raise DatasetError(
                f"{path}: none of its {len(refused)} series can be converted ({refused[0]}); export the study anew"
            )
        raise DatasetError(f"{path}: no series has a role, so nothing is to be converted; write roles, such as T1WI")
    _require_apart(path, images)
    at = {choice.identity: key for key, (choice, _) in images.items()}
    drawn: dict[tuple[str, str], list[tuple[Choice, DrawnRoi]]] = {}
    for choice in taken:
        if choice.identity in rois:
            key = _place_of(path, choice, drawn_on[choice.identity], at)
            drawn.setdefault(key, []).append((choice, rois[choice.identity]))
    channels = _channels(images)
    return Chosen(channels, images, {key: tuple(found) for key, found in drawn.items()}, _roi_channel(channels, drawn))


def _require_case(path: Path, choice: Choice, people: Sequence[Person]) -> None:
    if fault := case_id_fault(choice.case):
        raise DatasetError(f"{path}: {choice.row}: its case id {fault}; use letters, digits, '_', '.' and '-'")
    if names_somebody(choice.case, people):
        raise DatasetError(
            f"{path}: {choice.row}: its case id is the id or name of a patient in the DICOM files; choose another one"
        )


def _take_image(path: Path, choice: Choice, part: Part, images: dict[tuple[str, str], tuple[Choice, Part]]) -> None:
    fault = "" if _CHANNEL.fullmatch(choice.role) else "must be made of letters, digits, '_', '.', '+' and '-'"
    if not fault and choice.role.upper() == ROI:
        fault = "is for ROIs, and this is an image"
    if fault:
        raise DatasetError(f"{path}: {choice.row}: role '{choice.role[:40]}' {fault}; write a channel such as T1WI")
    if part.stack.refused:
        raise DatasetError(f"{path}: {choice.row} cannot be converted: {part.stack.refused}; empty its role")
    key = (choice.case, choice.role)
    if key in images:
        raise DatasetError(
            f"{path}: {images[key][0].row} and {choice.row} are both {choice.role} of case {choice.case}; empty the "
            "role of one of them, or give it another name"
        )
    images[key] = (choice, part)


def _require_one_patient(path: Path, choice: Choice, patient: str, patients: dict[str, tuple[str, str]]) -> None:
    row, other = patients.setdefault(choice.case, (choice.row, patient))
    if other != patient:
        raise DatasetError(
            f"{path}: {row} and {choice.row} are of two patients, and both of case {choice.case}; correct one of them"
        )


def _require_apart(path: Path, images: Mapping[tuple[str, str], object]) -> None:
    for what, names in (("cases", {case for case, _ in images}), ("roles", {role for _, role in images})):
        if alike := look_alikes(names, numbers=what == "cases"):
            raise DatasetError(f"{path}: {what} {alike[0][0]} and {alike[0][1]} look alike; write them in one way")
    channels = _channels(images)
    try:
        DatasetDescription.model_validate(
            {
                "channel_names": {str(at): name for at, name in enumerate(channels)},
                "labels": {"background": 0, "tumor": 1},
                "autodls": {"target": {"name": "label", "column": "label", "positive": "== 1"}},
            }
        )
    except ValueError as failure:
        raise DatasetError(f"{path}: {_first_line(failure)}; choose other roles") from None


def _first_line(failure: ValueError) -> str:
    from pydantic import ValidationError

    from autodls.records.base import first_fault

    return first_fault(failure) if isinstance(failure, ValidationError) else str(failure)


def _place_of(
    path: Path,
    choice: Choice,
    volumes: Sequence[tuple[str, str, str]],
    at: Mapping[tuple[str, str, str], tuple[str, str]],
) -> tuple[str, str]:
    """Case and channel that an ROI is drawn on: of the volumes that it may be drawn on, the one that is converted."""
    if choice.role.upper() != ROI:
        raise DatasetError(
            f"{path}: {choice.row}: role '{choice.role[:40]}', expected {ROI} or nothing for an ROI; write one of them"
        )
    places = [at[volume] for volume in volumes if volume in at]
    own = [place for place in places if place[0] == choice.case]
    if not places:
        raise DatasetError(
            f"{path}: {choice.row} is drawn on a series that is not converted; give that a role, or empty its own"
        )
    if not own:
        raise DatasetError(
            f"{path}: {choice.row} is of case {choice.case}, its series of case {places[0][0]}; correct one of them"
        )
    return own[0]


def _channels(images: Mapping[tuple[str, str], object]) -> tuple[str, ...]:
    names = {role for _, role in images}
    return tuple(sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)))


def _roi_channel(channels: Sequence[str], drawn: Mapping[tuple[str, str], object]) -> str:
    """The channel that most ROIs are drawn on; without any, the one that tumours are usually drawn on."""
    counts = {channel: sum(role == channel for _, role in drawn) for channel in channels}

    def rank(channel: str) -> tuple[int, int]:
        usual = _DRAWN_ON.index(channel) if channel in _DRAWN_ON else len(_DRAWN_ON)
        return counts[channel], -usual

    return max(channels, key=rank)
