"""Tables as people keep them: CSV in UTF-8 or an Excel workbook, saved by a spreadsheet or by a program."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from autodls.errors import DatasetError
from autodls.limits import MOST_TABLE_BYTES
from autodls.records.base import shortened
from autodls.records.cells import TableRow
from autodls.records.csv_grid import csv_lines
from autodls.records.files import read_bounded
from autodls.records.grid import Grid
from autodls.records.workbook import workbook_lines

WORKBOOK = ".xlsx"
_OTHER_WORKBOOKS = (".xls", ".xlsb", ".xlsm", ".ods", ".numbers")


class Table(list[TableRow]):
    """The rows of a table; `notes` says what was passed over to read them, or reads otherwise than it looks."""

    def __init__(self, rows: Iterable[TableRow], notes: Iterable[str] = ()) -> None:
        super().__init__(rows)
        self.notes = tuple(notes)


def read_table(path: Path) -> Table:
    """Rows of a table: an Excel workbook (.xlsx), or UTF-8 text (a byte-order mark is allowed).

    Text is separated by comma, semicolon or tab, or by what a first line `sep=;` names. Where the separator is not a
    comma, a cell such as 65,8 is the number 65.8, and `notes` tells a column that has decimal points too. Cells are
    stripped; blank rows and columns without a name are left out, and so are lines of a single cell before the header,
    which `notes` then tells. Raises DatasetError for an unreadable file, a duplicate column, or a row with too many or
    too few cells.
    """
    if path.suffix.lower() in _OTHER_WORKBOOKS:
        raise DatasetError(f"{path}: a '{path.suffix}' workbook is not read; save it as '{WORKBOOK}' or as 'CSV UTF-8'")
    try:
        content = read_bounded(path, MOST_TABLE_BYTES)
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; a dataset folder holds the table of its cases there") from None
    except OSError as failure:
        raise DatasetError(f"{path}: cannot be read ({failure.strerror}); check the file") from None
    grid = workbook_lines(path, content) if path.suffix.lower() == WORKBOOK else csv_lines(path, content)
    body, notes = _without_titles(grid)
    if not body:
        raise DatasetError(f"{path}: the table is empty; it needs a header and a row for each case")
    header = dict(enumerate(body[0][1]))
    columns = [f"column '{_shown(header[at])}' {doubt}" for at, doubt in grid.doubts.items() if header.get(at)]
    return Table(_named_rows(path, body, grid), (*grid.notes, *notes, *columns))


def _without_titles(grid: Grid) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """The lines from the header on, without blank ones: a line of one cell is no header where others have more."""
    lines = [(number, cells) for number, cells in grid.lines if any(cells)]
    start = next((at for at, (_, cells) in enumerate(lines) if sum(map(bool, cells)) > 1), 0)
    notes = [
        f"row {number} ('{_shown(next(filter(None, cells)))}') is a title, not a header, and is passed over: the "
        f"header is row {lines[start][0]}"
        for number, cells in lines[:start]
    ]
    return lines[start:], notes


def _named_rows(path: Path, lines: list[tuple[int, list[str]]], grid: Grid) -> Iterable[TableRow]:
    (first, header), *body = lines
    if twice := sorted(name for name, count in Counter(header).items() if name and count > 1):
        raise DatasetError(f"{path}: column '{_shown(twice[0])}' stands twice in the header; rename one of them")
    widths = {len(cells) for _, cells in body}
    for number, cells in body:
        if len(cells) == len(header):
            yield TableRow({name: cell for name, cell in zip(header, cells, strict=True) if name}, number)
        elif len(widths) == 1 and len(body) > 1:
            raise DatasetError(
                f"{path}: row {first} ('{_shown(grid.separator.join(header))}') is read as the header and has "
                f"{len(header)} cells, every row below it {len(cells)}; remove what stands before the header, or "
                "correct it"
            )
        else:
            raise DatasetError(
                f"{path}: row {number} has {len(cells)} cells, its header {len(header)}; "
                f"quote cells that hold a '{grid.separator}'"
            )


def _shown(text: str) -> str:
    return shortened(text, 60)
