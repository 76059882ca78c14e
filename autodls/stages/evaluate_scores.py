"""`evaluate --scores`: any table of scores; no workspace is needed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.own_cutoff import parse_cutoffs
from autodls.evaluation.score_auc import ScoreAuc
from autodls.evaluation.scores_table import Columns, ScoreTable, read_scores
from autodls.records.lock import locked_output
from autodls.records.model_folders import PROVENANCE
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.records.table import read_table
from autodls.stages.places import require_output
from autodls.stages.provenance import note_output
from autodls.watch import SILENT, Watch

_FOLD = "fold"
_FOLDS = (
    "the table has a column 'fold': if a cross-validation made the scores, say so with --out-of-fold COHORT (here "
    "'{}'), as their intervals and P values are else too small"
)


@dataclass(frozen=True)
class TableRequest:
    """A table of scores, the names of its columns, and what is asked of them; the first score is the reference.

    `cutoffs` are of the form "SCORE=VALUE". `out_of_fold` names the cohorts that a cross-validation scored. With
    `output`, metrics.json goes there; results of ours that are there are replaced with `overwrite` alone.
    """

    table: Path
    scores: tuple[str, ...]
    label: str | None = None
    cohort: str | None = None
    patient: str | None = None
    cutoffs: tuple[str, ...] = ()
    cutoff_from: str | None = None
    time: str | None = None
    event: str | None = None
    landmark: float | None = None
    out_of_fold: tuple[str, ...] = ()
    output: Path | None = None
    overwrite: bool = False

    @property
    def results(self) -> ResultsFolder | None:
        """Where metrics.json goes; None where it is not written."""
        return ResultsFolder(self.output, "metrics.json", overwrite=self.overwrite) if self.output else None


def evaluate_scores(request: TableRequest, *, watch: Watch = SILENT) -> Metrics:
    """All metrics of the scores in a table, written to OUT/metrics.json where `request` names an output folder.

    Raises ArgumentError where a score, or both label and follow-up, are not named, or where results cannot lie in the
    output folder; DatasetError where the table has no such column, or a value that is no number.
    """
    _require_named(request)
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
        _write(request.results, metrics, request.table, watch.command)
    for warning in metrics.warnings:
        watch.note(f"warning: {warning}")
    return metrics


def _require_named(request: TableRequest) -> None:
    if not request.scores:
        raise ArgumentError("--score is missing: name the score column of the table, e.g. --score dls")
    if not (request.label or (request.time and request.event)):
        raise ArgumentError("--label is missing: name the label column, or --time and --event, or all three")


def _told_of_folds(table: ScoreTable, request: TableRequest) -> ScoreTable:
    """The table, with a warning where it looks like one of a cross-validation, as our own oof_scores.csv is."""
    if request.out_of_fold or _FOLD not in read_table(request.table)[0]:
        return table
    return replace(table, warnings=(*table.warnings, _FOLDS.format(next(iter(table.cohorts)))))


def _write(results: ResultsFolder, metrics: Metrics, table: Path, command: Sequence[str]) -> None:
    with locked_output(results.root):
        results.require_free()
        clear_unfinished(results)
        written = results.unfinished / results.record
        metrics.save(written)
        note_output(command, results.unfinished, "evaluate", None, [table], [written])
        results.publish([written, results.unfinished / PROVENANCE])


def refuse_without_table(request: TableRequest) -> None:
    """Raise ArgumentError for an option of `request` that is given although there is no table."""
    names = ("--score", "--label", "--cohort", "--patient", "--cutoff", "--cutoff-from", "--time", "--event",
             "--landmark", "--out-of-fold", "-o", "--overwrite")  # fmt: skip
    given = [getattr(request, one.name) for one in fields(request)][1:]
    if found := [
        name for name, value in zip(names, given, strict=True) if not (value is None or value is False or value == ())
    ]:
        raise ArgumentError(
            f"{', '.join(found)}: said of a table of scores, and no table is named; name it with --scores FILE, or "
            "leave these options out to have the workspace's own model judged"
        )


def metric_rows(metrics: Metrics) -> list[ScoreAuc]:
    """The AUC of every score of every cohort."""
    return [
        ScoreAuc(
            cohort=name,
            row=score,
            n=found.n or 0,
            positives=found.positives or 0,
            **found.auc.model_dump(include={"value", "low", "high", "reason", "method"}),
        )
        for name, cohort in metrics.cohorts.items()
        for score, found in cohort.scores.items()
    ]
