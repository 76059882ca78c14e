"""From the scores of a study to every number of its paper; `report.study_results` shows them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from autodls.analysis.apparent import Entry, LedgerRow, performance_ledger
from autodls.analysis.cohort_flow import Flow, flow_of_dataset
from autodls.analysis.news import Gain, news
from autodls.analysis.scored_study import ScoredStudy, cohort_name
from autodls.analysis.shortcuts import Shortcut, shortcut
from autodls.analysis.study_metrics import study_metrics
from autodls.candidates.covariates import Covariates, covariates_of, volume_covariate
from autodls.errors import ArgumentError
from autodls.evaluation.baseline import BaselineTable, baseline_table
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.results import Estimate
from autodls.evaluation.score_auc import OUT_OF_FOLD, ScoreAuc
from autodls.records.case import Case
from autodls.records.cohort import Cohort
from autodls.records.rows import training_cohorts
from autodls.records.scores import FUSED
from autodls.seeding import generator

_NOT_SCORED = "not scored (column 'failed' of the scores says why)"


@dataclass(frozen=True)
class StudyAnalysis:
    """What the scores of a study come to.

    `auc` is of every score of every cohort, `baseline` compares the cohorts and `by_outcome` the classes of each,
    `ledger` holds apparent against validated performance, `shortcuts` are the baselines without images, and `flow`
    counts who was left out. `warnings` are what a reader must know, the news first.
    """

    metrics: Metrics
    auc: tuple[ScoreAuc, ...]
    baseline: BaselineTable
    by_outcome: Mapping[str, BaselineTable]
    ledger: tuple[LedgerRow, ...]
    shortcuts: tuple[Shortcut, ...]
    flow: Flow
    warnings: tuple[str, ...]


def study_analysis(study: ScoredStudy) -> StudyAnalysis:
    """Everything that is computed of a study; the same study gives the same numbers to the last digit."""
    metrics = study_metrics(study)
    shortcuts, left_out = _shortcuts(study)
    gains = [
        Gain(one.name, one.auc.value, one.delta.delta, one.delta.low, one.delta.high, one.delta_over == "0.5")
        for one in shortcuts
    ]
    return StudyAnalysis(
        metrics=metrics,
        auc=tuple(auc_rows(study, metrics)),
        baseline=_baseline(study),
        by_outcome=_by_outcome(study),
        ledger=tuple(_ledger(study, metrics)),
        shortcuts=tuple(shortcuts),
        flow=study_flow(study),
        warnings=(*news(metrics, gains), *metrics.warnings, *left_out),
    )


def auc_rows(study: ScoredStudy, metrics: Metrics) -> list[ScoreAuc]:
    """The AUC of every score of every cohort, with the number of cases that it was judged on."""
    rows = []
    for name in study.cohorts:
        for score in study.judged:
            held = metrics.cohorts[name].scores[score]
            limits = held.auc.model_dump(include={"value", "low", "high", "reason", "method"})
            rows.append(ScoreAuc(cohort=name, row=score, n=held.n or 0, positives=held.positives or 0, **limits))
    return rows


def _baseline(study: ScoredStudy) -> BaselineTable:
    """The clinical variables and the target of the cases of all cohorts."""
    settings = study.dataset.description.autodls
    named = {name: _training_name(study.dataset) if name == OUT_OF_FOLD else name for name in study.cohorts}
    members = [(named[name], scored.case) for name, cohort in study.cohorts.items() for scored in cohort.cases]
    columns = {name: [case.row[name] for _, case in members] for name in settings.clinical}
    columns.setdefault(settings.target.name, [_target(case) for _, case in members])
    rng = generator(study.seed, "evaluate", "baseline")
    deciding = [study.dataset.is_training(case) for _, case in members]
    cohorts = [cohort for cohort, _ in members]
    return baseline_table(columns, cohorts, rng, deciding=deciding, coded=settings.missing)


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


def _training_name(dataset: Cohort) -> str:
    name = " + ".join(training_cohorts(dataset.description))
    return OUT_OF_FOLD if name in map(cohort_name, dataset.held_out) else name


def _target(case: Case) -> str:
    return "" if case.label is None else "positive" if case.label else "negative"


def _ledger(study: ScoredStudy, metrics: Metrics) -> list[LedgerRow]:
    patients = {case.id: case.patient for case in study.dataset.training}
    rows = performance_ledger(study.folds, {}, patients, study.seed)
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


def study_flow(study: ScoredStudy) -> Flow:
    """The flow of the dataset, less the cases that have an image and yet could not be scored."""
    failed = {case for cohort in study.cohorts.values() for case in cohort.unscored}
    kept = [case for case in study.dataset.cases if case.id not in failed or not case.images]
    flow = flow_of_dataset(replace(study.dataset, cases=tuple(kept)))
    lost = len(study.dataset.cases) - len(kept)
    excluded = {**flow.excluded, **({_NOT_SCORED: lost} if lost else {})}
    return Flow(flow.in_table + lost, excluded, flow.cohorts)
