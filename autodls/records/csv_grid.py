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
_SHOWN = 40
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_DECIMAL_COMMA = re.compile(r"(?P<whole>[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+)),(?P<rest>\d+(?:[eE][+-]?\d+)?)", re.ASCII)

_ReadRow = Callable[[int, list[str]], list[str]]


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
    marks = _Marks()
    try:
        rows = csv.reader(_lines(body), delimiter=separator, strict=True)
        read = _stripped if separator == "," else marks.read
        lines = list(_filled(path, rows, read))
    except (csv.Error, ValueError) as failure:  # ValueError: what `sep=` names cannot be a separator
        raise DatasetError(f"{path}: not a valid CSV table ({failure}); save it anew as 'CSV UTF-8'") from None
    return Grid(lines, separator, doubts=marks.doubts)


def _lines(text: str) -> Iterable[str]:
    """The lines of `text` with their ends, as the csv module wants them; nothing is copied but the line."""
    return (line[0] for line in _LINE.finditer(text) if line[0])


def _filled(path: Path, rows: Iterable[list[str]], read: _ReadRow) -> Iterator[tuple[int, list[str]]]:
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
        yield number, read(number, row)


def _stripped(_number: int, row: list[str]) -> list[str]:
    return [cell.strip() for cell in row]


class _Marks:
    """Decimal marks of a table that is not separated by commas: the first number with either of them, by column."""

    def __init__(self) -> None:
        self._comma: dict[int, str] = {}
        self._point: dict[int, str] = {}
        self._decimal: set[int] = set()  # columns with a point that cannot divide thousands

    def read(self, number: int, row: list[str]) -> list[str]:
        """The cells of row `number`, decimal commas as points."""
        cells = [with_decimal_point(cell) for cell in row]
        for at, (cell, read) in enumerate(zip(map(str.strip, row), cells, strict=True)):
            if cell != read:
                self._comma.setdefault(at, f"'{cell[:_SHOWN]}' (row {number})")
            elif _DECIMAL_POINT.fullmatch(cell):
                self._point.setdefault(at, f"'{cell[:_SHOWN]}' (row {number})")
                if not _THOUSANDS.fullmatch(cell):
                    self._decimal.add(at)
        return cells

    @property
    def doubts(self) -> dict[int, str]:
        """What may not be read as it is meant, by the place of its column."""
        found = {}
        for at, point in self._point.items() if self._comma else ():
            if at in self._comma:
                found[at] = f"holds {self._comma[at]} and {point}, both read as decimal marks; write one of them alone"
            elif at not in self._decimal:
                found[at] = f"holds {point}, read as a decimal point beside decimal commas; write thousands undivided"
        return found


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
