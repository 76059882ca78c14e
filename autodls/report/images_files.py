"""The benchmark of images as files: its record, its tables, its figure."""

from pathlib import Path

from autodls.analysis.images_records import ImageBenchmark
from autodls.records.results_folder import renewed
from autodls.records.workspace import Workspace
from autodls.report.drawn import ReportTable, earlier_results, save_figure, save_table
from autodls.report.figures.images import images_figure
from autodls.report.tables.images import degraded_cases_table, images_table

NAME, CASES = "images_robustness", "images_degraded"


def write_images(workspace: Workspace, found: ImageBenchmark) -> tuple[ReportTable, list[Path]]:
    """Write benchmark_images.json, tables and figure in the place of earlier ones; the table, and all files."""
    record, table = workspace.image_benchmark, images_table(found)
    earlier = earlier_results(workspace, (NAME, CASES), (NAME,))
    with renewed(record.parent, record.name, [record, *earlier]) as stage:
        save_table(stage / workspace.tables.name, NAME, table)
        save_table(stage / workspace.tables.name, CASES, degraded_cases_table(found))
        save_figure(stage / workspace.figures.name, NAME, images_figure(found))
        found.save(stage / record.name)
    return table, [path for path in (record, *earlier) if path.is_file()]
