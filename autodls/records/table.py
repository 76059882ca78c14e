"""Tables as people keep them: UTF-8 CSV, saved by a spreadsheet or by a program."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from autodls.errors import DatasetError
from autodls.records.files import read_bounded

MISSING_TEXTS = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "?", "."})
MOST_TABLE_BYTES = 1 << 28
_SEPARATORS = ",;\t"


class TableRow(dict[str, str]):
    """Cells by the name of their column, and the number of the row in a spreadsheet, where the header is row 1."""

    def __init__(self, cells: Mapping[str, str], number: int) -> None:
        super().__init__(cells)
        self.number = number


def read_table(path: Path) -> list[TableRow]:
    """Rows of a table in UTF-8 (a byte-order mark is allowed), separated by comma, semicolon or tab.

    Cells are stripped; blank rows and columns without a name are left out. Raises DatasetError for an unreadable file,
    a duplicate column, or a row with too many or too few cells.
    """
    try:
        text = read_bounded(path, MOST_TABLE_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; a dataset folder holds the table of its cases there") from None
    except UnicodeDecodeError as failure:
        raise DatasetError(f"{path}: not UTF-8 at byte {failure.start}; save the table as 'CSV UTF-8'") from None
    except OSError as failure:
        raise DatasetError(f"{path}: cannot be read ({failure.strerror}); check the file's permissions") from None
    if "\0" in text:
        raise DatasetError(f"{path}: holds NUL signs, as UTF-16 does when read as UTF-8; save the table as 'CSV UTF-8'")
    if not text.strip():
        raise DatasetError(f"{path}: the table is empty; it needs a header and a row for each case")
    separator = max(_SEPARATORS, key=text.splitlines()[0].count)
    try:
        header, *body = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    except csv.Error as failure:
        raise DatasetError(f"{path}: not a valid CSV table ({failure}); save it anew as 'CSV UTF-8'") from None
    return list(_named_rows(path, [name.strip() for name in header], body, separator))


def _named_rows(path: Path, header: list[str], body: list[list[str]], separator: str) -> Iterable[TableRow]:
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise DatasetError(f"{path}: column '{twice[0]}' stands twice in the header; rename one of them")
    for number, cells in enumerate(body, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise DatasetError(
                f"{path}: row {number} has {len(cells)} cells, its header {len(header)}; "
                f"quote cells that hold a '{separator}'"
            )
        yield TableRow({name: cell.strip() for name, cell in zip(header, cells, strict=True) if name}, number)


def is_missing(text: str) -> bool:
    """Whether a cell of a table means that nothing is known.

    >>> is_missing("NA"), is_missing("0")
    (True, False)
    """
    return text.strip().lower() in MISSING_TEXTS


def read_number(text: str) -> float | None:
    """The finite number in a cell, None where it is missing.

    Raises ValueError for anything else, also for Python's own spellings that no spreadsheet writes.

    >>> read_number("20"), read_number("")
    (20.0, None)
    >>> read_number("1_000")
    Traceback (most recent call last):
        ...
    ValueError: '1_000' is not a number
    """
    if is_missing(text):
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if "_" in text or not math.isfinite(value):
        raise ValueError(f"'{text}' is not a number")
    return value
