"""From the scores of a study to every number, table and figure of its paper."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from autodls.analysis.apparent import Entry, LedgerRow, optimism_ledger
from autodls.analysis.endpoint import endpoint_name
from autodls.analysis.news import Gain, news
from autodls.analysis.out_of_fold import with_probabilities
from autodls.analysis.scored_study import ScoredStudy, cohort_name
from autodls.analysis.shortcuts import Covariates, Shortcut, covariates_of, shortcut, volume_covariate
from autodls.analysis.study_metrics import figure_metrics, study_metrics, study_tables
from autodls.errors import ArgumentError
from autodls.evaluation.baseline import BaselineTable, baseline_table
from autodls.evaluation.results import Estimate, Metrics
from autodls.evaluation.score_auc import OUT_OF_FOLD, ScoreAuc
from autodls.evaluation.shared_folds import MEANING, is_of_folds
from autodls.records.case import Case
from autodls.records.cohort import Cohort
from autodls.records.formatting import estimate
from autodls.records.results_folder import renewed
from autodls.records.rows import training_cohorts
from autodls.records.scores import FUSED
from autodls.records.workspace import Workspace
from autodls.report.drawn import Drawn, Printed, ReportTable, Rows, earlier_results, save_figure, save_table
from autodls.report.figures.catalogue import figure_names, study_figures
from autodls.report.figures.cohort_flow import Flow, flow_of_dataset
from autodls.report.figures.lettering import standing_in
from autodls.report.figures.survival import survival_figure
from autodls.report.tables.folds import fold_table
from autodls.report.tables.ledger import ledger_table
from autodls.report.tables.shortcuts import shortcut_table
from autodls.report.tables.study import (
    baseline_rows,
    comparison_table,
    outcome_rows,
    performance_table,
)
from autodls.report.tables.survival import landmark_table, survival_table
from autodls.seeding import generator

TABLES = (
    "auc", "performance", "comparisons", "baseline", "baseline_by_outcome", "survival", "landmark", "ledger",
    "shortcuts", "folds",
)  # fmt: skip
FIGURES = ("cohort_flow", "roc", "calibration", "decision_curve", "kaplan_meier")
_NOT_SCORED = "not scored (column 'failed' of the scores says why)"


@dataclass(frozen=True)
class StudyResults:
    """Metrics, and tables and figures by the name of their files."""

    metrics: Metrics
    auc: tuple[ScoreAuc, ...]
    tables: Mapping[str, ReportTable]
    figures: Mapping[str, Drawn]


def study_results(study: ScoredStudy) -> StudyResults:
    """Everything that the scores of a study say; the same study gives the same results to the last digit."""
    metrics = study_metrics(study)
    rows = auc_rows(study, metrics)
    shortcuts, left_out = _shortcuts(study)
    tables = {
        "auc": _auc_table(rows),
        "performance": performance_table(metrics),
        "comparisons": comparison_table(metrics),
        "baseline": _baseline(study),
        "ledger": ledger_table(_ledger(study, metrics)),
        "shortcuts": shortcut_table(shortcuts),
        "folds": fold_table(metrics),
    }
    if outcomes := _by_outcome(study):
        tables["baseline_by_outcome"] = outcome_rows(outcomes)
    if any(cohort.survival is not None for cohort in metrics.cohorts.values()):
        tables["survival"] = survival_table(metrics)
    if any(cohort.landmark is not None for cohort in metrics.cohorts.values()):
        tables["landmark"] = landmark_table(metrics)
    settings, flow = study.dataset.description.autodls, _flow(study)
    others = [("target", settings.target.name), *((("unit", settings.survival.unit),) if settings.survival else ())]
    shown, undrawable = figure_names(metrics, flow, others)
    with standing_in(shown):
        figures = _figures(study, metrics, flow)
    gains = [Gain(one.name, one.auc.value, one.delta.delta, one.delta.low, one.delta.high) for one in shortcuts]
    warnings = (*news(metrics, gains), *metrics.warnings, *left_out, *undrawable)
    told = metrics.model_copy(update={"warnings": warnings})
    return StudyResults(told, tuple(rows), tables, figures)


def write_results(workspace: Workspace, results: StudyResults) -> None:
    """Write metrics.json, the tables and the figures in the place of those of an earlier run, all of them or none."""
    earlier = [workspace.metrics, *earlier_results(workspace, {*TABLES, *results.tables}, {*FIGURES, *results.figures})]
    with renewed(workspace.metrics.parent, workspace.metrics.name, earlier) as stage:
        for name, table in results.tables.items():
            save_table(stage / workspace.tables.name, name, table)
        for name, drawn in results.figures.items():
            save_figure(stage / workspace.figures.name, name, drawn)
        results.metrics.save(stage / workspace.metrics.name)


def auc_rows(study: ScoredStudy, metrics: Metrics) -> list[ScoreAuc]:
    """The AUC of every score of every cohort, with the number of cases that it was judged on."""
    rows = []
    for name in study.cohorts:
        for score in study.judged:
            held = metrics.cohorts[name].scores[score]
            limits = held.auc.model_dump(include={"value", "low", "high", "reason", "method"})
            rows.append(ScoreAuc(cohort=name, row=score, n=held.n or 0, positives=held.positives or 0, **limits))
    return rows


def _auc_table(rows: list[ScoreAuc]) -> ReportTable:
    header = ("cohort", "row", "n", "positives", "auc", "low", "high", "interval", "reason")
    lines = tuple((r.cohort, r.row, r.n, r.positives, r.value, r.low, r.high, r.method, r.reason) for r in rows)
    printed = tuple((r.cohort, r.row, str(r.n), str(r.positives), estimate(r)) for r in rows)
    notes = [MEANING] if any(is_of_folds(r.method) for r in rows) else []
    notes += [f"{r.cohort}, {r.row}: {r.reason}" for r in rows if r.reason]
    head = ("Cohort", "Score", "n", "Positive", "AUC (95% CI)")
    return ReportTable(Rows(header, lines), Printed("AUC", head, printed, tuple(notes)))


def _by_outcome(study: ScoredStudy) -> dict[str, BaselineTable]:
    """The clinical variables of negatives and positives, in every cohort that has both."""
    names = study.dataset.description.autodls.clinical
    found = {}
    for cohort, held in study.cohorts.items():
        cases = sorted(
            (one.case for one in held.cases if one.case.label is not None), key=lambda case: bool(case.label)
        )
        outcomes = [_target(case) for case in cases]
        if names and len(set(outcomes)) == 2:
            columns = {name: [case.row[name] for case in cases] for name in names}
            shown = _training_name(study.dataset) if cohort == OUT_OF_FOLD else cohort
            rng = generator(study.seed, "evaluate", "baseline by outcome", cohort)
            found[shown] = baseline_table(columns, outcomes, rng)
    return found


def _baseline(study: ScoredStudy) -> ReportTable:
    """Table 1 of the cases of all cohorts: the clinical variables and the target."""
    settings = study.dataset.description.autodls
    named = {name: _training_name(study.dataset) if name == OUT_OF_FOLD else name for name in study.cohorts}
    members = [(named[name], scored.case) for name, cohort in study.cohorts.items() for scored in cohort.cases]
    columns = {name: [case.row[name] for _, case in members] for name in settings.clinical}
    columns.setdefault(settings.target.name, [_target(case) for _, case in members])
    rng = generator(study.seed, "evaluate", "baseline")
    deciding = [study.dataset.is_training(case) for _, case in members]
    cohorts = [cohort for cohort, _ in members]
    return baseline_rows(baseline_table(columns, cohorts, rng, deciding=deciding, coded=settings.missing))


def _training_name(dataset: Cohort) -> str:
    name = " + ".join(training_cohorts(dataset.description))
    return OUT_OF_FOLD if name in map(cohort_name, dataset.held_out) else name


def _target(case: Case) -> str:
    return "" if case.label is None else "positive" if case.label else "negative"


def _ledger(study: ScoredStudy, metrics: Metrics) -> list[LedgerRow]:
    patients = {case.id: case.patient for case in study.dataset.training}
    rows = optimism_ledger(study.folds, {}, patients, study.seed)
    measured = {(row.cohort, row.row): row for row in auc_rows(study, metrics)}
    return [
        replace(
            row, held_out={name: _entry(measured[name, row.score]) for name in study.cohorts if name != OUT_OF_FOLD}
        )
        for row in rows
    ]


def _entry(row: ScoreAuc) -> Entry:
    found = Estimate(value=row.value, low=row.low, high=row.high, reason=row.reason)
    return Entry(row.n, row.positives, 1 if row.value is not None else 0, found, row.method)


def _shortcuts(study: ScoredStudy) -> tuple[list[Shortcut], list[str]]:
    """The baselines that the dataset allows, and why the others are left out."""
    training = {case.id: case for case in study.dataset.training}
    labels = {case.id: bool(case.label) for case in training.values()}
    dls = {score.case: score.log_odds[FUSED] for fold in study.folds for score in fold if score.part == "validation"}
    patients = {case.id: case.patient for case in training.values()}
    found, left_out = [], []
    for name, covariates in _offered(study, training).items():
        try:
            found.append(shortcut(name, study.splits, labels, covariates(), dls, patients))
        except ArgumentError as failure:
            left_out.append(f"shortcut baseline '{name}' is left out: {failure}")
    return found, left_out


def _offered(study: ScoredStudy, training: Mapping[str, Case]) -> dict[str, Callable[[], Covariates]]:
    settings = study.dataset.description.autodls
    offered: dict[str, Callable[[], Covariates]] = {}
    if study.volumes_ml:
        offered["tumour volume"] = lambda: volume_covariate(study.volumes_ml)
    rows = {case.id: case.row for case in training.values()}
    clinical = {
        name: values for name, values in covariates_of(rows, settings.clinical, settings.missing).items() if values
    }
    if clinical:
        offered["clinical variables"] = lambda: clinical
    sites = {case.id: case.site for case in training.values() if case.site is not None}
    if len(set(sites.values())) > 1:
        offered["site"] = lambda: {"site": sites}
    return offered


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


def _flow(study: ScoredStudy) -> Flow:
    """The flow of the dataset, less the cases that have an image and yet could not be scored."""
    failed = {case for cohort in study.cohorts.values() for case in cohort.unscored}
    kept = [case for case in study.dataset.cases if case.id not in failed or not case.images]
    flow = flow_of_dataset(replace(study.dataset, cases=tuple(kept)))
    lost = len(study.dataset.cases) - len(kept)
    excluded = {**flow.excluded, **({_NOT_SCORED: lost} if lost else {})}
    return Flow(flow.in_table + lost, excluded, flow.cohorts)
