"""Tables as text: separators, Excel's `sep=` line and decimal commas."""

import csv
import io
import re
from pathlib import Path

from autodls.errors import DatasetError
from autodls.records.grid import Grid

_SEPARATORS = ",;\t"
_NAMED_SEPARATOR = re.compile(r'"?sep=(?P<separator>[^\r\n"])"?(?:\r\n|\r|\n|$)', re.IGNORECASE)
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
        lines = list(csv.reader(io.StringIO(body, newline=""), delimiter=separator, strict=True))
    except (csv.Error, ValueError) as failure:  # ValueError: what `sep=` names cannot be a separator
        raise DatasetError(f"{path}: not a valid CSV table ({failure}); save it anew as 'CSV UTF-8'") from None
    read = str.strip if separator == "," else with_decimal_point
    return Grid([(number, [read(cell) for cell in cells]) for number, cells in enumerate(lines, start=1)], separator)


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
    lines = text.splitlines()
    first = next((line for line in lines if any(sign in line for sign in _SEPARATORS)), lines[0] if lines else "")
    return max(_SEPARATORS, key=first.count)
