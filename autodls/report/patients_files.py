"""The learning curve of a candidate as files: its record, its table, its figure."""

from pathlib import Path

from autodls.analysis.patients_results import PatientsBenchmark
from autodls.records.results_folder import renewed
from autodls.records.workspace import Workspace
from autodls.report.drawn import ReportTable, earlier_results, save_figure, save_table
from autodls.report.figures.patients import patients_figure
from autodls.report.tables.patients import patients_table

NAME = "learning_curve"


def write_patients(workspace: Workspace, found: PatientsBenchmark) -> tuple[ReportTable, list[Path]]:
    """Write learning_curve.json, table and figure in the place of those of an earlier run; the table, and all files."""
    record, table = workspace.learning_curve, patients_table(found)
    earlier = earlier_results(workspace, (NAME,), (NAME,))
    with renewed(record.parent, record.name, [record, *earlier]) as stage:
        save_table(stage / workspace.tables.name, NAME, table)
        save_figure(stage / workspace.figures.name, NAME, patients_figure(found))
        found.save(stage / record.name)
    return table, [path for path in (record, *earlier) if path.is_file()]
