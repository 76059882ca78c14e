"""`demo`: a phantom cohort whose best possible AUC is known, through every stage."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.evaluation.score_auc import ScoreAuc
from autodls.phantom.cohort import PhantomSettings, PhantomTruth, write_cohort
from autodls.planning.check import CheckReport
from autodls.planning.request import PlanRequest
from autodls.records.files import write_text
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.seeding import generator
from autodls.stages.check import check
from autodls.stages.evaluate import Evaluated, evaluate
from autodls.stages.places import require_folder, require_no_input
from autodls.stages.plan import Planned, plan
from autodls.stages.report import report
from autodls.stages.train import Trained, train
from autodls.watch import SILENT, Watch

StageResult = CheckReport | Planned | Trained | Evaluated | Path
_CASES, _EXTERNAL_CASES, _DIFFICULTY = 72, 24, 0.1
_TABLE = "clinical.csv"


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
    done: Callable[[StageResult], None] = lambda _result: None,
    watch: Watch = SILENT,
) -> Demo:
    """Write a phantom cohort to OUTPUT/dataset and run every stage on it up to the report; what is there stays.

    The cohort has 72 cases, or `cases`, and 24 of another hospital; `difficulty` is 0 (plain) to 1 (drowned). With
    `permute_labels` the target is shuffled over all cases. `done` is called with the result of each stage as it ends.
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
    root = workspace.root
    done(check(dataset, workers=workers, watch=watch))
    if not workspace.plan.exists():
        done(plan(dataset, root, PlanRequest(preset="demo", device="cpu"), workers=workers, watch=watch))
    done(train(dataset, root, workers=workers, watch=watch))
    done(evaluated := evaluate(dataset, root, workers=workers, watch=watch))
    done(page := report(dataset, root, watch=watch))
    return Demo(dataset, workspace, truth, evaluated, page, permute_labels)


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
