"""`evaluate`: of the locked model, and of any table of scores."""

import json
from pathlib import Path

from autodls.cli.auc_table import show_rows
from autodls.cli.console import Terminal, say, say_json, show_table
from autodls.errors import ArgumentError
from autodls.records.model_folders import RoiKind
from autodls.stages.evaluate import Evaluated, evaluate
from autodls.stages.evaluate_scores import TableRequest, evaluate_scores, metric_rows


def run_evaluate(
    dataset: Path,
    workspace: Path | None,
    rois: RoiKind | None = None,
    *,
    device: str = "auto",
    workers: int = 1,
    as_json: bool,
) -> Evaluated:
    """Judge the locked model on all cohorts, and show the AUC of every score."""
    found = evaluate(dataset, workspace, rois, device=device, workers=workers, watch=Terminal())
    show_evaluated(found, as_json=as_json)
    return found


def show_evaluated(found: Evaluated, *, as_json: bool = False) -> None:
    """Print the AUC of every score, and where the rest lies."""
    if as_json:
        say_json(json.dumps([row.model_dump() for row in found.rows], indent=1))
        return
    show_rows("AUC of every score in every cohort", found.rows)
    folds = found.tables["folds"].printed
    show_table(folds.title, folds.header, folds.lines, numbers_from=1)
    say(f"all metrics: {found.workspace.metrics}")
    say(f"tables and figures: {found.workspace.tables}, {found.workspace.figures}")


def refuse_table_options(*given: object) -> None:
    """Raise ArgumentError for an option of `TableRequest`, in its order, that is given although there is no table."""
    names = ("--score", "--label", "--cohort", "--patient", "--cutoff", "--cutoff-from", "--time", "--event",
             "--landmark", "--out-of-fold", "-o", "--overwrite")  # fmt: skip
    if found := [name for name, value in zip(names, given, strict=True) if value not in (None, ())]:
        raise ArgumentError(
            f"{', '.join(found)}: said of a table of scores, and no table is named; name it with --scores FILE, or "
            "leave these options out to have the workspace's own model judged"
        )


def refuse_dry_table(table: Path | None) -> None:
    """Raise ArgumentError where --dry-run is said of a table."""
    if table is not None:
        raise ArgumentError("--dry-run is for the cohorts of a dataset: a table (--scores) is evaluated in seconds")


def run_evaluate_table(request: TableRequest, *, as_json: bool) -> None:
    """Judge the scores of a table, and show the AUC of each."""
    if request.scores and request.output is None and not as_json:
        raise ArgumentError("-o is missing: name the folder for metrics.json, or ask for --json on stdout")
    metrics = evaluate_scores(request, watch=Terminal())
    if as_json:
        say_json(metrics.to_bytes().decode().rstrip())
        return
    show_rows(f"AUC of {request.table.name}", metric_rows(metrics))
    say(f"all metrics: {request.output}/metrics.json")
