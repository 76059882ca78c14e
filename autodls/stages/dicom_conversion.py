"""The second step of `import`: the volumes and ROIs that series.csv asks for, then the tables of the dataset.

dataset.json comes last: a folder that lacks it is not whole, and `check` says so. Files that were made earlier, and
that the table no longer asks for, are removed where they are as they were made; what a person has changed stays.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.dicom.cases import ids_text
from autodls.dicom.choices import Chosen, chosen
from autodls.dicom.conversion import Made, Task, convert, log_done, read_log
from autodls.dicom.dataset_files import acquisition_text, clinical_text, description_bytes, rois_text
from autodls.dicom.table import read_choices
from autodls.errors import ArgumentError, DatasetError
from autodls.parallel import map_parallel
from autodls.records.files import remove_stale, sha256_of_bytes, sha256_of_file, write_bytes
from autodls.records.listing import IMAGES, LABELS
from autodls.records.lock import locked_output
from autodls.stages.dicom_places import Imported, ImportPlaces
from autodls.stages.provenance import note_output
from autodls.watch import Watch

if TYPE_CHECKING:
    from autodls.dicom.cases import StudyCase
    from autodls.dicom.dataset_files import LabelSource
    from autodls.dicom.listing import Listed

_DESCRIPTION, _CLINICAL = "dataset.json", "clinical.csv"
_PERSONS = (_DESCRIPTION, _CLINICAL)  # a person may edit these: then they stay as they are
_NOTES_MOST = 20


def convert_all(
    places: ImportPlaces,
    listed: "Listed",
    labels: "LabelSource | None",
    counts: Imported,
    workers: int,
    watch: Watch,
) -> Imported:
    """Convert by series.csv; returns what was done. Raises as `import_dicom`."""
    choices = read_choices(places.table, [*listed.parts, *listed.rois])
    wanted = chosen(places.table, choices, listed.parts, listed.rois, listed.drawn_on, listed.studies)
    patients = _patients(wanted, listed)
    clinical = clinical_text(wanted, patients, labels)  # before hours of work
    with locked_output(places.dataset):
        remove_stale([places.dataset / IMAGES, places.dataset / LABELS])
        writing = _Writing(places)
        tasks = _tasks(places, wanted, writing)
        writing.begin([task.name for task in tasks])
        names = [task.name.rpartition("/")[2] for task in tasks]
        with watch.progress("converting", len(tasks)) as advance:
            made = map_parallel(convert, tasks, names, workers, advance)
        _require_all(places.table, made)
        notes = [*_notes(made, wanted), *_tables(places, wanted, clinical, labels, made, writing)]
        writing.remove_rest(tasks)
        write_bytes(places.ids, ids_text(_renamed(wanted, listed)).encode())
        files = [places.dataset / name for name in sorted(writing.whole)]
        note_output(watch.command, places.dataset, "import", None, (), files)
    return replace(
        counts,
        step="converted",
        cases=len(wanted.cases),
        images=len(wanted.images),
        masks=len(wanted.rois),
        missing=_missing(wanted, labels),
        notes=tuple(notes),
    )


def _patients(wanted: Chosen, listed: "Listed") -> "dict[str, StudyCase]":
    """A study of each case: all of a case are of one patient."""
    return {case: listed.studies[part.study] for (case, _), (_, part) in sorted(wanted.images.items())}


def _renamed(wanted: Chosen, listed: "Listed") -> "list[StudyCase]":
    """The studies under the case ids of the table: those that are not converted keep what was proposed."""
    case_of = {part.study: case for (case, _), (_, part) in wanted.images.items()}
    return [replace(study, case=case_of.get(study.study, study.case)) for study in listed.studies.values()]


def _tasks(places: ImportPlaces, wanted: Chosen, writing: "_Writing") -> list[Task]:
    at = {channel: f"{index:04d}" for index, channel in enumerate(wanted.channels)}
    tasks = []
    for (case, channel), (choice, part) in sorted(wanted.images.items()):
        name = f"{IMAGES}/{case}_{at[channel]}.nii.gz"
        tasks.append(Task(choice.row, places.dataset / name, name, part.stack, part.facts.modality))
    for (case, channel), drawn in sorted(wanted.rois.items()):
        own = case if channel == wanted.roi_channel else f"{case}_{at[channel]}"
        name = f"{LABELS}/{own}.nii.gz"
        rows = ", ".join(choice.row for choice, _ in drawn)
        part = wanted.images[case, channel][1]
        rois = tuple(roi for _, roi in drawn)
        tasks.append(Task(rows, places.dataset / name, name, part.stack, part.facts.modality, rois))
    _require_own_names(places, tasks)
    return [replace(task, log=places.log, known=writing.done.get(task.name)) for task in tasks]


def _require_own_names(places: ImportPlaces, tasks: Sequence[Task]) -> None:
    seen: dict[str, str] = {}
    for task in tasks:
        if task.name in seen:
            raise DatasetError(
                f"{places.table}: {seen[task.name]} and {task.rows} would both be {task.name}; choose a case id that "
                "does not end in a channel"
            )
        seen[task.name] = task.rows


class _Writing:
    """What of the dataset is ours: files that the log names, of this life or of an earlier one."""

    def __init__(self, places: ImportPlaces) -> None:
        self._places = places
        self.done, self._begun = read_log(places.log)
        self.whole: set[str] = set()

    def begin(self, names: Sequence[str]) -> None:
        """Note that `names` are to be written; raises ArgumentError where a file of somebody else has the name."""
        for name in names:
            path = self._places.dataset / name
            if path.is_symlink() or (path.exists() and not self._is_ours(name, path)):
                raise ArgumentError(
                    f"{path}: is not as the import made it, or not of its making; nothing else is replaced: move it "
                    "away, then import again"
                )
        log = self._places.log
        new = [name for name in names if name not in self._begun]
        lines = "".join(json.dumps({"file": name, "key": ""}) + "\n" for name in new)
        with log.open("a", encoding="utf-8") as handle:
            handle.write("\n" * _is_torn(log) + lines)
        self.whole |= set(names)

    def _is_ours(self, name: str, path: Path) -> bool:
        """Whether it is as it was made; one that was begun and not logged is of a life that was killed just then."""
        if name in self.done:
            return path.is_file() and sha256_of_file(path) == self.done[name][1]
        return name in self._begun

    def write(self, name: str, content: bytes) -> bool:
        """Write a table, unless a person has changed it; whether it is as it was to be."""
        path, sha256 = self._places.dataset / name, sha256_of_bytes(content)
        if path.is_file() and not path.is_symlink() and sha256_of_file(path) == sha256:
            self.whole.add(name)
            return True
        if name in _PERSONS and name in self._begun and path.is_file() and not self._is_ours(name, path):
            return False
        self.begin([name])
        write_bytes(path, content)
        log_done(self._places.log, name, "table", sha256)
        return True

    def remove_rest(self, tasks: Sequence[Task]) -> None:
        """Remove images and ROIs of an earlier table that are as they were made."""
        wanted = {task.name for task in tasks}
        for name, (_, sha256) in self.done.items():
            folder, _, own = name.partition("/")
            path = self._places.dataset / name
            if name in wanted or folder not in (IMAGES, LABELS) or "/" in own or own.startswith("."):
                continue
            if path.is_file() and not path.is_symlink() and sha256_of_file(path) == sha256:
                path.unlink()


def _is_torn(log: Path) -> bool:
    return log.exists() and log.stat().st_size > 0 and not log.read_bytes().endswith(b"\n")


def _require_all(table: Path, made: Sequence[Made]) -> None:
    refused = [one for one in made if one.refused]
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise DatasetError(
            f"{table}: {refused[0].rows} cannot be converted: {refused[0].refused}{more}; empty its role, or repair it"
        )


def _notes(made: Sequence[Made], wanted: Chosen) -> list[str]:
    lost = [f"{choice.row}: {part.loss}" for choice, part in wanted.images.values() if part.loss]
    return [*lost, *(f"{one.rows}: {note}" for one in made for note in one.notes)]


def _tables(
    places: ImportPlaces,
    wanted: Chosen,
    clinical: str,
    labels: "LabelSource | None",
    made: Sequence[Made],
    writing: _Writing,
) -> list[str]:
    """Write all tables, dataset.json last; says which a person has changed, so that they stay."""
    by_name = {one.name: one for one in made}
    at = {channel: f"{index:04d}" for index, channel in enumerate(wanted.channels)}
    rois = [
        (
            case,
            channel,
            by_name[f"{LABELS}/{case if channel == wanted.roi_channel else f'{case}_{at[channel]}'}.nii.gz"],
        )
        for case, channel in wanted.rois
    ]
    contents: Mapping[str, bytes] = {
        "acquisition.csv": acquisition_text(wanted).encode(),
        "rois.csv": rois_text(rois).encode(),
        _CLINICAL: clinical.encode(),
        _DESCRIPTION: description_bytes(places.dataset.resolve().name, wanted, labels),
    }
    kept = [name for name, content in contents.items() if not writing.write(name, content)]
    return [f"{name} was edited and stays as it is; see that it fits series.csv, or remove it" for name in kept]


def _missing(wanted: Chosen, labels: "LabelSource | None") -> tuple[str, ...]:
    found = [] if labels else [f"labels: fill in column 'label' of {_CLINICAL}, and the target in {_DESCRIPTION}"]
    drawn = {case for case, channel in wanted.rois if channel == wanted.roi_channel}
    if without := sorted(set(wanted.cases) - drawn):
        found.append(
            f"ROIs on {wanted.roi_channel} of {len(without)} of {len(wanted.cases)} cases ({without[0]} first)"
        )
    return tuple(found)
