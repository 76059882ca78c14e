"""The comparison of candidates as files: its record, its tables, its figure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autodls.analysis.comparison_results import Comparison
from autodls.records.results_folder import renewed
from autodls.records.workspace import Workspace
from autodls.report.drawn import Drawn, ReportTable, earlier_results, save_figure, save_table
from autodls.report.figures.candidates import candidates_figure
from autodls.report.tables.candidates import adds_table, candidate_table, difference_table

TABLES = ("candidates", "candidates_differences", "candidates_network")
FIGURE = "candidates"


@dataclass(frozen=True)
class ComparisonFiles:
    """The record, and tables and figures by the name of their files."""

    record: Comparison
    tables: Mapping[str, ReportTable]
    figures: Mapping[str, Drawn]


def comparison_files(found: Comparison) -> ComparisonFiles:
    """Everything that is written of a comparison; a table of the network only where there is one."""
    tables = {"candidates": candidate_table(found), "candidates_differences": difference_table(found)}
    if found.adds:
        tables["candidates_network"] = adds_table(found)
    return ComparisonFiles(found, tables, {FIGURE: candidates_figure(found)})


def write_comparison(workspace: Workspace, files: ComparisonFiles) -> list[Path]:
    """Write compare.json, tables and figure in the place of those of an earlier run, all or none; where they lie."""
    record = workspace.comparison
    earlier = earlier_results(workspace, TABLES, (FIGURE,))
    with renewed(record.parent, record.name, [record, *earlier]) as stage:
        for name, table in files.tables.items():
            save_table(stage / workspace.tables.name, name, table)
        for name, drawn in files.figures.items():
            save_figure(stage / workspace.figures.name, name, drawn)
        files.record.save(stage / record.name)
    return [path for path in [record, *earlier] if path.is_file()]
