"""`benchmark rois`: automatic against manual ROIs, and what they cost the score."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autodls import __version__
from autodls.errors import ArgumentError
from autodls.records.lock import locked
from autodls.records.workspace import Workspace
from autodls.stages.benchmark_cohorts import (
    KINDS,
    BenchmarkStudy,
    benchmark_cohorts,
    changed_margins,
    open_study,
    usable_models,
)
from autodls.stages.provenance import note_run, precision_of_all
from autodls.stages.session import planned_workspace
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.analysis.rois_records import RoiBenchmark
    from autodls.report.drawn import Printed

_NO_CASES = "no case was asked for (--robustness-cases 0)"


@dataclass(frozen=True)
class Benchmarked:
    """What `benchmark_rois` found, and the workspace where it lies.

    `benchmark.reasons` say which of its parts could not be made, and why; `warnings` what its reader must know.
    """

    workspace: Workspace
    benchmark: "RoiBenchmark"
    warnings: tuple[str, ...]

    @property
    def tables(self) -> "list[Printed]":
        """What was found, as people read it."""
        from autodls.report.tables.rois import agreement_table, lesions_table, planes_table, published_table
        from autodls.report.tables.rois_effect import effect_table, robustness_table

        found = self.benchmark
        tables = [make(found) for make in (agreement_table, lesions_table, planes_table, published_table)]
        tables += [] if found.effect is None else [effect_table(found.effect)]
        tables += [] if found.robustness is None else [robustness_table(found)]
        return [table.printed for table in tables]


def benchmark_rois(
    dataset: Path,
    workspace: Path | None = None,
    robustness_cases: int = 8,
    *,
    workers: int = 1,
    watch: Watch = SILENT,
) -> Benchmarked:
    """Compare automatic with manual ROIs, score all cases with both by both models, and change the ROI of some cases.

    Of each cohort up to `robustness_cases` manual ROIs are changed. What there are no models for is left out and said.
    Scores and held-out ROIs are kept, so a killed run continues.

    Raises StaleRecordError, naming the command to run, where automatic ROIs are missing or of another plan.
    """
    from autodls.report.rois_results import write_benchmark

    if robustness_cases < 0:
        raise ArgumentError(f"--robustness-cases {robustness_cases}: expected 0 or more cases of each cohort")
    place = planned_workspace(dataset, workspace)
    with locked(place):
        study = open_study(dataset, workspace, workers, watch)
        warnings = tuple(changed_margins(study))
        for sentence in warnings:
            watch.note(f"warning: {sentence}")
        benchmark = _benchmark(study, robustness_cases, watch)
        write_benchmark(place, benchmark)
        made_from = [place.plan, place.splits, place.segmented, *(place.of(kind).model.record for kind in KINDS)]
        made = [place.roi_benchmark, *place.tables.glob("rois_*"), *place.figures.glob("rois_*")]
        note_run(watch.command, place, "benchmark rois", None, made_from, made, _precision(study, benchmark))
    for name, reason in benchmark.reasons.items():
        watch.note(f"no {name}: {reason}")
    return Benchmarked(place, benchmark, warnings)


def _precision(study: BenchmarkStudy, benchmark: "RoiBenchmark") -> str | None:
    """In what the scores were computed, earlier ones that were kept included; None where no model scored."""
    from autodls.models.device import resolve_device
    from autodls.models.network import computed_in

    if not benchmark.models:
        return None
    place = study.manual.workspace
    now = computed_in(study.plan, resolve_device("auto"))
    return precision_of_all(place, "benchmark rois", place.model.record, now)


def _benchmark(study: BenchmarkStudy, robustness_cases: int, watch: Watch) -> "RoiBenchmark":
    from autodls.analysis.rois_records import RoiBenchmark
    from autodls.stages.benchmark_steps import Networks, measure_agreement, measure_effect, measure_robustness

    cohorts = benchmark_cohorts(study)
    agreement = measure_agreement(study, cohorts, watch)
    models, lacking = usable_models(study)
    networks = Networks.load(study, tuple(models))
    reasons = {"effect": "; ".join(lacking.values())} if lacking else {}
    if "manual" in lacking or not robustness_cases:
        reasons["robustness"] = lacking.get("manual", _NO_CASES)
    effect = None if "effect" in reasons else measure_effect(study, cohorts, networks, watch)
    robustness = (
        None
        if "robustness" in reasons
        else measure_robustness(study, cohorts, agreement, robustness_cases, networks, watch)
    )
    networks.book.close()
    return RoiBenchmark(
        version=__version__,
        masks_key=study.masks.key,
        models={kind: record.sha256() for kind, record in models.items()},
        margin=study.plan.segmentation.noninferiority_margin_auc,
        agreement=agreement,
        effect=effect,
        robustness=robustness,
        reasons=reasons,
    )
