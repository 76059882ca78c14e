"""`evaluate --scores`: any table of scores; no workspace is needed."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from autodls.cli.console import note, say, say_json
from autodls.cli.train_command import show_rows
from autodls.errors import ArgumentError
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.results import Metrics
from autodls.evaluation.rows import RowAuc
from autodls.evaluation.scores_table import Columns, ScoreTable, parse_cutoffs, read_scores
from autodls.records.lock import locked_output
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.records.table import read_table
from autodls.records.workspace import PROVENANCE
from autodls.stages.places import require_output
from autodls.stages.provenance import note_output

_FOLD = "fold"
_FOLDS = (
    "the table has a column 'fold': if a cross-validation made the scores, say so with --out-of-fold COHORT (here "
    "'{}'), as their intervals and P values are else too small"
)


@dataclass(frozen=True)
class TableRequest:
    """The options of `evaluate --scores`."""

    table: Path
    scores: tuple[str, ...]
    label: str | None
    cohort: str | None
    patient: str | None
    cutoffs: tuple[str, ...]
    cutoff_from: str | None
    time: str | None
    event: str | None
    landmark: float | None
    out_of_fold: tuple[str, ...]
    output: Path | None
    overwrite: bool | None = None

    @property
    def results(self) -> ResultsFolder | None:
        """Where metrics.json goes; None where it is asked for on stdout alone."""
        return ResultsFolder(self.output, "metrics.json", overwrite=bool(self.overwrite)) if self.output else None


def refuse_table_options(*given: object) -> None:
    """Raise ArgumentError for an option of `TableRequest`, in its order, that is given although there is no table."""
    names = ("--score", "--label", "--cohort", "--patient", "--cutoff", "--cutoff-from", "--time", "--event",
             "--landmark", "--out-of-fold", "-o", "--overwrite")  # fmt: skip
    if found := [name for name, value in zip(names, given, strict=True) if value not in (None, ())]:
        raise ArgumentError(
            f"{', '.join(found)}: said of a table of scores, and no table is named; name it with --scores FILE, or "
            "leave these options out to have the workspace's own model judged"
        )


def run_evaluate_table(request: TableRequest, *, as_json: bool) -> None:
    """All metrics of any table of scores, written to OUT/metrics.json."""
    if not request.scores:
        raise ArgumentError("--score is missing: name the score column of the table, e.g. --score dls")
    if request.output is None and not as_json:
        raise ArgumentError("-o is missing: name the folder for metrics.json, or ask for --json on stdout")
    if not (request.label or (request.time and request.event)):
        raise ArgumentError("--label is missing: name the label column, or --time and --event, or all three")
    if request.results is not None:
        require_output(request.results.root, read=[request.table])
        request.results.require_free()
    columns = Columns(
        scores=request.scores,
        label=request.label,
        time=request.time,
        event=request.event,
        cohort=request.cohort,
        patient=request.patient,
    )
    table = read_scores(request.table, columns)
    choices = Choices(
        parse_cutoffs(request.cutoffs, request.scores),
        request.cutoff_from,
        request.landmark,
        out_of_fold=request.out_of_fold,
    )
    metrics = evaluate_table(_told_of_folds(table, request), choices)
    if request.results is not None:
        _write(request.results, metrics, request.table)
    if as_json:
        say_json(metrics.to_bytes().decode().rstrip())
    else:
        show_rows(f"AUC of {request.table.name}", metric_rows(metrics))
        say(f"all metrics: {request.output}/metrics.json")
    for warning in metrics.warnings:
        note(f"warning: {warning}")


def _told_of_folds(table: ScoreTable, request: TableRequest) -> ScoreTable:
    """The table, with a warning where it looks like one of a cross-validation, as our own oof_scores.csv is."""
    if request.out_of_fold or _FOLD not in read_table(request.table)[0]:
        return table
    return replace(table, warnings=(*table.warnings, _FOLDS.format(next(iter(table.cohorts)))))


def _write(results: ResultsFolder, metrics: Metrics, table: Path) -> None:
    with locked_output(results.root):
        results.require_free()
        clear_unfinished(results)
        written = results.unfinished / results.record
        metrics.save(written)
        note_output(sys.argv, results.unfinished, "evaluate", None, [table], [written])
        results.publish([written, results.unfinished / PROVENANCE])


def metric_rows(metrics: Metrics) -> list[RowAuc]:
    """The AUC of every score of every cohort."""
    return [
        RowAuc(
            cohort=name,
            row=score,
            n=found.n or 0,
            positives=found.positives or 0,
            **found.auc.model_dump(include={"value", "low", "high", "reason", "method"}),
        )
        for name, cohort in metrics.cohorts.items()
        for score, found in cohort.scores.items()
    ]
