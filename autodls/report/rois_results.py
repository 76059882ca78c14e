"""The benchmark of ROIs as files: its record, its tables, its figures."""

from autodls.analysis.rois_records import RoiBenchmark
from autodls.records.results_folder import renewed
from autodls.records.workspace import Workspace
from autodls.report.drawn import earlier_results, save_figure, save_table
from autodls.report.figures.rois import roi_figures
from autodls.report.tables.rois_effect import roi_tables

_TABLES = ("rois_effect", "rois_scores", "rois_robustness", "rois_changed")
_FIGURES = ("rois_scores", "rois_robustness")


def write_benchmark(workspace: Workspace, benchmark: RoiBenchmark) -> None:
    """Write benchmark_rois.json, tables and figures in the place of those of an earlier run, all of them or none."""
    tables, figures, record = roi_tables(benchmark), roi_figures(benchmark), workspace.roi_benchmark
    earlier = earlier_results(workspace, {*_TABLES, *tables}, {*_FIGURES, *figures})
    with renewed(record.parent, record.name, [record, *earlier]) as stage:
        for name, table in tables.items():
            save_table(stage / workspace.tables.name, name, table)
        for name, drawn in figures.items():
            save_figure(stage / workspace.figures.name, name, drawn)
        benchmark.save(stage / record.name)
