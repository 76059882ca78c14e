"""Which studies a folder holds, and which of their series are the channels of a model: by name, never by a guess."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.dicom.door import pydicom, quiet
from autodls.dicom.study import SourceSeries, SourceStudy
from autodls.errors import ArgumentError, DatasetError
from autodls.records.dataset import FILE_ENDINGS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PREAMBLE_BYTES, _MAGIC = 128, b"DICM"


@dataclass
class FoundSeries:
    """Slices of one series with their files; what the header calls it."""

    description: str = ""
    slices: list[tuple["Dataset", Path]] = field(default_factory=list)


@dataclass(frozen=True)
class FoundStudy:
    """Series with slices in space, by unique id; `case` counts studies and names nobody."""

    case: str
    uid: str
    series: Mapping[str, FoundSeries]

    def as_channels(self, channels: Sequence[str], roi_channel: str, named: Mapping[str, str]) -> SourceStudy:
        """The series that are `channels`: that of the description or unique id in `named`, else of the channel's name.

        Raises DatasetError where several series have the description, where none has one that was named, where the ROI
        channel has none, or where a series is no volume.
        """
        chosen = {
            channel: found
            for channel in channels
            if (found := self._series(channel, named.get(channel, channel), asked=channel in named)) is not None
        }
        if roi_channel not in chosen:
            raise DatasetError(
                f"case {self.case}: no series is called '{roi_channel}', the channel of the ROI; name the one that is: "
                f"--series '{roi_channel}=DESCRIPTION'"
            )
        stacks, files = {}, {}
        for channel, found in chosen.items():
            headers = [header for header, _ in found.slices]
            stacks[channel] = SourceSeries.of(headers, f"case {self.case}: series of {channel}")
            by_uid = {str(header.SOPInstanceUID): path for header, path in found.slices}
            files[channel] = [by_uid[uid] for uid in stacks[channel].instance_uids]
        return SourceStudy(self.case, stacks, roi_channel, files)

    def _series(self, channel: str, name: str, *, asked: bool) -> FoundSeries | None:
        if name in self.series:
            return self.series[name]
        alike = [found for found in self.series.values() if _folded(found.description) == _folded(name)]
        if len(alike) > 1:
            raise DatasetError(
                f"case {self.case}: {len(alike)} series are called '{name}'; say which is {channel} by its "
                f"SeriesInstanceUID: --series '{channel}=UID'"
            )
        if not alike and asked:
            raise DatasetError(
                f"case {self.case}: none of its {len(self.series)} series is called '{name}' (--dry-run lists them); "
                f"correct --series '{channel}=...', or leave it out where the study has no {channel}"
            )
        return alike[0] if alike else None


def holds_dicom(folder: Path) -> bool:
    """Whether some file below `folder` begins as DICOM files do, and none in it is named like another image.

    What cannot be opened is not DICOM here: `find_studies` says so of a folder that is.
    """
    names = next(os.walk(folder), ("", [], []))[2]  # none where the folder cannot be opened
    if any(name.lower().endswith(FILE_ENDINGS) for name in names):
        return False
    for path in _files(folder):
        with suppress(DatasetError):
            if _is_dicom(path):
                return True
    return False


def find_studies(folder: Path) -> list[FoundStudy]:
    """The studies below `folder` in the order of their unique ids: P0001, P0002, ...

    Files that are not DICOM, or no slice with a place in space, are passed over. Raises DatasetError where there is no
    such file, or where one cannot be read.
    """
    studies: defaultdict[str, defaultdict[str, FoundSeries]] = defaultdict(lambda: defaultdict(FoundSeries))
    for path in filter(_is_dicom, _files(folder)):
        header = _header(path)
        if header.get("ImagePositionPatient") and header.get("Rows") and header.get("StudyInstanceUID"):
            series = studies[str(header.StudyInstanceUID)][str(header.get("SeriesInstanceUID", ""))]
            series.description = series.description or str(header.get("SeriesDescription") or "")
            series.slices.append((header, path))
    if not studies:
        raise DatasetError(f"{folder}: no DICOM slice with a place in space; give a folder with studies")
    return [FoundStudy(f"P{number:04d}", uid, studies[uid]) for number, uid in enumerate(sorted(studies), start=1)]


def named_series(words: Sequence[str], channels: Sequence[str]) -> dict[str, str]:
    """`words` of the form CHANNEL=DESCRIPTION by channel; raises ArgumentError for another form, or another channel."""
    named: dict[str, str] = {}
    for word in words:
        channel, equals, name = word.partition("=")
        if not equals or not name.strip() or channel not in channels or channel in named:
            raise ArgumentError(
                f"--series '{word}': expected CHANNEL=DESCRIPTION, once for a channel of the model, which are "
                f"{', '.join(channels)}"
            )
        named[channel] = name.strip()
    return named


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _files(folder: Path) -> list[Path]:
    found = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return sorted(path for path in found if not path.name.lower().endswith(FILE_ENDINGS))


def _is_dicom(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as handle:
            return handle.read(_PREAMBLE_BYTES + len(_MAGIC))[_PREAMBLE_BYTES:] == _MAGIC
    except OSError as failure:
        raise DatasetError(f"{path.name}: cannot be read ({failure.strerror}); check its permissions") from None


def _header(path: Path) -> "Dataset":
    library = pydicom()
    try:
        with quiet():
            header = library.dcmread(path, stop_before_pixels=True)
            for word in ("ImagePositionPatient", "Rows", "StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription"):
                header.get(word)  # read here, where it may fail
        return header  # type: ignore[no-any-return]
    except Exception as failure:  # pydicom lets through what its parts raise
        raise DatasetError(
            f"{path.name}: its DICOM header cannot be read ({type(failure).__name__}); export the study anew"
        ) from None
