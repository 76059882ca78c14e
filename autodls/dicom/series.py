"""The series of a folder: files read by several processes, duplicates set aside, planes put together to volumes."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from autodls.dicom.facts import Facts
from autodls.dicom.headers import RTSTRUCT, SEGMENTATIONS, Instance, Person, read_instance
from autodls.dicom.reading import element, looks_like_dicom, read_dataset, silent
from autodls.dicom.sources import Sources
from autodls.dicom.stacks import Stack, stacks_of
from autodls.parallel import Advance, map_parallel
from autodls.records.files import sha256_of_file

_BATCH = 64
_PARTS_MOST = 2000
NO_DICOM = "not DICOM"


@dataclass(frozen=True)
class Part:
    """A volume of a series, or a series that is none: `number` counts from 1 within the series, of `of`.

    `loss` says how its pixels were compressed with loss, "" where no header says so.
    """

    series: str
    number: int
    of: int
    stack: Stack
    facts: Facts
    study: str
    person: Person
    frame_of_reference: str
    loss: str = ""

    @property
    def digest(self) -> str:
        """What it is made of, in 16 signs: the same planes have the same."""
        planes = sorted(f"{frame.uid}#{frame.index}" for frame in self.stack.frames)
        return hashlib.sha256("\n".join(planes).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Found:
    """All that a folder holds: volumes, sets of ROIs, and files that are not used, with the reason of each."""

    parts: tuple[Part, ...]
    drawn: tuple[Instance, ...]
    unused: Mapping[str, str]
    study_dates: Mapping[str, str] = field(default_factory=dict)
    files: int = 0


def find_series(sources: Sources, workers: int, advance: Advance) -> Found:
    """Read every header of `sources` and put planes together; nothing is decoded, and no file is changed."""
    names = list(sources.files)
    batches = [names[at : at + _BATCH] for at in range(0, len(names), _BATCH)]
    work = [tuple(sources.files[name] for name in batch) for batch in batches]
    unused = dict(sources.unread)
    instances: list[Instance] = []
    labels = [f"file {at * _BATCH + len(batch)}" for at, batch in enumerate(batches)]
    for batch, found in zip(batches, map_parallel(_read_batch, work, labels, workers, advance), strict=True):
        for name, one in zip(batch, found, strict=True):
            if isinstance(one, str):
                unused[name] = one
            else:
                instances.append(one)
    name_of = {path: name for name, path in sources.files.items()}
    once = list(_without_duplicates(instances, name_of, unused))
    return _put_together(once, unused, len(names))


def _read_batch(paths: tuple[Path, ...]) -> list[Instance | str]:
    with silent():
        return [_read_one(path) for path in paths]


def _read_one(path: Path) -> Instance | str:
    try:
        if not looks_like_dicom(path):
            return NO_DICOM
        return read_instance(path) or "a directory of files (DICOMDIR); the files themselves are read"
    except OSError as failure:
        return f"cannot be read ({failure.strerror or type(failure).__name__})"
    except ValueError as failure:
        return str(failure)


def _without_duplicates(
    instances: Sequence[Instance], name_of: Mapping[Path, str], unused: dict[str, str]
) -> Iterable[Instance]:
    """One file of each instance; where files of one instance differ, none is used: nobody knows which is right."""
    groups: defaultdict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        groups[instance.uid].append(instance)
    for group in groups.values():
        if len(group) > 1:
            bytes_of = {sha256_of_file(one.path) for one in group}
            same = len(bytes_of) == 1 or (len({_meaning(one) for one in group}) == 1 and _same_pixels(group))
            for one in group[1 if same else 0 :]:
                unused[name_of[one.path]] = (
                    "a duplicate" if same else "one of several files of one instance that differ"
                )
            if not same:
                continue
        yield group[0]


def _meaning(one: Instance) -> Instance:
    """The instance without its place, as it is compared."""
    nowhere = Path()
    return replace(one, path=nowhere, frames=tuple(replace(frame, path=nowhere) for frame in one.frames))


def _same_pixels(group: Sequence[Instance]) -> bool:
    """Whether files that say the same of themselves end in the same bytes: pixel data comes last, or nearly so."""
    found = set()
    with silent():
        for one in group:
            try:
                pixels = element(read_dataset(one.path, pixels=True), "PixelData")
            except ValueError:
                return False
            found.add(hashlib.sha256(pixels).digest() if isinstance(pixels, bytes) else None)
    return len(found) == 1 and None not in found


def _put_together(instances: Sequence[Instance], unused: dict[str, str], files: int) -> Found:
    drawn = [one for one in instances if one.sop_class == RTSTRUCT or one.sop_class in SEGMENTATIONS]
    groups: defaultdict[str, list[Instance]] = defaultdict(list)
    for one in instances:
        if one.sop_class != RTSTRUCT and one.sop_class not in SEGMENTATIONS:
            groups[one.series].append(one)
    parts = [part for series in sorted(groups) for part in _parts(groups[series])]
    dates: dict[str, str] = {}
    for one in instances:
        dates.setdefault(one.study, one.study_date)
    return Found(tuple(parts), tuple(sorted(drawn, key=lambda one: (one.series, one.uid))), unused, dates, files)


def _parts(group: Sequence[Instance]) -> list[Part]:
    """The volumes of one series; one that can be none is a single part with the reason."""
    by_uid = {one.uid: one for one in group}
    people, studies = {one.person.patient_id for one in group}, {one.study for one in group}
    frames = [frame for one in group for frame in one.frames]
    fault = next((one.fault for one in group if one.fault), None)
    if len(people) > 1 or len(studies) > 1:
        fault = f"one series of {len(people)} patients and {len(studies)} studies"
    if fault or not frames:
        stacks = [Stack(tuple(frames), None, fault or "not an image with planes in space")]
    else:
        stacks = stacks_of(frames)
    if len(stacks) > _PARTS_MOST:
        stacks = [Stack(tuple(frames), None, f"not a volume: {len(stacks)} stacks of planes in one series")]
    first = min(group, key=lambda one: (one.frames[0].instance if one.frames else 0.0, one.uid))
    parts = []
    for number, stack in enumerate(stacks, start=1):
        own = by_uid[stack.frames[0].uid] if stack.frames else first
        parts.append(
            Part(
                own.series,
                number,
                len(stacks),
                stack,
                own.facts,
                own.study,
                own.person,
                own.frame_of_reference,
                next((loss for frame in stack.frames if (loss := by_uid[frame.uid].loss)), ""),
            )
        )
    return parts
