"""`init`: a folder of images and a table become a dataset, with every guess told.

Images get a second name (a hard link, else a copy) in a new folder; a folder that has the form of a dataset already
gets dataset.json, and its table, in its place. Nothing of a person's is moved or replaced.
"""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autodls.errors import ArgumentError
from autodls.intake.proposal import CHANNEL, Choice, Proposal, propose
from autodls.intake.scan import Scan
from autodls.planning.check import CheckReport
from autodls.records.base import Record, json_bytes
from autodls.records.cohort import TABLES
from autodls.records.files import link_or_copy, sha256_of_bytes, sha256_of_file, write_bytes
from autodls.records.lock import locked_output
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.stages.check import check
from autodls.stages.places import real_place, require_no_input, require_output
from autodls.stages.provenance import note_output
from autodls.watch import SILENT, Watch

DESCRIPTION, RECORD = "dataset.json", "init.json"


class InitChoice(Record):
    """A setting of dataset.json: its value, why, and whether nobody has confirmed it."""

    key: str
    value: str
    why: str
    guessed: bool


class InitRecord(Record):
    """init.json: how dataset.json came about. `files` holds the SHA-256 of what was written beside it."""

    format: Literal["autodls-init/1"] = "autodls-init/1"
    choices: tuple[InitChoice, ...]
    notes: tuple[str, ...]
    files: dict[str, str]


@dataclass(frozen=True)
class Initialised:
    """A dataset folder that was made: its choices, what was left out, and what `check` says of it."""

    dataset: Path
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]
    cases: int
    images: int
    rois: int
    check: CheckReport

    @property
    def guesses(self) -> tuple[Choice, ...]:
        """Choices that nobody has confirmed."""
        return tuple(choice for choice in self.choices if choice.guessed)

    @property
    def summary(self) -> dict[str, object]:
        """What was chosen, guessed and left out, and what is wrong with the dataset."""
        choices = [{"key": c.key, "value": c.value, "why": c.why, "guessed": c.guessed} for c in self.choices]
        counts = {"cases": self.cases, "images": self.images, "rois": self.rois}
        problems = [str(problem) for problem in self.check.problems]
        errors = len(self.check.errors)
        return {"dataset": str(self.dataset), **counts, "choices": choices, "notes": self.notes, "errors": errors,
                "problems": problems}  # fmt: skip


def init(
    folder: Path,
    table: Path,
    answers: Mapping[str, str],
    dataset: Path | None = None,
    *,
    yes: bool = False,
    overwrite: bool = False,
    workers: int = 1,
    watch: Watch = SILENT,
) -> Initialised:
    """Make a dataset of the images in `folder` and the rows of `table`, and check it.

    `answers` are what a person has said, by the key of the choice (outcome, positive, case, cohort, ...); whatever else
    is found is proposed, and taken with `yes` alone where it is a guess. `dataset` is the new folder; without it,
    `folder` must have the form of a dataset.

    Raises ArgumentError for a guess that nobody has confirmed and for a place that is taken, DatasetError where table
    and files do not go together, or where only a person can answer.
    """
    scan = Scan(folder, table)
    found = propose(scan, answers)
    if found.guesses and not yes:
        told = "; ".join(choice.told for choice in found.guesses)
        raise ArgumentError(f"{len(found.guesses)} guesses are not confirmed: {told}; give --yes, or options")
    place = folder if dataset is None else dataset
    if dataset is None:
        _write_here(scan, found, overwrite=overwrite)
    else:
        _write_anew(scan, found, dataset, overwrite=overwrite, watch=watch)
    report = check(place, workers=workers, watch=watch)
    images = sum(name.startswith("imagesTr/") for name in found.files)
    return Initialised(
        place, found.choices, found.notes, len(found.cases), images, len(found.files) - images, report
    )  # fmt: skip


def given_answers(said: Mapping[str, str | None], channels: Sequence[str] = ()) -> dict[str, str]:
    """What was said, by the key of its choice; raises ArgumentError where one of `channels` is not NAME=FILES."""
    answers = {key: value for key, value in said.items() if value is not None}
    for text in channels:
        name, equals, role = text.partition("=")
        if not (name and equals and role):
            raise ArgumentError(f"--channel {text}: expected NAME=FILES, such as T1WI=t1_fl2d")
        answers[f"{CHANNEL}{role}"] = name
    return answers


def _write_here(scan: Scan, found: Proposal, *, overwrite: bool) -> None:
    """dataset.json and the table in the folder itself, where they are not there, or are of an earlier `init`."""
    folder = scan.folder
    if not scan.is_dataset:
        raise ArgumentError("-o DATASET: needed; images are not laid out as imagesTr/CASE_0000 and labelsTr/CASE: they "
                            "get second names in a new folder, and stay where they are")  # fmt: skip
    renamed = [name for name, path in found.files.items() if folder / name != path]
    if renamed:
        raise ArgumentError(f"-o DATASET: needed; {found.files[renamed[0]]} is to be called {renamed[0]}, and is not "
                            "renamed where it lies")  # fmt: skip
    own = next((name for name in TABLES if real_place(folder / name) == real_place(scan.table)), None)
    contents = {RECORD: b"", DESCRIPTION: json_bytes(dict(found.content))}
    if own is None:
        contents[TABLES[0]] = _table(scan, found)
    elif len(found.cases) < len(scan.rows):
        raise ArgumentError(f"-o DATASET: needed; {found.notes[-1]}, and the table is not changed where it lies")
    _require_free(folder, contents, overwrite=overwrite)
    contents[RECORD] = _record(found, {name: content for name, content in contents.items() if name != RECORD})
    for name, content in contents.items():
        write_bytes(folder / name, content)


def _require_free(folder: Path, contents: Mapping[str, bytes], *, overwrite: bool) -> None:
    record = folder / RECORD
    known = InitRecord.load(record, "move it away").files if record.is_file() else {}
    for name in contents:
        path = folder / name
        if not os.path.lexists(path) or (name == RECORD and known):
            continue
        if path.is_symlink() or not path.is_file() or sha256_of_file(path) != known.get(name):
            raise ArgumentError(
                f"{path}: is there, and is not as 'autodls init' made it; so it stays: give a new folder with -o"
            )
        if not overwrite:
            raise ArgumentError(f"{path}: is there already; give --overwrite to have it made anew")


def _write_anew(scan: Scan, found: Proposal, dataset: Path, *, overwrite: bool, watch: Watch) -> None:
    """The whole dataset in a folder of its own: all of it, or nothing."""
    require_output(dataset, [scan.folder, scan.table])
    require_no_input(dataset)
    results = ResultsFolder(dataset, DESCRIPTION, overwrite=overwrite)
    results.require_free()
    dataset.mkdir(parents=True, exist_ok=True)
    with locked_output(dataset):
        results.require_free()
        clear_unfinished(results)
        stage = results.unfinished
        with watch.progress("laying out", len(found.files)) as advance:
            for name, path in found.files.items():
                link_or_copy(real_place(path), stage / name)
                advance(name)
        tables = {DESCRIPTION: json_bytes(dict(found.content)), TABLES[0]: _table(scan, found)}
        tables[RECORD] = _record(found, tables)
        for name, content in tables.items():
            write_bytes(stage / name, content)
        made = [stage / name for name in (*found.files, *tables)]
        note_output(watch.command, stage, "init", None, (), made)
        results.publish(made)


def _record(found: Proposal, written: Mapping[str, bytes]) -> bytes:
    choices = tuple(InitChoice(key=c.key, value=c.value, why=c.why, guessed=c.guessed) for c in found.choices)
    files = {name: sha256_of_bytes(content) for name, content in written.items()}
    return InitRecord(choices=choices, notes=found.notes, files=files).to_bytes()


def _table(scan: Scan, found: Proposal) -> bytes:
    """The rows of cases with an image, as CSV, cells as they are read."""
    rows = [row for row in scan.rows if row[found.case_column] in found.cases]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
