"""The files of a dataset folder, given to their cases by name; two directory listings, no file is opened.

A file of `imagesTr` ends in its channel, CASE_0000.nii.gz, so that its case is never in doubt. In `labelsTr` the ROI
CASE.nii.gz may look like the ROI of another case on one of its channels when ids themselves end in _0001: the name
that is a case's own wins.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autodls.errors import DatasetError
from autodls.records.dataset import FILE_ENDINGS, DatasetDescription
from autodls.records.problems import Problem, error, warning

IMAGES = "imagesTr"
LABELS = "labelsTr"
_TWINS = {".nii": ".nii.gz", ".nii.gz": ".nii"}  # beside one another they are an error, found when one is read
_OF_IMAGES = (*FILE_ENDINGS, ".dcm", ".gz", ".ima", ".img", ".mgz", ".mhd", ".nhdr")
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<index>\d{4})", re.ASCII)


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case: images by sequence, the ROI, ROIs drawn on other channels by sequence."""

    images: dict[str, Path] = field(default_factory=dict)
    roi: Path | None = None
    rois: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """Names of the files in `imagesTr` and `labelsTr`; hidden files are left out."""

    folder: Path
    images: frozenset[str]
    labels: frozenset[str]

    def files_of(self, case: str, description: DatasetDescription, cases: frozenset[str]) -> CaseFiles:
        """The files of `case`, one of `cases`."""
        ending = description.file_ending
        own_rois = {f"{other}{ending}" for other in _channel_names(case, description).values() if other in cases}
        images, rois = {}, {}
        for sequence, stem in _channel_names(case, description).items():
            name = f"{stem}{ending}"
            if name in self.images:
                images[sequence] = self.folder / IMAGES / name
            if name in self.labels and name not in own_rois and sequence != description.roi_channel:
                rois[sequence] = self.folder / LABELS / name
        roi = self.folder / LABELS / f"{case}{ending}" if f"{case}{ending}" in self.labels else None
        return CaseFiles(images, roi, rois)


def list_files(folder: Path) -> Listing:
    """List a dataset folder; raises DatasetError where it holds no `imagesTr`."""
    try:
        images = _names(folder / IMAGES)
    except OSError as failure:
        raise DatasetError(
            f"{folder / IMAGES}: cannot be listed ({failure.strerror}); images lie there as CASE_0000.nii.gz"
        ) from None
    try:
        labels = _names(folder / LABELS)
    except FileNotFoundError:
        labels = frozenset()
    except OSError as failure:
        raise DatasetError(
            f"{folder / LABELS}: cannot be listed ({failure.strerror}); ROIs lie there as CASE.nii.gz"
        ) from None
    return Listing(folder, images, labels)


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _channel_names(case: str, description: DatasetDescription) -> dict[str, str]:
    return {sequence: f"{case}_{index:04d}" for index, sequence in enumerate(description.sequences)}


def stray_problems(listing: Listing, description: DatasetDescription, cases: frozenset[str]) -> list[Problem]:
    """Files that no case uses: one warning for each channel or case that the description and the table lack.

    A file that is named after a case which lacks an image, or its ROI, is an error: it explains the gap.
    """
    files = {case: listing.files_of(case, description, cases) for case in cases}
    used = {
        (path.parent.name, path.name)
        for found in files.values()
        for path in (*found.images.values(), *found.rois.values(), *((found.roi,) if found.roi else ()))
    }
    twin = _TWINS.get(description.file_ending)
    used |= {(folder, f"{_stem(name)}{twin}") for folder, name in used if twin}
    gaps = Gaps.of(files, listing, description)
    groups: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    found: list[Problem] = []
    for folder, names in ((IMAGES, listing.images), (LABELS, listing.labels)):
        for name in sorted(name for name in names if (folder, name) not in used):
            if (explained := gaps.explained_by(folder, name)) is not None:
                found.append(_explained(folder, name, description, *explained))
            else:
                groups[_reason(folder, name, description, cases)].append(f"{folder}/{name}")
    return found + [
        warning(case, f"{_example(files)} {what}", repair) for (case, what, repair), files in sorted(groups.items())
    ]


@dataclass(frozen=True)
class Gaps:
    """What cases lack: of each folder the name that is missing and what it would be, by case.

    `ids` finds a case by its id in small letters, `spare` holds channels of cases that lack nothing: files of a study
    that are not meant for us.
    """

    missing: Mapping[str, Mapping[str, Mapping[str, str]]]
    ids: Mapping[str, str]
    channels: int
    spare: frozenset[int]

    @classmethod
    def of(cls, files: Mapping[str, CaseFiles], listing: Listing, description: DatasetDescription) -> "Gaps":
        """The gaps of a dataset folder."""
        images = {
            case: {stem: name for name, stem in _channel_names(case, description).items() if name not in found.images}
            for case, found in files.items()
        }
        rois = {case: {case: "the ROI"} for case, found in files.items() if found.roi is None}
        return cls.in_folders({IMAGES: images, LABELS: rois}, listing.images, len(description.sequences))

    @classmethod
    def in_folders(
        cls, missing: Mapping[str, Mapping[str, Mapping[str, str]]], images: Iterable[str], channels: int
    ) -> "Gaps":
        """The gaps where the folder of images holds the names `images`."""
        channel_of = [matched for name in images if (matched := _CHANNEL.fullmatch(_stem(name)))]
        whole = {case for case, absent in missing[IMAGES].items() if not absent}
        spare = frozenset(int(matched["index"]) for matched in channel_of if matched["case"] in whole)
        return cls(missing, {case.casefold(): case for case in missing[IMAGES]}, channels, spare)

    def explained_by(self, folder: str, name: str) -> tuple[str, Mapping[str, str]] | None:
        """The case which the file `name` is named after, and what it lacks that this may be; None where nothing."""
        if not name.lower().endswith(_OF_IMAGES):
            return None
        stem = _stem(name)
        matched, index = _CHANNEL.fullmatch(stem), None
        if matched is None:
            owner = _claimant(stem, self.ids)
        elif (owner := self.ids.get(matched["case"].casefold())) is not None:
            index = int(matched["index"])
        else:
            owner = self.ids.get(stem.casefold())  # an id that ends like a channel
        absent = self._absent(folder, owner, index) if owner is not None else {}
        return (owner, absent) if owner is not None and absent else None

    def _absent(self, folder: str, owner: str, index: int | None) -> Mapping[str, str]:
        """What `owner` lacks that a file of channel `index`, or of none, may be."""
        absent = self.missing[folder].get(owner, {})
        if folder != IMAGES or index is None:
            return absent
        if index < self.channels:
            return {stem: what for stem, what in absent.items() if stem == f"{owner}_{index:04d}"}
        return {} if index in self.spare else absent


def _claimant(stem: str, ids: Mapping[str, str]) -> str | None:
    """The case that a file is named after, whatever follows: the longest id that ends where a word of `stem` does.

    >>> ids = {"ph0003": "PH0003", "ph": "PH"}
    >>> _claimant("PH0003_T1", ids), _claimant("ph0003", ids), _claimant("PH00031", ids)
    ('PH0003', 'PH0003', None)
    """
    plain = stem.casefold()
    ends = [len(plain), *sorted((found.start() for found in re.finditer(r"[^a-z0-9]", plain)), reverse=True)]
    return next((ids[plain[:end]] for end in ends if plain[:end] in ids), None)


def _explained(
    folder: str, name: str, description: DatasetDescription, owner: str, absent: Mapping[str, str]
) -> Problem:
    ending = description.file_ending
    if folder == IMAGES or not name.endswith(ending):
        return error(owner, f"{folder}/{why_not_read(name, absent, ending)}", how_to_name(name, absent, ending))
    what = f"{folder}/{name} is not read (an ROI has the name of its case alone), and the ROI is missing"
    return error(owner, what, f"name it {owner}{ending}, or remove it")


def why_not_read(name: str, absent: Mapping[str, str], ending: str) -> str:
    """That a file is not read, and that `absent`, by the name of its file, is missing."""
    why = "an image ends in its channel" if name.endswith(ending) else f"its name does not end in '{ending}'"
    return f"{name} is not read ({why}), and {', '.join(absent.values())} {'are' if len(absent) > 1 else 'is'} missing"


def how_to_name(name: str, absent: Mapping[str, str], ending: str) -> str:
    """What to do with such a file."""
    names = " or ".join(f"{stem}{ending}" for stem in absent)
    return f"{'name it' if name.endswith(ending) else 'convert it to'} {names}, or remove it"


def _stem(name: str) -> str:
    return next((name[: -len(ending)] for ending in FILE_ENDINGS if name.lower().endswith(ending)), name)


def _example(files: list[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def _reason(folder: str, name: str, description: DatasetDescription, cases: frozenset[str]) -> tuple[str, str, str]:
    """Case, what and repair for a file that no case uses and that explains no gap."""
    ending = description.file_ending
    stem = _stem(name)
    matched = _CHANNEL.fullmatch(stem) if stem not in cases else None
    owner = matched["case"] if matched else stem
    if not name.endswith(ending):
        what = f"is not read: its name does not end in '{ending}'"
        return (owner if owner in cases else ""), what, f"convert it to '{ending}', or remove it"
    if owner not in cases:
        return "", f"belongs to no row of the table: no case '{owner}'", "add its row, or remove it"
    if matched and int(matched["index"]) >= len(description.sequences):
        what = f"is not read: channel {int(matched['index'])} is not in channel_names {list(description.sequences)}"
        return owner, what, "add the channel to dataset.json, or remove the file"
    if folder == LABELS and matched:
        return owner, "is not read: it is on the ROI channel", f"name the ROI {owner}{ending}"
    return owner, "is not read: an image ends in its channel", f"name it {owner}_0000{ending} or the like"
