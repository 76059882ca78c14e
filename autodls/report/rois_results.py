"""The benchmark of ROIs as files: its record, its tables, its figures."""

from autodls.records.workspace import Workspace
from autodls.report.drawn import save_figure, save_table
from autodls.report.figures_rois import roi_figures
from autodls.report.rois_effect_tables import roi_tables
from autodls.report.rois_records import RoiBenchmark

_TABLES = ("rois_effect", "rois_scores", "rois_robustness", "rois_changed")
_FIGURES = ("rois_scores", "rois_robustness")


def write_benchmark(workspace: Workspace, benchmark: RoiBenchmark) -> None:
    """Write benchmark_rois.json, tables and figures; those of an earlier run that no longer apply are removed."""
    tables, figures = roi_tables(benchmark), roi_figures(benchmark)
    for name, table in tables.items():
        save_table(workspace.tables, name, table)
    for name, drawn in figures.items():
        save_figure(workspace.figures, name, drawn)
    for name in set(_TABLES) - set(tables):
        (workspace.tables / f"{name}.csv").unlink(missing_ok=True)
    for name in set(_FIGURES) - set(figures):
        for ending in ("png", "svg", "csv"):
            (workspace.figures / f"{name}.{ending}").unlink(missing_ok=True)
    benchmark.save(workspace.roi_benchmark)
