"""What the scores of a study come to, as tables and figures of its paper; `analysis.study_analysis` computes it."""

from autodls.analysis.cohort_flow import Flow
from autodls.analysis.endpoint import endpoint_name
from autodls.analysis.out_of_fold import with_probabilities
from autodls.analysis.scored_study import ScoredStudy
from autodls.analysis.study_analysis import study_analysis
from autodls.analysis.study_metrics import figure_metrics, study_tables
from autodls.evaluation.metrics_record import Metrics
from autodls.records.results_folder import renewed
from autodls.records.workspace import Workspace
from autodls.report.artefacts import FIGURES, TABLES
from autodls.report.drawn import Drawn, earlier_results
from autodls.report.figures.catalogue import figure_names, study_figures
from autodls.report.figures.lettering import standing_in
from autodls.report.naming import class_label, unit_label
from autodls.report.score_results import ScoreResults, save_results, score_tables
from autodls.report.tables.folds import fold_table
from autodls.report.tables.ledger import ledger_table
from autodls.report.tables.patterns import pattern_table
from autodls.report.tables.shortcuts import shortcut_table
from autodls.report.tables.study import baseline_rows, outcome_rows
from autodls.seeding import generator


def study_results(study: ScoredStudy) -> ScoreResults:
    """Everything that the scores of a study say; the same study gives the same results to the last digit."""
    found = study_analysis(study)
    metrics = found.metrics
    tables = {
        **score_tables(metrics, found.auc),
        "baseline": baseline_rows(found.baseline),
        "ledger": ledger_table(found.ledger),
        "shortcuts": shortcut_table(found.shortcuts),
        "folds": fold_table(metrics),
    }
    if found.by_outcome:
        tables["baseline_by_outcome"] = outcome_rows(found.by_outcome)
    if any(cohort.patterns for cohort in metrics.cohorts.values()):
        tables["sequences"] = pattern_table(metrics)
    figures, undrawable = drawn_study(study, metrics, found.flow)
    told = metrics.model_copy(update={"warnings": (*found.warnings, *undrawable)})
    return ScoreResults(told, found.auc, tables, figures)


def write_results(workspace: Workspace, results: ScoreResults) -> None:
    """Write metrics.json, the tables and the figures in the place of those of an earlier run, all of them or none."""
    tables = {*TABLES, *results.tables, "withheld"}  # which was made of earlier scores
    earlier = [workspace.metrics, *earlier_results(workspace, tables, {*FIGURES, *results.figures})]
    with renewed(workspace.metrics.parent, workspace.metrics.name, earlier) as stage:
        save_results(stage, results)


def drawn_study(study: ScoredStudy, metrics: Metrics, flow: Flow) -> tuple[dict[str, Drawn], list[str]]:
    """The figures of a study, and a sentence for each name that no font can draw; `metrics` are those of the study."""
    settings = study.dataset.description.autodls
    others = [("target", class_label(True, settings.target.name))]
    others += [("unit", unit_label(settings.survival.unit))] if settings.survival else []
    shown, undrawable = figure_names(metrics, flow, others)
    with standing_in(shown):
        return _figures(study, metrics, flow), undrawable


def _figures(study: ScoredStudy, metrics: Metrics, flow: Flow) -> dict[str, Drawn]:
    settings = study.dataset.description.autodls
    table, followed = study_tables(study), settings.survival
    return study_figures(
        table,
        figure_metrics(metrics, table),
        flow,
        generator(study.seed, "evaluate", "decision curve"),
        positive=settings.target.name,
        unit=followed.unit if followed else "",
        endpoint=endpoint_name(followed) if followed else "Survival",
        groups="DLS",
        calibrated=True,
        probabilities=with_probabilities(table, study),
    )
