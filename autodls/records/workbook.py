"""Excel workbooks as tables; the only place that knows openpyxl."""

import contextlib
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import ExpatError, ParserCreate

from autodls.errors import DatasetError
from autodls.limits import MOST_WORKBOOK_BYTES, MOST_WORKBOOK_CELLS, MOST_WORKBOOK_ELEMENTS
from autodls.records.grid import Grid

_MOST_WHOLE = 1e15  # digits that a spreadsheet keeps
_CORNER = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})", re.ASCII)
_ZEROS = re.compile(r"0{2,20}")  # a number format that shows 14 as 014
_BROKEN = (  # what openpyxl raises for a file that is none, or is damaged
    zipfile.BadZipFile, zlib.error, KeyError, IndexError, ValueError, TypeError, AttributeError, OSError, EOFError,
    NotImplementedError, ParseError,
)  # fmt: skip
_TOLD = 3  # places that a line names


def workbook_lines(path: Path, content: bytes) -> Grid:
    """The cells of the one sheet that holds any, or of the one that is named as the file is.

    A number is written without a point where it is whole, with leading zeros where its format shows them; a date as
    2024-05-31. Raises DatasetError for what is no workbook, for several sheets, merged cells, and a formula whose
    value is not stored.
    """
    values, formulas = (_opened(path, content, data_only=kind) for kind in (True, False))
    sheet, notes = _chosen(path, values)
    _refuse_lost_cells(path, sheet, formulas[sheet.title])
    lines = [(number, [_text(cell) for cell in row]) for number, row in enumerate(sheet.iter_rows(), start=1)]
    width = max((at for _, cells in lines for at, cell in enumerate(cells, start=1) if cell), default=0)
    lines = [(number, cells[:width]) for number, cells in lines]
    return Grid(lines, ",", (*notes, *_percent_notes(sheet), *_hidden_notes(sheet)))


def _opened(path: Path, content: bytes, *, data_only: bool) -> Any:
    """The workbook with the values of its formulas, or with the formulas themselves."""
    import openpyxl  # only a workbook needs it

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        if unpacked > MOST_WORKBOOK_BYTES:
            raise DatasetError(
                f"{path}: unpacks to {unpacked >> 20} MiB, more than {MOST_WORKBOOK_BYTES >> 20}; keep the table "
                "alone in it, or save it as 'CSV UTF-8'"
            )
        _require_modest(path, content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of extensions that have no cells
            return openpyxl.load_workbook(io.BytesIO(content), data_only=data_only)
    except DatasetError:
        raise
    except _BROKEN as failure:
        raise DatasetError(
            f"{path}: not a readable Excel workbook ({type(failure).__name__}: {str(failure)[:80]}); save it anew, "
            "without a password, or as 'CSV UTF-8'"
        ) from None


def _require_modest(path: Path, content: bytes) -> None:
    """Refuse what openpyxl would take hours or all memory for, before it reads: counted as the XML goes by.

    It makes an object of every element, and a cell for each place of a range that is merged or linked; a document type
    may define entities that multiply, and no workbook has one.
    """
    count = 0

    def started(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if name.rpartition(":")[2] in ("mergeCell", "hyperlink"):
            count += _places(attributes.get("ref", ""))
        if count > MOST_WORKBOOK_ELEMENTS:
            raise DatasetError(
                f"{path}: more than {MOST_WORKBOOK_ELEMENTS} cells and other elements; keep the table alone in it, or "
                "save it as 'CSV UTF-8'"
            )

    def document_type(*_: object) -> None:
        raise DatasetError(f"{path}: defines a document type, as no workbook does; save it anew, or as 'CSV UTF-8'")

    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        for part in parts.infolist():
            parser = ParserCreate()
            parser.StartElementHandler, parser.StartDoctypeDeclHandler = started, document_type
            with parts.open(part) as stream, contextlib.suppress(ExpatError):  # a picture, say: openpyxl has its word
                parser.ParseFile(stream)


def _places(area: str) -> int:
    """How many cells the range `area` has, such as 8 in A1:B4."""
    corners = [(_column_number(letters), int(digits)) for letters, digits in _CORNER.findall(area)]
    across, down = (max(side) - min(side) + 1 for side in zip(*corners, strict=True)) if corners else (0, 0)
    return across * down


def _column_number(letters: str) -> int:
    """The number of a column.

    >>> _column_number("A"), _column_number("AB")
    (1, 28)
    """
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _chosen(path: Path, workbook: Any) -> tuple[Any, list[str]]:
    sheets = [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]
    places = 0
    for sheet in sheets:
        places += sheet.max_row * sheet.max_column
        if places > MOST_WORKBOOK_CELLS:
            raise DatasetError(
                f"{path}: sheet '{sheet.title}' reaches to {sheet.dimensions.split(':')[-1]}, more than "
                f"{MOST_WORKBOOK_CELLS} cells; delete the empty rows and columns behind the table"
            )
    filled = [sheet for sheet in sheets if any(cell is not None for row in sheet.values for cell in row)]
    named = [sheet for sheet in filled if sheet.title.strip().lower() == path.stem.lower()]
    if not filled:
        raise DatasetError(f"{path}: the table is empty; it needs a header and a row for each case")
    if len(filled) > 1 and not named:
        titles = ", ".join(f"'{sheet.title}'" for sheet in filled)
        raise DatasetError(
            f"{path}: {len(filled)} sheets hold cells ({titles}); name the sheet of the table '{path.stem}', or keep "
            "that sheet alone"
        )
    sheet = (named or filled)[0]
    others = [other.title for other in workbook.worksheets if other is not sheet and other in filled]
    return sheet, [f"sheet '{sheet.title}' is read, and '{other}' is not" for other in others]


def _refuse_lost_cells(path: Path, sheet: Any, formulas: Any) -> None:
    """Merged cells hold one value for several rows or columns; a program may save a formula without its value."""
    start = next((row[0].row for row in sheet.iter_rows() if sum(cell.value is not None for cell in row) > 1), 1)
    if merged := [str(area) for area in sheet.merged_cells.ranges if area.max_row >= start]:
        raise DatasetError(
            f"{path}: sheet '{sheet.title}': cells {_listed(merged)} are merged; unmerge them, and write the value "
            "into each"
        )
    if lost := [
        cell.coordinate
        for row in formulas.iter_rows()
        for cell in row
        if cell.data_type == "f" and sheet[cell.coordinate].value is None
    ]:
        raise DatasetError(
            f"{path}: sheet '{sheet.title}': the value of the formula in {_listed(lost)} is not stored; open and save "
            "the workbook in a spreadsheet program, or replace formulas by their values"
        )


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _number(value, str(cell.number_format))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value).strip() if not isinstance(value, timedelta) else str(value)


def _number(value: float, number_format: str) -> str:
    if isinstance(value, float) and not (value.is_integer() and abs(value) < _MOST_WHOLE):
        return repr(value)
    digits = len(number_format) if _ZEROS.fullmatch(number_format) else 0
    return f"{int(value):0{digits}d}"


def _percent_notes(sheet: Any) -> Iterable[str]:
    """Cells that look a hundred times as large as they are."""
    shown = [
        cell.coordinate
        for row in sheet.iter_rows()
        for cell in row
        if isinstance(cell.value, int | float) and "%" in str(cell.number_format)
    ]
    if shown:
        yield f"cells {_listed(shown)} are shown as percentages: 20% is read as 0.2"


def _hidden_notes(sheet: Any) -> Iterable[str]:
    """Rows that a filter hides are rows of the table all the same."""
    hidden = [
        str(number)
        for number, row in sorted(sheet.row_dimensions.items())
        if row.hidden and number <= sheet.max_row and any(cell.value is not None for cell in sheet[number])
    ]
    if hidden:
        yield f"rows {_listed(hidden)} of sheet '{sheet.title}' are hidden, as by a filter, and are read all the same"


def _listed(places: list[str]) -> str:
    more = f" and {len(places) - _TOLD} more" if len(places) > _TOLD else ""
    return f"{', '.join(places[:_TOLD])}{more}"
