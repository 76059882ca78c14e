"""What the scores of a study come to, as tables and figures of its paper; `analysis.study_analysis` computes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autodls.analysis.cohort_flow import Flow
from autodls.analysis.endpoint import endpoint_name
from autodls.analysis.out_of_fold import with_probabilities
from autodls.analysis.scored_study import ScoredStudy
from autodls.analysis.study_analysis import study_analysis
from autodls.analysis.study_metrics import figure_metrics, study_tables
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.score_auc import ScoreAuc
from autodls.evaluation.shared_folds import MEANING, is_of_folds
from autodls.records.formatting import estimate
from autodls.records.results_folder import renewed
from autodls.records.workspace import Workspace
from autodls.report.artefacts import FIGURES, TABLES
from autodls.report.drawn import Drawn, Printed, ReportTable, Rows, earlier_results, save_figure, save_table
from autodls.report.figures.catalogue import figure_names, study_figures
from autodls.report.figures.lettering import standing_in
from autodls.report.figures.survival import survival_figure
from autodls.report.tables.folds import fold_table
from autodls.report.tables.ledger import ledger_table
from autodls.report.tables.patterns import pattern_table
from autodls.report.tables.shortcuts import shortcut_table
from autodls.report.tables.study import baseline_rows, comparison_table, outcome_rows, performance_table
from autodls.report.tables.survival import landmark_table, survival_table
from autodls.seeding import generator


@dataclass(frozen=True)
class StudyResults:
    """Metrics, and tables and figures by the name of their files."""

    metrics: Metrics
    auc: tuple[ScoreAuc, ...]
    tables: Mapping[str, ReportTable]
    figures: Mapping[str, Drawn]


def study_results(study: ScoredStudy) -> StudyResults:
    """Everything that the scores of a study say; the same study gives the same results to the last digit."""
    found = study_analysis(study)
    metrics = found.metrics
    tables = {
        "auc": _auc_table(found.auc),
        "performance": performance_table(metrics),
        "comparisons": comparison_table(metrics),
        "baseline": baseline_rows(found.baseline),
        "ledger": ledger_table(found.ledger),
        "shortcuts": shortcut_table(found.shortcuts),
        "folds": fold_table(metrics),
    }
    if found.by_outcome:
        tables["baseline_by_outcome"] = outcome_rows(found.by_outcome)
    if any(cohort.patterns for cohort in metrics.cohorts.values()):
        tables["sequences"] = pattern_table(metrics)
    if any(cohort.survival is not None for cohort in metrics.cohorts.values()):
        tables["survival"] = survival_table(metrics)
    if any(cohort.landmark is not None for cohort in metrics.cohorts.values()):
        tables["landmark"] = landmark_table(metrics)
    settings = study.dataset.description.autodls
    others = [("target", settings.target.name), *((("unit", settings.survival.unit),) if settings.survival else ())]
    shown, undrawable = figure_names(metrics, found.flow, others)
    with standing_in(shown):
        figures = _figures(study, metrics, found.flow)
    told = metrics.model_copy(update={"warnings": (*found.warnings, *undrawable)})
    return StudyResults(told, found.auc, tables, figures)


def write_results(workspace: Workspace, results: StudyResults) -> None:
    """Write metrics.json, the tables and the figures in the place of those of an earlier run, all of them or none."""
    tables = {*TABLES, *results.tables, "withheld"}  # which was made of earlier scores
    earlier = [workspace.metrics, *earlier_results(workspace, tables, {*FIGURES, *results.figures})]
    with renewed(workspace.metrics.parent, workspace.metrics.name, earlier) as stage:
        for name, table in results.tables.items():
            save_table(stage / workspace.tables.name, name, table)
        for name, drawn in results.figures.items():
            save_figure(stage / workspace.figures.name, name, drawn)
        results.metrics.save(stage / workspace.metrics.name)


def _auc_table(rows: Sequence[ScoreAuc]) -> ReportTable:
    header = ("cohort", "row", "n", "positives", "auc", "low", "high", "interval", "reason")
    lines = tuple((r.cohort, r.row, r.n, r.positives, r.value, r.low, r.high, r.method, r.reason) for r in rows)
    printed = tuple((r.cohort, r.row, str(r.n), str(r.positives), estimate(r)) for r in rows)
    notes = [MEANING] if any(is_of_folds(r.method) for r in rows) else []
    notes += [f"{r.cohort}, {r.row}: {r.reason}" for r in rows if r.reason]
    head = ("Cohort", "Score", "n", "Positive", "AUC (95% CI)")
    return ReportTable(Rows(header, lines), Printed("AUC", head, printed, tuple(notes)))


def _figures(study: ScoredStudy, metrics: Metrics, flow: Flow) -> dict[str, Drawn]:
    settings = study.dataset.description.autodls
    table = study_tables(study)
    drawn = study_figures(
        table,
        figure_metrics(metrics, table),
        flow,
        generator(study.seed, "evaluate", "decision curve"),
        positive=settings.target.name,
        calibrated=True,
        probabilities=with_probabilities(table, study),
    )
    if settings.survival and any(one.times is not None for one in table.cohorts.values()):
        endpoint = endpoint_name(settings.survival)
        drawn["kaplan_meier"] = survival_figure(table, metrics, settings.survival.unit, endpoint, "DLS")
    return drawn
