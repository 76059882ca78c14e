"""The files of a dataset folder, given to their cases by name; two directory listings, no file is opened.

A file of `imagesTr` ends in its channel, CASE_0000.nii.gz, so that its case is never in doubt. In `labelsTr` the ROI
CASE.nii.gz may look like the ROI of another case on one of its channels when ids themselves end in _0001: the name
that is a case's own wins.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from autodls.errors import DatasetError
from autodls.records.dataset import FILE_ENDINGS, DatasetDescription
from autodls.records.problems import Problem, warning

IMAGES = "imagesTr"
LABELS = "labelsTr"
_TWINS = {".nii": ".nii.gz", ".nii.gz": ".nii"}  # beside one another they are an error, found when one is read
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
    """Files that no case uses: one warning for each channel or case that the description and the table lack."""
    used = {
        (path.parent.name, path.name)
        for case in cases
        for files in [listing.files_of(case, description, cases)]
        for path in (*files.images.values(), *files.rois.values(), *((files.roi,) if files.roi else ()))
    }
    twin = _TWINS.get(description.file_ending)
    used |= {(folder, f"{_stem(name)}{twin}") for folder, name in used if twin}
    groups: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for folder, names in ((IMAGES, listing.images), (LABELS, listing.labels)):
        for name in sorted(name for name in names if (folder, name) not in used):
            groups[_reason(folder, name, description, cases)].append(f"{folder}/{name}")
    return [
        warning(case, f"{_example(files)} {what}", repair) for (case, what, repair), files in sorted(groups.items())
    ]


def _stem(name: str) -> str:
    return next((name.removesuffix(ending) for ending in FILE_ENDINGS if name.endswith(ending)), name)


def _example(files: list[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def _reason(folder: str, name: str, description: DatasetDescription, cases: frozenset[str]) -> tuple[str, str, str]:
    """Case, what and repair for a file that no case uses."""
    ending = description.file_ending
    stem = _stem(name)
    matched = _CHANNEL.fullmatch(stem)
    owner = stem if folder == LABELS and stem in cases else matched["case"] if matched else stem
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
