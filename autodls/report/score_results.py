"""What scores come to, as tables and figures and as files: those of a study and those of any table alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autodls.analysis.cohort_flow import flow_of_scores
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.score_auc import ScoreAuc
from autodls.evaluation.score_aucs import metric_rows
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.shared_folds import MEANING, is_of_folds
from autodls.records.formatting import estimate
from autodls.report.drawn import Drawn, Printed, ReportTable, Rows, save_figure, save_table
from autodls.report.figures.catalogue import figure_names, study_figures
from autodls.report.figures.lettering import standing_in
from autodls.report.naming import cohort_label, pair_label, score_label
from autodls.report.tables.study import comparison_table, performance_table
from autodls.report.tables.survival import landmark_table, survival_table
from autodls.seeding import generator


@dataclass(frozen=True)
class ScoreResults:
    """Metrics, and tables and figures by the name of their files."""

    metrics: Metrics
    auc: tuple[ScoreAuc, ...]
    tables: Mapping[str, ReportTable]
    figures: Mapping[str, Drawn]


def table_results(table: ScoreTable, metrics: Metrics, seed: int = 0) -> ScoreResults:
    """Everything that the scores of a `table` say; `metrics` are those of it, and `seed` draws what theirs drew.

    What needs more than scores is not among it: baseline characteristics, apparent performance, shortcuts, folds.
    """
    auc = tuple(metric_rows(metrics))
    flow = flow_of_scores(metrics, table.without_cohort)
    shown, undrawable = figure_names(metrics, flow)
    with standing_in(shown):
        figures = study_figures(table, metrics, flow, generator(seed, "evaluate", "decision curve"))
    told = metrics.model_copy(update={"warnings": (*metrics.warnings, *undrawable)})
    return ScoreResults(told, auc, score_tables(metrics, auc), figures)


def score_tables(metrics: Metrics, auc: Sequence[ScoreAuc]) -> dict[str, ReportTable]:
    """The tables that scores, labels and follow-up allow."""
    tables = {
        "auc": _auc_table(auc),
        "performance": performance_table(metrics),
        "comparisons": comparison_table(metrics),
    }
    if any(cohort.survival is not None for cohort in metrics.cohorts.values()):
        tables["survival"] = survival_table(metrics)
    if any(cohort.landmark is not None for cohort in metrics.cohorts.values()):
        tables["landmark"] = landmark_table(metrics)
    return tables


def save_results(folder: Path, results: ScoreResults) -> list[Path]:
    """Write metrics.json, tables/ and figures/ below `folder`; where they lie, metrics.json first."""
    metrics = folder / "metrics.json"
    made = [save_table(folder / "tables", name, table) for name, table in results.tables.items()]
    made += [path for name, drawn in results.figures.items() for path in save_figure(folder / "figures", name, drawn)]
    results.metrics.save(metrics)
    return [metrics, *made]


def _auc_table(rows: Sequence[ScoreAuc]) -> ReportTable:
    header = ("cohort", "row", "n", "positives", "auc", "low", "high", "interval", "reason")
    lines = tuple((r.cohort, r.row, r.n, r.positives, r.value, r.low, r.high, r.method, r.reason) for r in rows)
    printed = tuple((cohort_label(r.cohort), score_label(r.row), str(r.n), str(r.positives), estimate(r)) for r in rows)
    notes = [MEANING] if any(is_of_folds(r.method) for r in rows) else []
    notes += [f"{pair_label(r.cohort, r.row)}: {r.reason}" for r in rows if r.reason]
    head = ("Cohort", "Score", "n", "Positive", "AUC (95% CI)")
    return ReportTable(Rows(header, lines), Printed("AUC", head, printed, tuple(notes)))
