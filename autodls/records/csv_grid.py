"""Tables as text: separators, Excel's `sep=` line and decimal commas."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from autodls.errors import DatasetError
from autodls.limits import MOST_CELL_SIGNS, MOST_CELLS, MOST_ROWS
from autodls.records.grid import Grid

_SEPARATORS = ",;\t"
_NAMED_SEPARATOR = re.compile(r'"?sep=(?P<separator>[^\r\n"])"?(?:\r\n|\r|\n|$)', re.IGNORECASE)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_DECIMAL_COMMA = re.compile(r"(?P<whole>[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+)),(?P<rest>\d+(?:[eE][+-]?\d+)?)", re.ASCII)


def csv_lines(path: Path, content: bytes) -> Grid:
    """The cells of the CSV file `path`, read as `content`.

    A `sep=` line is no line of the table, as in Excel, which does not number it. Raises DatasetError.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise DatasetError(f"{path}: not UTF-8 at byte {failure.start}; save the table as 'CSV UTF-8'") from None
    if "\0" in text:
        raise DatasetError(f"{path}: holds NUL signs, as UTF-16 does when read as UTF-8; save the table as 'CSV UTF-8'")
    named = _NAMED_SEPARATOR.match(text)
    body = text[named.end() :] if named else text
    separator = named["separator"] if named else _separator(body)
    try:
        rows = csv.reader(_lines(body), delimiter=separator, strict=True)
        lines = list(_filled(path, rows, str.strip if separator == "," else with_decimal_point))
    except (csv.Error, ValueError) as failure:  # ValueError: what `sep=` names cannot be a separator
        raise DatasetError(f"{path}: not a valid CSV table ({failure}); save it anew as 'CSV UTF-8'") from None
    return Grid(lines, separator)


def _lines(text: str) -> Iterable[str]:
    """The lines of `text` with their ends, as the csv module wants them; nothing is copied but the line."""
    return (line[0] for line in _LINE.finditer(text) if line[0])


def _filled(path: Path, rows: Iterable[list[str]], read: Callable[[str], str]) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with their numbers; raises DatasetError as soon as they are too many."""
    count = cells = 0
    for number, row in enumerate(rows, start=1):
        if not any(row):
            continue
        count, cells = count + 1, cells + len(row)
        if count > MOST_ROWS or cells > MOST_CELLS:
            raise DatasetError(
                f"{path}: more than {MOST_ROWS} rows or {MOST_CELLS} cells, counted up to row {number}; keep the rows "
                "of the cases and the columns of the study alone"
            )
        if max(map(len, row)) > MOST_CELL_SIGNS:
            raise DatasetError(
                f"{path}: row {number} has a cell of {max(map(len, row))} signs, expected at most {MOST_CELL_SIGNS}; "
                "is a quote sign missing?"
            )
        yield number, [read(cell) for cell in row]


def with_decimal_point(cell: str) -> str:
    """A stripped cell, its decimal comma a point where it is a number that is written with one.

    For tables that are not separated by commas: there a comma between digits is the decimal mark.

    >>> with_decimal_point(" 65,8"), with_decimal_point("1.065,8"), with_decimal_point("T1, T2")
    ('65.8', '1065.8', 'T1, T2')
    """
    found = _DECIMAL_COMMA.fullmatch(cell.strip())
    return f"{found['whole'].replace('.', '')}.{found['rest']}" if found else cell.strip()


def _separator(text: str) -> str:
    """What stands most often in the first line that has any: a line before the header may have none."""
    first = next((line for line in _lines(text) if any(sign in line for sign in _SEPARATORS)), "")
    return max(_SEPARATORS, key=first.count)
