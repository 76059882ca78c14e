"""`demo`: what every stage reached on a phantom cohort, each printed as its own command prints it."""

from pathlib import Path

from autodls.cli.console import Terminal, note, say, show_table
from autodls.cli.data_commands import show_check
from autodls.cli.evaluate_command import show_evaluated
from autodls.cli.plan_view import show_plan
from autodls.cli.train_command import show_trained
from autodls.planning.check import CheckReport
from autodls.stages.demo import Demo, StageResult, demo
from autodls.stages.plan import Planned
from autodls.stages.train import Trained


def run_demo(output: Path, cases: int | None, difficulty: float | None, seed: int, *, permute_labels: bool) -> None:
    """Write a phantom cohort to `output` and run every stage on it up to the report; show what each found."""
    asked = (output, cases, difficulty, seed)
    _conclude(demo(*asked, permute_labels=permute_labels, done=_show, watch=Terminal()), output)


def _show(result: StageResult) -> None:
    if isinstance(result, CheckReport):
        show_check(result)
    elif isinstance(result, Planned):
        show_plan(result.plan, "summary")
    elif isinstance(result, Trained):
        show_trained(result)
    elif isinstance(result, Path):
        say(f"report: {result}")
    else:
        show_evaluated(result)


def _conclude(made: Demo, output: Path) -> None:
    workspace = made.workspace
    show_table(
        "What was reached, beside the best that any score could reach on this phantom",
        ["cohort", "score", "n", "AUC (95% CI)", "best possible"],
        [[row.cohort, row.row, str(row.n), row.text, f"{made.best_auc(row.row):.3f}"] for row in made.rows],
        numbers_from=2,
    )
    say(f"Look at {made.report} (open it in a browser), {workspace.oof_scores} (a score for every case),")
    say(f"{workspace.plan} (every choice and its reason) and {workspace.model.root} (the locked model).")
    note(
        f"try: autodls predict -m {workspace.model.root} -i {output}/dataset/imagesTr --rois {output}/dataset/labelsTr "
        f"-o {output}/predicted"
    )
