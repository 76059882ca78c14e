"""What the report is made of: tables with all their digits, and figures with every number that they draw."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from autodls.errors import ArgumentError
from autodls.records.files import write_atomically
from autodls.records.scores import write_csv
from autodls.records.workspace import Workspace
from autodls.report.figures.style import in_style

PNG_DPI = 200
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")

CellValue = str | float | int | bool | None


@dataclass(frozen=True)
class Rows:
    """A table for programs: numbers with all their digits, None where there is none."""

    header: tuple[str, ...]
    lines: tuple[tuple[CellValue, ...], ...]

    def __post_init__(self) -> None:
        for number, line in enumerate(self.lines):
            if len(line) != len(self.header):
                raise ArgumentError(f"line {number} has {len(line)} cells for {len(self.header)} columns")

    def column(self, name: str) -> list[CellValue]:
        """The cells of one column."""
        if name not in self.header:
            raise ArgumentError(f"no column '{name}'; the columns are {list(self.header)}")
        return [line[self.header.index(name)] for line in self.lines]


@dataclass(frozen=True)
class Printed:
    """The same table for people: cells as text, names of the user as they are (escape them for HTML), footnotes."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportTable:
    """A table of the paper: `rows` are saved as CSV, `printed` is shown."""

    rows: Rows
    printed: Printed


@dataclass(frozen=True)
class Drawn:
    """A figure and every number in it; `empty` says in words why a panel holds no curve, by panel."""

    figure: Figure
    rows: Rows
    empty: tuple[tuple[str, str], ...] = ()


def save_figure(folder: Path, name: str, drawn: Drawn) -> tuple[Path, Path, Path]:
    """Write `name`.png (200 dpi), .svg and .csv into `folder`, each atomically; the same figure gives the same bytes.

    Letters are drawn as outlines, so that the SVG looks alike where the fonts are not installed.
    """
    png, svg, table = (_path(folder, name, ending) for ending in ("png", "svg", "csv"))
    save_png(png, drawn.figure)
    with in_style():
        write_atomically(svg, lambda at: drawn.figure.savefig(at, format="svg", metadata={"Date": None}))
    write_csv(table, drawn.rows.header, drawn.rows.lines)
    return png, svg, table


def save_png(path: Path, figure: Figure) -> None:
    """Write `figure` to `path` (200 dpi), atomically; the same figure gives the same bytes."""
    with in_style():
        write_atomically(path, lambda at: figure.savefig(at, format="png", dpi=PNG_DPI, metadata={"Software": None}))


def save_table(folder: Path, name: str, table: ReportTable) -> Path:
    """Write `name`.csv into `folder`, atomically."""
    path = _path(folder, name, "csv")
    write_csv(path, table.rows.header, table.rows.lines)
    return path


def earlier_results(workspace: Workspace, tables: Iterable[str], figures: Iterable[str]) -> list[Path]:
    """Every file that tables and figures of these names may have in the results of `workspace`."""
    files = [workspace.figures / f"{name}.{ending}" for name in figures for ending in ("png", "svg", "csv")]
    return [*(workspace.table(name) for name in tables), *files]


def unique_reasons(reasons: Sequence[str]) -> tuple[str, ...]:
    """Footnotes without repetition, in order."""
    return tuple(dict.fromkeys(reasons))


def _path(folder: Path, name: str, ending: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ArgumentError(f"'{name}' is no name for a figure or table; use lower-case letters, digits and '_'")
    return folder / f"{name}.{ending}"
