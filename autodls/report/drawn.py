"""What the report is made of: tables with all their digits, and figures with every number that they draw."""

import functools
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from autodls.errors import ArgumentError
from autodls.records.files import write_atomically, write_bytes
from autodls.records.scores import write_csv
from autodls.records.workspace import Workspace
from autodls.report.figures.style import MM_PER_INCH, in_style

PNG_DPI, TIFF_DPI = 200, 600
Format = Literal["pdf", "svg", "tiff"]
_MOST_PX = 1 << 16  # of a side, that can be drawn
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
    write_bytes(svg, svg_of(drawn.figure))
    write_csv(table, drawn.rows.header, drawn.rows.lines)
    return png, svg, table


def save_for_journal(folder: Path, name: str, figure: Figure, formats: Iterable[Format]) -> list[Path]:
    """Write `name`.pdf, .svg and .tiff into `folder`, those of `formats`, each atomically; the same bytes every time.

    Text of the PDF and the SVG is text: the PDF brings its fonts, the SVG names them. TIFF has 600 dpi, RGB without
    alpha, LZW. Raises ArgumentError where a figure is too large to be made of pixels.
    """
    made = []
    for ending in dict.fromkeys(formats):
        path = _path(folder, name, ending)
        with in_style(), rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}):
            write_atomically(path, functools.partial(_SAVERS[ending], figure))
        made.append(path)
    return made


def _save_pdf(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="pdf", metadata={"CreationDate": None})


def _save_svg(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None})


def _save_tiff(figure: Figure, path: Path) -> None:
    sides_px = figure.get_size_inches() * TIFF_DPI
    if max(sides_px) >= _MOST_PX:
        height_mm = figure.get_size_inches()[1] * MM_PER_INCH
        raise ArgumentError(
            f"a figure of {height_mm:.0f} mm cannot be made of {TIFF_DPI} dpi; ask for pdf or svg, or for fewer cohorts"
        )
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=TIFF_DPI)
    with Image.open(drawn) as picture:  # its background is white: nothing shows through
        picture.convert("RGB").save(path, format="tiff", compression="tiff_lzw", dpi=(TIFF_DPI, TIFF_DPI))


_SAVERS: Mapping[Format, Callable[[Figure, Path], None]] = {"pdf": _save_pdf, "svg": _save_svg, "tiff": _save_tiff}


def svg_of(figure: Figure) -> bytes:
    """`figure` as an SVG whose letters are outlines; the same figure gives the same bytes."""
    content = io.BytesIO()
    with in_style():
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def png_of(figure: Figure) -> bytes:
    """`figure` as PNG of 200 dpi; the same figure gives the same bytes."""
    content = io.BytesIO()
    with in_style():
        figure.savefig(content, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return content.getvalue()


def save_png(path: Path, figure: Figure) -> None:
    """Write `figure` to `path` (200 dpi), atomically; the same figure gives the same bytes."""
    write_bytes(path, png_of(figure))


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
