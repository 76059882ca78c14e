"""`demo`: a phantom cohort through every stage."""

import csv
import io
from pathlib import Path

from autodls.cli.console import note, progress, say, show_table
from autodls.cli.data_commands import PlanRequest, run_check, run_plan
from autodls.cli.evaluate_command import run_evaluate
from autodls.cli.report_command import run_report
from autodls.cli.train_command import run_train
from autodls.errors import ArgumentError
from autodls.evaluation.rows import RowAuc
from autodls.phantom.cohort import PhantomSettings, PhantomTruth, write_cohort
from autodls.records.files import write_text
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.seeding import generator

_CASES, _EXTERNAL_CASES, _DIFFICULTY = 72, 24, 0.1
_TABLE = "clinical.csv"


def run_demo(
    output: Path, cases: int | None, difficulty: float | None, seed: int, *, permute_labels: bool
) -> list[RowAuc]:
    """Write a phantom cohort to `output` and run every stage on it up to the report; the AUC of every row."""
    asked = {
        "cases": _CASES if cases is None else cases,
        "external_cases": _EXTERNAL_CASES,
        "seed": seed,
        "difficulty": _DIFFICULTY if difficulty is None else difficulty,
    }
    settings = PhantomSettings.parse(asked, "autodls demo", "correct the option", ArgumentError)
    dataset, workers = output / "dataset", 2
    with progress("phantom cohort", len(settings.case_ids)) as advance:
        truth = write_cohort(dataset, settings, advance, workers)
    if permute_labels:
        _permute(dataset, seed)
    run_check(dataset, workers, as_json=False)
    workspace = Workspace(output / "workspace")
    if not workspace.plan.exists():
        run_plan(dataset, workspace.root, PlanRequest(preset="demo", device="cpu"), workers, "summary")
    run_train(dataset, workspace.root, "all", "manual", restart=False, workers=workers, as_json=False)
    rows = list(run_evaluate(dataset, workspace.root, workers=workers, as_json=False).rows)
    run_report(dataset, workspace.root, None)
    _conclude(rows, truth, output, workspace, permuted=permute_labels)
    return rows


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


def _conclude(rows: list[RowAuc], truth: PhantomTruth, output: Path, workspace: Workspace, *, permuted: bool) -> None:
    def best(score: str) -> float:
        return truth.sequence_ceiling_auc.get(score, truth.images_ceiling_auc)

    show_table(
        "What was reached, beside the best that any score could reach on this phantom",
        ["cohort", "score", "n", "AUC (95% CI)", "best possible"],
        [[row.cohort, row.row, str(row.n), row.text, "0.500" if permuted else f"{best(row.row):.3f}"] for row in rows],
        numbers_from=2,
    )
    say(f"Look at {workspace.report} (open it in a browser), {workspace.oof_scores} (a score for every case),")
    say(f"{workspace.plan} (every choice and its reason) and {workspace.model.root} (the locked model).")
    note(
        f"try: autodls predict -m {workspace.model.root} -i {output}/dataset/imagesTr --rois {output}/dataset/labelsTr "
        f"-o {output}/predicted"
    )
