"""The cases in an input folder: CASE_0000.nii.gz, CASE_0001.nii.gz, ... as nnU-Net's predict takes them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from autodls.errors import DatasetError
from autodls.records.case_id import case_id_fault, look_alikes
from autodls.records.dataset import FILE_ENDINGS
from autodls.records.listing import IMAGES, Gaps, how_to_name, why_not_read
from autodls.records.model_folders import RoiKind
from autodls.records.roi_labels import AUTOMATIC_LABELS, RoiLabels

_CHANNEL = re.compile(r"(.+)_(\d{4})", re.ASCII)
_OF_ANY_ENDING = re.compile(r"(.+)_(\d{4})(\.[^_]*)?", re.ASCII)


class Takes(Protocol):
    """What a model takes: `ModelRecord`, or the record of a locked candidate."""

    @property
    def channel_names(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def file_ending(self) -> str: ...  # noqa: D102
    @property
    def mask_labels(self) -> RoiLabels: ...  # noqa: D102


@dataclass(frozen=True)
class InputCase:
    """Files of one new case; `roi` is None when there is no file for it, `kind` says who drew it.

    `unused` says by name why a file that seems to be an image of the case is not read. With a `gap` the case cannot be
    scored: a file that is not read may be what seems to be missing. `told` is said of its score.
    """

    id: str
    images: Mapping[str, Path]
    roi: Path | None
    kind: RoiKind = "manual"
    unused: Mapping[str, str] = field(default_factory=dict)
    gap: str | None = None
    told: tuple[str, ...] = ()

    def roi_labels(self, record: Takes) -> frozenset[int]:
        """Values of the ROI that mean tumour."""
        return AUTOMATIC_LABELS if self.kind == "auto" else record.mask_labels


def without_folders(reason: str, paths: Iterable[Path]) -> str:
    """The reason with `paths` by their last name: results travel, and folders are named after persons."""
    for path in paths:
        reason = reason.replace(str(path), path.name)
    return reason


def list_inputs(images: Path, rois: Path | None, record: Takes) -> list[InputCase]:
    """The cases of folder `images`, with their ROIs where there is a folder `rois`, in the order of ids.

    Every file that is named like an image belongs to a case, also one of another ending, or of no channel of the model:
    it gives its case no image, so that nobody is lost without a word. It stands in `unused`, unless the case has the
    image of that channel. One that is named after a case which lacks an image is that case's `gap`.

    Raises DatasetError when a folder is missing or holds no image of the model's file ending.
    """
    for folder, option in ((images, "-i"), *([(rois, "--rois")] if rois else [])):
        if not folder.is_dir():
            raise DatasetError(f"{folder}: no such folder; give the folder of images with -i, that of ROIs with --rois")
        if not any(folder.iterdir()):
            raise DatasetError(f"{folder}: the folder is empty; {option} takes a folder of files")
    files = _files_by_case(images, record)
    if not any(found.images for found in files.values()):
        last = len(record.channel_names) - 1
        raise DatasetError(
            f"{images}: no file named CASE_0000{record.file_ending} to CASE_{last:04d}{record.file_ending}; "
            f"the channels are {record.channel_names}"
        )
    gaps = _explained_gaps(files, record)
    cases, alike = [], look_alikes(files, numbers=False)
    for case in sorted(files):
        if fault := case_id_fault(case):
            raise DatasetError(f"{images}: case id '{case}' {fault}; rename its files")
        if twins := next((group for group in alike if case in group), None):
            raise DatasetError(f"{images}: case ids '{twins[0]}' and '{twins[1]}' look alike; rename their files")
        roi = rois / f"{case}{record.file_ending}" if rois else None
        roi = roi if roi and roi.is_file() else None
        cases.append(InputCase(case, files[case].images, roi, unused=files[case].unused, gap=gaps.get(case)))
    return cases


@dataclass(frozen=True)
class Beforehand:
    """What whoever made the images knows of cases: why those of `refused` have none, and what to say of others."""

    refused: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, cases: Sequence[InputCase]) -> list[InputCase]:
        """`cases` with what is said of them, and those that have no image, in the order of ids."""
        known = [replace(case, told=self.told.get(case.id, ())) for case in cases]
        barred = [InputCase(case, {}, None, gap=reason) for case, reason in self.refused.items()]
        return sorted([*known, *barred], key=lambda case: case.id)


NOTHING_KNOWN = Beforehand()


def files_of_nobody(images: Path, cases: Sequence[InputCase]) -> list[str]:
    """Names of what lies in folder `images`, is not hidden, and has no part in any of `cases`."""
    known = {path.name for case in cases for path in case.images.values()} | {
        name for case in cases for name in case.unused
    }
    return sorted({path.name for path in images.iterdir() if not path.name.startswith(".")} - known)


@dataclass(frozen=True)
class _Files:
    """Images of a case by sequence, and why others are none, by name."""

    images: dict[str, Path] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)


def _files_by_case(folder: Path, record: Takes) -> dict[str, _Files]:
    found: defaultdict[str, _Files] = defaultdict(_Files)
    # Those of the model's ending first: whether another is missed depends on them.
    for path in sorted(folder.iterdir(), key=lambda path: (not path.name.endswith(record.file_ending), path.name)):
        owner = None if path.name.startswith(".") else _owner(path.name)
        if owner is None:
            continue
        case, channel = owner
        files, sequence = found[case], record.channel_names.get(str(channel))
        if sequence is None:
            files.unused[path.name] = f"its name ends in no channel of the model, which are {record.channel_names}"
        elif path.name.endswith(record.file_ending):
            files.images[sequence] = path
        elif sequence not in files.images:
            files.unused[path.name] = f"its name does not end in {record.file_ending}; convert it"
    return dict(found)


def _explained_gaps(files: dict[str, _Files], record: Takes) -> dict[str, str]:
    """By case, why what it lacks is no missing sequence: a file that is not read, which may be it, is named after it.

    Such a file is no case of its own.
    """
    missing = {
        case: {
            f"{case}_{int(index):04d}": name for index, name in record.channel_names.items() if name not in found.images
        }
        for case, found in files.items()
        if found.images
    }
    named = [path.name for found in files.values() for path in found.images.values()]
    strays = [(case, name) for case, found in files.items() for name in found.unused]
    known = Gaps.in_folders({IMAGES: missing}, [*named, *(name for _, name in strays)], len(record.channel_names))
    gaps: dict[str, str] = {}
    for case, name in strays:
        if (explained := known.explained_by(IMAGES, name)) is None:
            continue
        owner, absent = explained
        why, how = (say(name, absent, record.file_ending) for say in (why_not_read, how_to_name))
        gaps.setdefault(owner, f"{why}; {how}")
        files[owner].unused[name] = files[case].unused.pop(name) if case != owner else files[case].unused[name]
        if not files[case].images and not files[case].unused:
            del files[case]
    return gaps


def _owner(name: str) -> tuple[str, int | None] | None:
    """The case and the channel that a file is named after; None for a name like that of no image.

    >>> _owner("A1_0002.nii.gz"), _owner("A1.mha"), _owner("A1_0000.dcm"), _owner("notes.txt")
    (('A1', 2), ('A1', None), ('A1', 0), None)
    """
    ending = next((ending for ending in FILE_ENDINGS if name.lower().endswith(ending)), None)
    matched = _OF_ANY_ENDING.fullmatch(name) if ending is None else _CHANNEL.fullmatch(name[: -len(ending)])
    if matched:
        return matched[1], int(matched[2])
    return None if ending is None else (name[: -len(ending)], None)
