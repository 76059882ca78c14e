"""`evaluate --scores`: any table of scores; no workspace is needed."""

from dataclasses import dataclass
from pathlib import Path

from autodls.cli.console import note, say, say_json
from autodls.cli.places import require_output
from autodls.cli.provenance import note_output
from autodls.cli.train_command import show_rows
from autodls.errors import ArgumentError
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.results import Metrics
from autodls.evaluation.rows import RowAuc
from autodls.evaluation.scores_table import Columns, parse_cutoffs, read_scores
from autodls.records.lock import locked_output


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
    output: Path | None


def refuse_table_options(*given: object) -> None:
    """Raise ArgumentError for an option of `TableRequest`, in its order, that is given although there is no table."""
    names = ("--score", "--label", "--cohort", "--patient", "--cutoff", "--cutoff-from", "--time", "--event",
             "--landmark", "-o")  # fmt: skip
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
    if request.output is not None:
        require_output(request.output)
    columns = Columns(
        scores=request.scores,
        label=request.label,
        time=request.time,
        event=request.event,
        cohort=request.cohort,
        patient=request.patient,
    )
    table = read_scores(request.table, columns)
    choices = Choices(parse_cutoffs(request.cutoffs, request.scores), request.cutoff_from, request.landmark)
    metrics = evaluate_table(table, choices)
    if request.output is not None:
        with locked_output(request.output):
            metrics.save(request.output / "metrics.json")
            note_output(request.output, "evaluate", None, [request.table], [request.output / "metrics.json"])
    if as_json:
        say_json(metrics.to_bytes().decode().rstrip())
    else:
        show_rows(f"AUC of {request.table.name}", metric_rows(metrics))
        say(f"all metrics: {request.output}/metrics.json")
    for warning in metrics.warnings:
        note(f"warning: {warning}")


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
