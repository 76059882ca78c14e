"""`demo`: a phantom cohort through every stage, each printed as its own command prints it."""

from pathlib import Path

from autodls.cli.console import Terminal, note, say, show_table
from autodls.cli.data_commands import run_check, run_plan
from autodls.cli.evaluate_command import run_evaluate
from autodls.cli.report_command import run_report
from autodls.cli.train_command import run_train
from autodls.evaluation.score_auc import ScoreAuc
from autodls.phantom.cohort import PhantomTruth
from autodls.planning.request import PlanRequest
from autodls.records.workspace import Workspace
from autodls.stages.demo import phantom_study

_WORKERS = 2


def run_demo(
    output: Path, cases: int | None, difficulty: float | None, seed: int, *, permute_labels: bool
) -> list[ScoreAuc]:
    """Write a phantom cohort to `output` and run every stage on it up to the report; the AUC of every row."""
    asked = (output, cases, difficulty, seed)
    study = phantom_study(*asked, permute_labels=permute_labels, workers=_WORKERS, watch=Terminal())
    dataset, workspace = study.dataset, study.workspace
    run_check(dataset, _WORKERS, as_json=False)
    if not workspace.plan.exists():
        run_plan(dataset, workspace.root, PlanRequest(preset="demo", device="cpu"), _WORKERS, "summary")
    run_train(dataset, workspace.root, "all", "manual", restart=False, workers=_WORKERS, as_json=False)
    rows = list(run_evaluate(dataset, workspace.root, workers=_WORKERS, as_json=False).rows)
    run_report(dataset, workspace.root, None)
    _conclude(rows, study.truth, output, workspace, permuted=permute_labels)
    return rows


def _conclude(rows: list[ScoreAuc], truth: PhantomTruth, output: Path, workspace: Workspace, *, permuted: bool) -> None:
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
