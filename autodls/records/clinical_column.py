"""Clinical columns of a locked candidate: how a cell becomes numbers, and the table of new cases."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from autodls.errors import DatasetError
from autodls.records.base import Record, some_of
from autodls.records.cells import is_missing
from autodls.records.columns import is_missing_level, number_in, without_codes
from autodls.records.table import read_table

CASE = "case"
UNKNOWN = "(missing)"
"""The level of a case whose cell is empty."""


class ClinicalColumn(Record):
    """A column of numbers, or, where there are `levels`, of these.

    >>> age = ClinicalColumn(name="age", median=60.0, low=31.0, high=84.0)
    >>> age.read("71"), age.read("NA")
    (({'age': 71.0}, ()), ({'age': 60.0}, ('age is missing: taken at the median of the training cohort',)))
    """

    name: str
    levels: tuple[str, ...] = Field(default=(), description="of the training cohort; none for a column of numbers")
    median: float | None = Field(default=None, description="of a column of numbers: what a missing one is taken at")
    low: float | None = Field(default=None, description="the least number in the training cohort")
    high: float | None = Field(default=None, description="the greatest number in the training cohort")
    had_missing: bool = Field(default=False, description="whether a number was missing in the training cohort")
    coded: bool = Field(default=False, description="whether dataset.json names the words for missing cells itself")

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the numbers that it becomes."""
        if self.levels:
            return tuple(self.of_level(level) for level in self.levels)
        return (self.name, self.of_missing) if self.had_missing else (self.name,)

    @property
    def of_missing(self) -> str:
        """The name of the number that says whether the cell is empty."""
        return f"{self.name}: {UNKNOWN}"

    def of_level(self, level: str) -> str:
        """The name of the number that says whether the cell holds `level`."""
        return f"{self.name}: {level}"

    def read(self, cell: str) -> tuple[dict[str, float], tuple[str, ...]]:
        """The numbers of a cell, by name, and what a person should know of them.

        Raises DatasetError for a level that the training cohort does not have, or a word among numbers.
        """
        return self._level(cell) if self.levels else self._number(cell)

    def _level(self, cell: str) -> tuple[dict[str, float], tuple[str, ...]]:
        number = number_in(cell)
        level = cell if cell in self.levels or number is None else f"{number:g}"
        if self._is_missing(cell):
            known = "a level of its own" if UNKNOWN in self.levels else "no level, as no training case lacked it"
            return self._coded(UNKNOWN), (f"{self.name} is missing: taken as {known}",)
        if level not in self.levels:
            known = some_of([one for one in self.levels if one != UNKNOWN])
            raise DatasetError(
                f"{self.name} is '{cell}', which no training case has; its levels are {known}: correct the cell, or "
                "leave it empty if it is not known"
            )
        return self._coded(level), ()

    def _coded(self, level: str) -> dict[str, float]:
        return {self.of_level(one): float(one == level) for one in self.levels}

    def _is_missing(self, cell: str) -> bool:
        """As in training: among codes any word for what is missing, among other levels only those that are no level."""
        codes = all(number_in(level) is not None for level in self.levels if level != UNKNOWN)
        return is_missing_level(cell, coded=self.coded) or (codes and is_missing(cell))

    def _number(self, cell: str) -> tuple[dict[str, float], tuple[str, ...]]:
        value = number_in(cell)
        if value is None and not is_missing(cell):
            raise DatasetError(f"{self.name} is '{cell}', expected a number; correct the cell, or leave it empty")
        said = ""
        if value is None:
            said = f"{self.name} is missing: taken at the median of the training cohort"
        elif (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            said = f"{self.name} lies outside {self.low:g} to {self.high:g}, the range of the training cohort"
        numbers = {self.name: (self.median or 0.0) if value is None else value}
        if self.had_missing:
            numbers[self.of_missing] = float(value is None)
        return numbers, (said,) if said else ()


def read_clinical(
    path: Path, columns: Sequence[str], missing: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, str]]:
    """The cells of `columns` by case, from a table of new cases; those emptied that hold a code of `missing`.

    Raises DatasetError for a table that cannot be read, that lacks a column, or holds a case twice.
    """
    rows = read_table(path)
    header = set(rows[0]) if rows else set()
    if lacking := [name for name in (CASE, *columns) if name not in header]:
        found = some_of(sorted(header)) or "none"
        raise DatasetError(
            f"{path}: no column '{lacking[0]}'; the candidate needs {some_of([CASE, *columns])}, the table has {found}"
        )
    found_rows: dict[str, dict[str, str]] = {}
    for row in rows:
        if row[CASE] in found_rows:
            raise DatasetError(f"{path}: row {row.number}: case '{row[CASE]}' stands twice; leave one row of it")
        cells = {name: row[name] for name in columns}
        found_rows[row[CASE]] = without_codes(cells, missing)
    return found_rows
