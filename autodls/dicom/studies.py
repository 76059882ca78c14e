"""Which studies a folder holds, and which of their series are the channels of a model: by name, never by a guess."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from autodls.dicom.drawn import DrawnRoi, matches
from autodls.dicom.listing import Listed, list_rows
from autodls.dicom.reading import looks_like_dicom
from autodls.dicom.results import MANUFACTURER
from autodls.dicom.series import Found, Part
from autodls.dicom.sources import is_archive
from autodls.dicom.study import SourceSeries, SourceStudy
from autodls.dicom.table import part_identity
from autodls.errors import ArgumentError, DatasetError
from autodls.records.dataset import FILE_ENDINGS


@dataclass(frozen=True)
class FoundStudy:
    """Volumes of each series with planes in space, by its unique id; `case` counts studies and names nobody.

    `listed` is all that the folder holds; `likely` says of a series, by its unique id, which role import would propose.
    """

    case: str
    uid: str
    series: Mapping[str, tuple[Part, ...]]
    listed: Listed
    likely: Mapping[str, str] = field(default_factory=dict)

    def as_channels(self, channels: Sequence[str], roi_channel: str, named: Mapping[str, str]) -> SourceStudy:
        """The series that are `channels`: that of the description or unique id in `named`, else of the channel's name.

        Raises DatasetError where several series have the description, where none has one that was named, where the ROI
        channel has none, or where a series is no volume, or several.
        """
        chosen = {
            channel: part
            for channel in channels
            if (part := self._part(channel, named.get(channel, channel), asked=channel in named)) is not None
        }
        if roi_channel not in chosen:
            raise DatasetError(
                f"case {self.case}: no series is called '{roi_channel}', the channel of the ROI; name the one that is: "
                f"--series '{roi_channel}=DESCRIPTION'"
            )
        series = {
            channel: SourceSeries.of(part, f"case {self.case}: series of {channel}") for channel, part in chosen.items()
        }
        return SourceStudy(self.case, series, roi_channel)

    def _part(self, channel: str, name: str, *, asked: bool) -> Part | None:
        alike = self._called(name)
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
        if not alike:
            return None
        if len(alike[0]) > 1:
            volumes = "; ".join(f"#{part.number}: {_what(part)}" for part in alike[0][:10])
            raise DatasetError(
                f"case {self.case}: series '{name}' holds {len(alike[0])} stacks of planes ({volumes}); say which is "
                f"{channel}: --series '{channel}={name}#{alike[0][0].number}'"
            )
        return alike[0][0]

    def _called(self, name: str) -> list[tuple[Part, ...]]:
        """The volumes of each series of this unique id or description; NAME#2 is the second of them alone."""
        if name in self.series:
            return [self.series[name]]
        found = [parts for parts in self.series.values() if _folded(description_of(parts)) == _folded(name)]
        base, _, number = name.rpartition("#")
        if found or not base or not number.isdecimal():
            return found
        chosen = [tuple(part for part in parts if part.number == int(number)) for parts in self._called(base)]
        return [parts for parts in chosen if parts]

    def rois_on(self, part: Part, names: Sequence[str]) -> tuple[DrawnRoi, ...]:
        """The ROIs of RTSTRUCT and SEG that are drawn on `part` and fit one of `names`, as in import all of one file.

        Raises DatasetError where there is none, or where several files have one: nobody knows which is right.
        """
        identity = part_identity(part)
        found = [roi for key, roi in self.listed.rois.items() if identity in self.listed.drawn_on[key]]
        wanted = tuple(roi for roi in found if matches(roi.name, names))
        if not wanted:
            raise DatasetError(
                f"case {self.case}: none of {len(found)} ROIs on the series of the ROI channel fits --roi-name "
                f"{' '.join(names)} (--dry-run lists them); correct it, or give ROIs with --rois"
            )
        if len({roi.uid for roi in wanted}) > 1:
            raise DatasetError(
                f"case {self.case}: {len({roi.uid for roi in wanted})} files hold an ROI that fits --roi-name "
                f"{' '.join(names)}; leave the one that is wanted in the folder, or give a narrower name"
            )
        return wanted


def description_of(parts: Sequence[Part]) -> str:
    """What the header of a series calls it."""
    return parts[0].facts.description


def holds_dicom(folder: Path) -> bool:
    """Whether some file below `folder` begins as DICOM files or archives do, and none in it is named like an image.

    What cannot be opened is not DICOM here.
    """
    names = next(os.walk(folder), ("", [], []))[2]  # none where the folder cannot be opened
    if any(name.lower().endswith(FILE_ENDINGS) for name in names):
        return False
    for at, _, inner in os.walk(folder):
        for path in (Path(at) / name for name in sorted(inner) if not name.lower().endswith(FILE_ENDINGS)):
            with suppress(OSError):
                if path.is_file() and (looks_like_dicom(path) or is_archive(path)):
                    return True
    return False


def studies_of(found: Found, folder: Path) -> list[FoundStudy]:
    """The studies of what was found in `folder`, in the order of their unique ids: P0001, P0002, ...

    Series without a place in space, and ROIs of ours that went back to the archive, are passed over. Raises
    DatasetError where there is no series with one.
    """
    drawn = tuple(one for one in found.drawn if one.facts.manufacturer != MANUFACTURER)
    listed = list_rows(replace(found, drawn=drawn), {}, ())
    likely = {str(row.cells["uid"]): str(row.cells["role"]) for row in listed.rows if row.cells["kind"] == "image"}
    studies: defaultdict[str, defaultdict[str, list[Part]]] = defaultdict(lambda: defaultdict(list))
    for part in found.parts:
        if any(len(frame.position_mm) == 3 for frame in part.stack.frames):
            studies[part.study][part.series].append(part)
    if not studies:
        raise DatasetError(f"{folder}: no DICOM slice with a place in space; give a folder with studies")
    return [
        FoundStudy(f"P{number:04d}", uid, {key: tuple(parts) for key, parts in studies[uid].items()}, listed, likely)
        for number, uid in enumerate(sorted(studies), start=1)
    ]


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


def _what(part: Part) -> str:
    return part.stack.refused or f"{len(part.stack.frames)} planes {part.stack.told_apart_by}".strip()


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
