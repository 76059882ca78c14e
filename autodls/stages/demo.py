"""`demo`: a phantom cohort whose best possible AUC is known, through every stage."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.evaluation.score_auc import ScoreAuc
from autodls.phantom.cohort import PhantomSettings, PhantomTruth, write_cohort
from autodls.records.files import write_text
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.seeding import generator
from autodls.stages.evaluate import Evaluated
from autodls.stages.places import require_folder, require_no_input
from autodls.stages.run import StudyRun, Told, run
from autodls.stages.run_standing import RunSettings, StageName
from autodls.watch import SILENT, Watch

_CASES, _EXTERNAL_CASES, _DIFFICULTY = 72, 24, 0.1
_TABLE = "clinical.csv"
_SHOWN: tuple[StageName, ...] = ("evaluate",)  # whose figures are told at the end, also where they stand


@dataclass(frozen=True)
class Demo:
    """A phantom cohort as a dataset folder, what is true of it, and what the stages reached on it in `workspace`.

    `permuted`: whether the labels were shuffled, so that nothing can be found.
    """

    dataset: Path
    workspace: Workspace
    truth: PhantomTruth
    evaluated: Evaluated
    report: Path
    permuted: bool
    run: StudyRun

    @property
    def rows(self) -> tuple[ScoreAuc, ...]:
        """The AUC of every score in every cohort."""
        return self.evaluated.rows

    def best_auc(self, score: str) -> float:
        """The best AUC that any score could reach, for that of a sequence or dls; 0.5 where labels were shuffled."""
        if self.permuted:
            return 0.5
        return self.truth.sequence_ceiling_auc.get(score, self.truth.images_ceiling_auc)


def demo(
    output: Path,
    cases: int | None = None,
    difficulty: float | None = None,
    seed: int = 0,
    *,
    permute_labels: bool = False,
    workers: int = 2,
    told: Told = lambda _stage: None,
    watch: Watch = SILENT,
) -> Demo:
    """Write a phantom cohort to OUTPUT/dataset and run every stage on it up to the report; what is there stays.

    The cohort has 72 cases, or `cases`, and 24 of another hospital; `difficulty` is 0 (plain) to 1 (drowned). With
    `permute_labels` the target is shuffled over all cases. `told` is called with each stage, as by `run`.
    Raises ArgumentError for a folder that is none of a demo, and settings that cannot be.
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
    dataset, workspace = output / "dataset", Workspace(output / "workspace")
    with watch.progress("phantom cohort", len(settings.case_ids)) as advance:
        truth = write_cohort(dataset, settings, advance, workers)
    if permute_labels:
        _permute(dataset, seed)
    preset = None if workspace.plan.exists() else "demo"
    wanted = RunSettings(dataset, workspace.root, preset=preset, device="cpu", workers=workers)
    done = run(wanted, again=_SHOWN, told=told, watch=watch)
    return Demo(dataset, workspace, truth, done.results["evaluate"], done.report, permute_labels, done)


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
