"""`benchmark rois`: automatic against manual ROIs, and what they cost the score."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from autodls import __version__
from autodls.cli.console import note, say, say_json, show_table
from autodls.errors import ArgumentError
from autodls.records.lock import locked
from autodls.records.workspace import Workspace
from autodls.stages.benchmark_cohorts import KINDS, benchmark_cohorts, changed_margins, open_study, usable_models
from autodls.stages.provenance import note_run
from autodls.stages.session import planned_workspace

if TYPE_CHECKING:
    from autodls.analysis.rois_records import RoiBenchmark
    from autodls.report.drawn import Table

_NO_CASES = "no case was asked for (--robustness-cases 0)"


def run_benchmark_rois(
    dataset: Path, workspace: Path | None, robustness_cases: int, *, workers: int, as_json: bool
) -> None:
    """Compare the ROIs, score all cases with both kinds by both models, and change the manual ROI of some cases.

    What there are no models for is left out and said. Scores and held-out ROIs are kept, so a killed run continues.
    """
    from autodls.report.rois_results import write_benchmark

    if robustness_cases < 0:
        raise ArgumentError(f"--robustness-cases {robustness_cases}: expected 0 or more cases of each cohort")
    place = planned_workspace(dataset, workspace)
    with locked(place):
        benchmark = _benchmark(dataset, workspace, robustness_cases, workers)
        write_benchmark(place, benchmark)
        made_from = [place.plan, place.splits, place.segmented, *(place.of(kind).model.record for kind in KINDS)]
        made = [place.roi_benchmark, *place.tables.glob("rois_*"), *place.figures.glob("rois_*")]
        note_run(sys.argv, place, "benchmark rois", None, made_from, made)
    if as_json:
        say_json(benchmark.to_bytes().decode().rstrip())
    else:
        _show(place, benchmark)
    for name, reason in benchmark.reasons.items():
        note(f"no {name}: {reason}")


def _benchmark(dataset: Path, workspace: Path | None, robustness_cases: int, workers: int) -> "RoiBenchmark":
    from autodls.analysis.rois_records import RoiBenchmark
    from autodls.stages.benchmark_steps import Networks, measure_agreement, measure_effect, measure_robustness

    study = open_study(dataset, workspace, workers)
    cohorts = benchmark_cohorts(study)
    agreement = measure_agreement(study, cohorts)
    models, lacking = usable_models(study)
    for sentence in changed_margins(study):
        note(f"warning: {sentence}")
    networks = Networks.load(study, tuple(models))
    reasons = {"effect": "; ".join(lacking.values())} if lacking else {}
    if "manual" in lacking or not robustness_cases:
        reasons["robustness"] = lacking.get("manual", _NO_CASES)
    effect = None if "effect" in reasons else measure_effect(study, cohorts, networks)
    robustness = (
        None if "robustness" in reasons else measure_robustness(study, cohorts, agreement, robustness_cases, networks)
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


def _show(workspace: Workspace, benchmark: "RoiBenchmark") -> None:
    from autodls.report.tables.rois import agreement_table, lesions_table, planes_table, published_table
    from autodls.report.tables.rois_effect import effect_table, robustness_table

    tables = [make(benchmark) for make in (agreement_table, lesions_table, planes_table, published_table)]
    tables += [] if benchmark.effect is None else [effect_table(benchmark.effect)]
    tables += [] if benchmark.robustness is None else [robustness_table(benchmark)]
    for table in tables:
        _print(table)
    for cohort, held in (benchmark.effect or {}).items():
        say(f"{cohort}: {held.sentence}")
    say(f"everything: {workspace.roi_benchmark}; tables: {workspace.tables}, figures: {workspace.figures}")


def _print(table: "Table") -> None:
    show_table(table.printed.title, table.printed.header, table.printed.lines, numbers_from=2)
    for remark in table.printed.notes:
        say(f"  {remark}")
    say("")
