"""The three parts of the benchmark of ROIs: agreement, effect on the score, robustness."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from autodls.analysis.roi_agreement import compare_rois
from autodls.analysis.rois_effect import cohort_effect, cohort_robustness, evenly_ranked
from autodls.analysis.rois_records import CohortAgreement, CohortEffect, CohortRobustness, CrossedCase
from autodls.errors import ArgumentError, DatasetError
from autodls.evaluation.agreement_records import CaseAgreement, PerturbedScore
from autodls.evaluation.agreement_summary import summarise_agreement
from autodls.imaging.rois import read_roi_on
from autodls.imaging.volumes import read_roi
from autodls.inference.model_folder import LockedModel, load_model
from autodls.inference.rescoring import PairedCase, ScoreCache, crossed_scores, roi_of
from autodls.inference.robustness import direction, perturbed_scores
from autodls.models.device import resolve_device
from autodls.records.model_folders import RoiKind
from autodls.records.roi_labels import AUTOMATIC_LABELS
from autodls.records.scores import FUSED
from autodls.records.table import read_table
from autodls.seeding import generator
from autodls.stages.benchmark_cohorts import BenchmarkCohort, BenchmarkStudy
from autodls.watch import Bar, Watch

Result = TypeVar("Result")
_NO_LABEL = "no label"


@dataclass(frozen=True)
class Networks:
    """The locked models by what they were trained on, and the scores that were made before."""

    models: Mapping[RoiKind, LockedModel]
    book: ScoreCache

    @classmethod
    def load(cls, study: BenchmarkStudy, kinds: Sequence[RoiKind]) -> "Networks":
        """Read the models of `kinds`; raises ModelFolderError for one that was altered."""
        device = resolve_device("auto")
        models = {kind: load_model(study.workspaces[kind].model.root, device) for kind in kinds}
        return cls(models, ScoreCache(study.manual.workspace.roi_benchmark_scores))


def measure_agreement(
    study: BenchmarkStudy, cohorts: Sequence[BenchmarkCohort], watch: Watch
) -> dict[str, CohortAgreement]:
    """Both ROIs of every case compared, a third of a second each; a case whose ROIs do not fit is left out."""
    found: dict[str, CohortAgreement] = {}
    with watch.progress("agreement", sum(len(cohort.pairs) for cohort in cohorts)) as advance:
        for cohort in cohorts:
            compared, left_out = _each(cohort.pairs, functools.partial(_compare, study, cohort), advance)
            rng = generator(study.plan.training.seed, "benchmark", "agreement", cohort.name)
            found[cohort.name] = CohortAgreement(
                drawn_by=cohort.drawn_by,
                summary=summarise_agreement(compared, rng),
                cases=tuple(compared),
                drawn={case.case: cohort.drawn[case.case] for case in compared},
                left_out={**cohort.left_out, **left_out},
            )
    return found


def measure_effect(
    study: BenchmarkStudy, cohorts: Sequence[BenchmarkCohort], networks: Networks, watch: Watch
) -> dict[str, CohortEffect]:
    """Every labelled case in each cell of the 2 x 2 table.

    Of training cases, manual/manual and auto/auto are the out-of-fold scores that the models were locked from.
    """
    known, margin = _out_of_fold(study), study.plan.segmentation.noninferiority_margin_auc
    cutoffs = {kind: model.record.cutoff for kind, model in networks.models.items()}

    def cross(pair: PairedCase) -> CrossedCase:
        of_case = known.get(pair.case.id, {}) if pair.fold is not None else {}
        scores = crossed_scores(networks.models, pair, of_case, stored, networks.book)
        networks.book.save()
        label = bool(pair.case.label)
        return CrossedCase(case=pair.case.id, patient=pair.case.patient, label=label, fold=pair.fold, scores=scores)

    def stored(kind: RoiKind, case: str) -> Path:
        return study.workspaces[kind].sample(case)

    found: dict[str, CohortEffect] = {}
    judged = {cohort.name: [pair for pair in cohort.pairs if pair.case.label is not None] for cohort in cohorts}
    with watch.progress("both models on both ROIs", sum(map(len, judged.values()))) as advance:
        for cohort in cohorts:
            crossed, failed = _each(judged[cohort.name], cross, advance)
            unlabelled = {pair.case.id: _NO_LABEL for pair in cohort.pairs if pair.case.label is None}
            rng = generator(study.plan.training.seed, "benchmark", "effect", cohort.name)
            left_out = {**cohort.left_out, **unlabelled, **failed}
            fall_backs = {case for case, mask in cohort.drawn.items() if mask.source != "threshold"}
            found[cohort.name] = cohort_effect(crossed, left_out, cutoffs, margin, rng, fall_backs)
    return found


def measure_robustness(
    study: BenchmarkStudy,
    cohorts: Sequence[BenchmarkCohort],
    agreement: Mapping[str, CohortAgreement],
    count: int,
    networks: Networks,
    watch: Watch,
) -> dict[str, CohortRobustness]:
    """The manual ROIs of up to `count` cases of each cohort changed; the cases lie at even ranks of tumour volume."""
    model = networks.models["manual"]

    def change(pair: PairedCase) -> list[PerturbedScore]:
        towards = direction(generator(study.plan.training.seed, "benchmark", "shift", pair.case.id))
        scores = list(perturbed_scores(model, pair, towards, networks.book))
        networks.book.save()
        return scores

    chosen = {cohort.name: _chosen(cohort, agreement[cohort.name], count) for cohort in cohorts}
    found: dict[str, CohortRobustness] = {}
    with watch.progress("changed ROIs", sum(map(len, chosen.values()))) as advance:
        for name, pairs in chosen.items():
            changed, left_out = _each(pairs, change, advance)
            scores = [score for of_case in changed for score in of_case]
            patients = {pair.case.id: pair.case.patient for pair in pairs}
            found[name] = cohort_robustness(scores, left_out, model.record.cutoff, patients)
    return found


def _compare(study: BenchmarkStudy, cohort: BenchmarkCohort, pair: PairedCase) -> CaseAgreement:
    automatic = read_roi(roi_of(pair.rois["auto"]), AUTOMATIC_LABELS)
    manual = read_roi_on(roi_of(pair.rois["manual"]), study.manual.roi_labels, automatic.geometry).volume
    source = cohort.drawn[pair.case.id].source
    return compare_rois(pair.case.id, pair.case.patient, manual, automatic, study.plan.preprocessing, source)


def _out_of_fold(study: BenchmarkStudy) -> dict[str, dict[str, float]]:
    """Two of the four cells of every training case: the scores that both models were locked from."""
    known: dict[str, dict[str, float]] = {}
    for kind, workspace in study.workspaces.items():
        for line in read_table(workspace.oof_scores):
            known.setdefault(line["case"], {})[f"{kind}/{kind}"] = float(line[FUSED])
    return known


def _chosen(cohort: BenchmarkCohort, agreement: CohortAgreement, count: int) -> list[PairedCase]:
    volumes_mm3 = {case.case: case.manual_mm3 for case in agreement.cases if case.manual_mm3 > 0}
    names = set(evenly_ranked(volumes_mm3, count))
    return [pair for pair in cohort.pairs if pair.case.id in names]


def _each(
    pairs: Sequence[PairedCase], work: Callable[[PairedCase], Result], advance: Bar
) -> tuple[list[Result], dict[str, str]]:
    """`work` of every case, and of the cases that cannot be used the reason."""
    results: list[Result] = []
    left_out: dict[str, str] = {}
    for pair in pairs:
        try:
            results.append(work(pair))
        except (ArgumentError, DatasetError) as failure:
            left_out[pair.case.id] = str(failure).removeprefix(f"case {pair.case.id}: ")
        advance(pair.case.id)
    return results, left_out
