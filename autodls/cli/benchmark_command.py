"""`benchmark rois` and `benchmark sequences`."""

from pathlib import Path

from autodls.cli.console import Terminal, say, say_json, show_table
from autodls.stages.benchmark_rois import Benchmarked, benchmark_rois
from autodls.stages.benchmark_sequences import benchmark_sequences


def run_benchmark_rois(
    dataset: Path, workspace: Path | None, robustness_cases: int, *, workers: int, as_json: bool
) -> None:
    """Compare automatic with manual ROIs, and show the tables."""
    found = benchmark_rois(dataset, workspace, robustness_cases, workers=workers, watch=Terminal())
    if as_json:
        say_json(found.benchmark.to_bytes().decode().rstrip())
    else:
        _show(found)


def run_benchmark_sequences(dataset: Path, workspace: Path | None, *, device: str, workers: int) -> None:
    """Score all cases with each sequence withheld, and show the table."""
    found = benchmark_sequences(dataset, workspace, device=device, workers=workers, watch=Terminal())
    from autodls.report.tables.withheld import withheld_table

    printed = withheld_table(found.withheld).printed
    show_table(printed.title, printed.header, printed.lines, numbers_from=2)
    for remark in printed.notes:
        say(f"  {remark}")
    say(f"table: {found.workspace.table('withheld')}")


def _show(found: Benchmarked) -> None:
    from autodls.report.tables.rois import agreement_table, lesions_table, planes_table, published_table
    from autodls.report.tables.rois_effect import effect_table, robustness_table

    benchmark, workspace = found.benchmark, found.workspace
    tables = [make(benchmark) for make in (agreement_table, lesions_table, planes_table, published_table)]
    tables += [] if benchmark.effect is None else [effect_table(benchmark.effect)]
    tables += [] if benchmark.robustness is None else [robustness_table(benchmark)]
    for printed in (table.printed for table in tables):
        show_table(printed.title, printed.header, printed.lines, numbers_from=2)
        for remark in printed.notes:
            say(f"  {remark}")
        say("")
    for cohort, held in (benchmark.effect or {}).items():
        say(f"{cohort}: {held.sentence}")
    say(f"everything: {workspace.roi_benchmark}; tables: {workspace.tables}, figures: {workspace.figures}")
