"""`evaluate --scores`: any table of scores; no workspace is needed."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.own_cutoff import parse_cutoffs
from autodls.evaluation.scores_table import Columns, ScoreTable, read_scores
from autodls.records.lock import locked_output
from autodls.records.model_folders import PROVENANCE
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.records.table import read_table
from autodls.stages.journal import Shown, journal_folder, labelling, require_names
from autodls.stages.places import require_output
from autodls.stages.provenance import note_output
from autodls.watch import SILENT, Watch

_FOLD, _PAGE = "fold", "report.html"
_FOLDS = (
    "the table has a column 'fold': if a cross-validation made the scores, say so with --out-of-fold COHORT (here "
    "'{}'), as their intervals and P values are else too small"
)


@dataclass(frozen=True)
class TableRequest:
    """A table of scores, the names of its columns, and what is asked of them; the first score is the reference.

    `cutoffs` are of the form "SCORE=VALUE". `out_of_fold` names the cohorts that a cross-validation scored. With
    `output`, metrics, tables, figures and a page go there; results of ours that are there are replaced with `overwrite`
    alone. Figures in the formats `figures` go into report_figures/ of it; `labels` is a file that says what names are
    called in figures and on the page.
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
    figures: tuple[str, ...] = ()
    labels: Path | None = None

    @property
    def shown(self) -> Shown:
        """What figures and labels are asked for."""
        return Shown(self.figures, self.labels)

    @property
    def results(self) -> ResultsFolder | None:
        """Where results go; None where they are not written."""
        return ResultsFolder(self.output, "metrics.json", overwrite=self.overwrite) if self.output else None


def evaluate_scores(request: TableRequest, *, watch: Watch = SILENT) -> Metrics:
    """All metrics of the scores in a table.

    Where `request` names an output folder, metrics.json, tables/, figures/ and report.html go there, as the results of
    a workspace; what needs more than scores is not among them.

    Raises ArgumentError where a score, or both label and follow-up, are not named, or where results cannot lie in the
    output folder; DatasetError where the table has no such column, or a value that is no number.
    """
    _require_named(request)
    labels = request.shown.read_labels()
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
    table = _told_of_folds(table, request)
    metrics = evaluate_table(table, choices)
    require_names(labels, metrics)
    if request.results is not None:
        watch.note("tables and figures ...")
        with labelling(labels):
            metrics = _write(request.results, table, metrics, request, choices.seed, watch)
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


def _write(
    folder: ResultsFolder, table: ScoreTable, metrics: Metrics, request: TableRequest, seed: int, watch: Watch
) -> Metrics:
    """Write metrics, tables, figures and the page; the metrics with what is to be known of the figures."""
    from autodls.report.html.document import write_page
    from autodls.report.journal import save_journal, too_tall
    from autodls.report.reading import read_results
    from autodls.report.score_results import save_results, table_results

    with locked_output(folder.root):
        folder.require_free()
        clear_unfinished(folder)
        stage, results = folder.unfinished, table_results(table, metrics, seed)
        written = save_results(stage, results)
        written.append(write_page(read_results(stage, request.table), stage / _PAGE))
        drawn = {name: one.figure for name, one in results.figures.items()} if request.figures else {}
        written += save_journal(journal_folder(stage / _PAGE), drawn, request.shown.formats)
        note_output(watch.command, stage, "evaluate", seed, [request.table, *request.shown.made_from], written)
        folder.publish([*written, stage / PROVENANCE])
    for text in too_tall(drawn):
        watch.note(f"warning: {text}")
    return results.metrics


def refuse_without_table(request: TableRequest) -> None:
    """Raise ArgumentError for an option of `request` that is given although there is no table."""
    names = ("--score", "--label", "--cohort", "--patient", "--cutoff", "--cutoff-from", "--time", "--event",
             "--landmark", "--out-of-fold", "-o", "--overwrite", "--figures", "--labels")  # fmt: skip
    given = [getattr(request, one.name) for one in fields(request)][1:]
    if found := [
        name for name, value in zip(names, given, strict=True) if not (value is None or value is False or value == ())
    ]:
        raise ArgumentError(
            f"{', '.join(found)}: said of a table of scores, and no table is named; name it with --scores FILE, or "
            "leave these options out to have the workspace's own model judged"
        )
