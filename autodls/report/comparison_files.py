"""The comparison of candidates as files: its record, its tables, its figure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autodls.analysis.comparison_results import Comparison
from autodls.analysis.nomogram import has_nomogram
from autodls.records.locked_candidate import LockedCandidate
from autodls.records.results_folder import renewed
from autodls.records.workspace import Workspace
from autodls.report.drawn import Drawn, ReportTable, earlier_results, save_figure, save_table
from autodls.report.figures.candidates import candidates_decision_figure, candidates_figure
from autodls.report.figures.nomogram import coefficients_figure, nomogram_figure
from autodls.report.tables.candidates import adds_table, candidate_table, difference_table

TABLES = ("candidates", "candidates_differences", "candidates_network")
FIGURE, DECISION = "candidates", "candidates_decision"
COEFFICIENTS, NOMOGRAM = "candidate_coefficients", "candidate_nomogram"


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
    figures = {FIGURE: candidates_figure(found)}
    if found.decision is not None:
        figures[DECISION] = candidates_decision_figure(found.decision, found.positives / found.n)
    return ComparisonFiles(found, tables, figures)


def write_comparison(workspace: Workspace, files: ComparisonFiles) -> list[Path]:
    """Write compare.json, tables and figure in the place of those of an earlier run, all or none; where they lie."""
    record = workspace.comparison
    earlier = earlier_results(workspace, TABLES, (FIGURE, DECISION))
    with renewed(record.parent, record.name, [record, *earlier]) as stage:
        for name, table in files.tables.items():
            save_table(stage / workspace.tables.name, name, table)
        for name, drawn in files.figures.items():
            save_figure(stage / workspace.figures.name, name, drawn)
        files.record.save(stage / record.name)
    return [path for path in [record, *earlier] if path.is_file()]


def write_candidate_figures(workspace: Workspace, record: LockedCandidate) -> list[Path]:
    """Draw what a locked candidate is made of, in the place of the figures of an earlier one; where they lie."""
    drawn = {COEFFICIENTS: coefficients_figure(record)}
    if has_nomogram(record):
        drawn[NOMOGRAM] = nomogram_figure(record)
    earlier = earlier_results(workspace, (), (COEFFICIENTS, NOMOGRAM))
    home = workspace.figures.parent
    with renewed(home, f"{workspace.figures.name}/{COEFFICIENTS}.svg", earlier) as stage:
        for name, one in drawn.items():
            save_figure(stage / workspace.figures.name, name, one)
    return [path for path in earlier if path.is_file()]
