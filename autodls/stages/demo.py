"""`demo`: a phantom cohort whose best possible AUC is known."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.phantom.cohort import PhantomSettings, PhantomTruth, write_cohort
from autodls.records.files import write_text
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.seeding import generator
from autodls.stages.places import require_folder, require_no_input
from autodls.watch import SILENT, Watch

_CASES, _EXTERNAL_CASES, _DIFFICULTY = 72, 24, 0.1
_TABLE = "clinical.csv"


@dataclass(frozen=True)
class PhantomStudy:
    """A phantom cohort as a dataset folder, the place of its workspace, and what is true of it."""

    dataset: Path
    workspace: Workspace
    truth: PhantomTruth


def phantom_study(
    output: Path,
    cases: int | None = None,
    difficulty: float | None = None,
    seed: int = 0,
    *,
    permute_labels: bool = False,
    workers: int = 2,
    watch: Watch = SILENT,
) -> PhantomStudy:
    """Write a phantom cohort to OUTPUT/dataset: 72 cases, or `cases`, and 24 of another hospital; what is there stays.

    With `permute_labels` the target is shuffled over all cases. Raises ArgumentError for a folder that is none of a
    demo, and settings that cannot be.
    """
    asked = {
        "cases": _CASES if cases is None else cases,
        "external_cases": _EXTERNAL_CASES,
        "seed": seed,
        "difficulty": _DIFFICULTY if difficulty is None else difficulty,
    }
    settings = PhantomSettings.parse(asked, "autodls demo", "correct the option", ArgumentError)
    require_folder(output, "demo")
    require_no_input(output, "demo")
    dataset = output / "dataset"
    with watch.progress("phantom cohort", len(settings.case_ids)) as advance:
        truth = write_cohort(dataset, settings, advance, workers)
    if permute_labels:
        _permute(dataset, seed)
    return PhantomStudy(dataset, Workspace(output / "workspace"), truth)


def _permute(dataset: Path, seed: int) -> None:
    """Shuffle the target over all cases, once: images then say nothing of the labels."""
    mark = dataset / "labels-permuted"
    if mark.exists():
        return
    rows = read_table(dataset / _TABLE)
    order = generator(seed, "demo", "permutation").permutation(len(rows))
    values = [rows[position]["cps"] for position in order]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "cps": value} for row, value in zip(rows, values, strict=True))
    write_text(dataset / _TABLE, text.getvalue())
    write_text(mark, "the column cps was shuffled\n")
