"""Cells of a table: what is missing, what is a number."""

import math
from collections.abc import Mapping

MISSING_TEXTS = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "-", "--", "?", "."})
POSITIVE_TEXTS = frozenset(
    {"1", "yes", "y", "true", "positive", "pos", "high", "present", "malignant", "mutant", "mutated", "+"}
)  # cells that mean the positive class where nothing else is said


class TableRow(dict[str, str]):
    """Cells by the name of their column, and the number of the row in a spreadsheet, where the first line is row 1."""

    def __init__(self, cells: Mapping[str, str], number: int) -> None:
        super().__init__(cells)
        self.number = number


def is_missing(text: str) -> bool:
    """Whether a cell means that nothing is known, in a column of numbers, times, labels or patients.

    Levels and names have words of their own (`columns.py`): there None may be a level and NA a hospital.

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
