"""Anybody's scores: a table read for `evaluate`, with every row accounted for."""

import difflib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from autodls.errors import ArgumentError
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.results import Excluded
from autodls.limits import MOST_COHORTS
from autodls.records.base import some_of
from autodls.records.case_id import look_alikes
from autodls.records.cells import TableRow, is_missing, read_number
from autodls.records.columns import number_in, suspected_codes
from autodls.records.table import read_table

ONE_COHORT = "all"
_MOST_COMPARED = 10_000  # column names, with one that is misspelt
_BINARY = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


@dataclass(frozen=True)
class _Offered:
    """Columns that are read for their values."""

    scores: tuple[str, ...]
    label: str | None = None
    time: str | None = None
    event: str | None = None

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the columns, scores first."""
        return (*self.scores, *(name for name in (self.label, self.time, self.event) if name is not None))


@dataclass(frozen=True)
class Columns(_Offered):
    """Which columns of a table are read: scores, the first of them the reference; a label, or time and event, or both.

    Raises ArgumentError for a choice that cannot be evaluated.
    """

    cohort: str | None = None
    patient: str | None = None

    def __post_init__(self) -> None:
        if not self.scores:
            raise ArgumentError("no score column was named; name one with --score")
        if (self.time is None) != (self.event is None):
            present, absent = ("time", "event") if self.time else ("event", "time")
            column = self.time or self.event
            raise ArgumentError(f"--{present} {column} stands without --{absent}; survival needs both")
        if self.label is None and self.time is None:
            raise ArgumentError(
                f"scores {list(self.scores)} have nothing to be judged by; name --label, or --time and --event"
            )
        if twice := [name for name in self.used if self.used.count(name) > 1]:
            raise ArgumentError(f"column '{twice[0]}' is named twice; give each role a column of its own")

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the columns, scores first, the cohort and the patient last."""
        return (*super().used, *(name for name in (self.cohort, self.patient) if name is not None))


@dataclass(frozen=True)
class ScoreTable:
    """Score names, the reference first, and the cohorts in the order of the table.

    `without_cohort` rows name no cohort and are in none.
    """

    scores: tuple[str, ...]
    cohorts: Mapping[str, CohortTable]
    warnings: tuple[str, ...] = ()
    without_cohort: int = 0


def read_scores(path: Path, columns: Columns) -> ScoreTable:
    """Read the table `path`, CSV or .xlsx; raises InputError (exit status 2), with row and column of what is wrong."""
    if not path.is_file():
        raise ArgumentError(f"{path}: no such file; --scores wants a table (CSV or .xlsx) with a row for each case")
    rows = read_table(path)
    table = table_from_rows(rows, columns, str(path))
    return replace(table, warnings=(*rows.notes, *table.warnings))


def table_from_rows(rows: Sequence[TableRow], columns: Columns, where: str) -> ScoreTable:
    """Sort `rows`, cells as text by column name, into cohorts; `where` names their origin in errors.

    A row is left out, and listed, of what it lacks a value for: of one score, of all that needs a label, of survival,
    or of everything. A column that is empty in a whole cohort leaves out no row there: the cohort goes without it (a
    cohort of follow-up without labels, for one). A row that names no patient is a patient of its own.

    Raises ArgumentError for a table without rows, with too many cohorts, or with a cell that cannot be used.
    """
    if not rows:
        raise ArgumentError(f"{where}: the table has no rows; it needs one for each case")
    for name in columns.used:
        _check_column(name, rows[0], where)
    members: dict[str, list[_Row]] = {}
    warnings = [*_suspected(rows, columns), *_words(rows, columns.cohort, where)]
    for cells in rows:
        row = _Row(cells.number, cells, where)
        if columns.cohort is not None and not cells[columns.cohort].strip():
            warnings.append(f"row {row.number} names no cohort and is left out")
        else:
            members.setdefault(ONE_COHORT if columns.cohort is None else cells[columns.cohort], []).append(row)
    if len(members) > MOST_COHORTS:
        raise ArgumentError(
            f"{where}: column '{columns.cohort}' holds {len(members)} cohorts, expected at most {MOST_COHORTS}; name "
            "the column of the cohorts with --cohort"
        )
    if columns.patient is not None:
        warnings += _patient_warnings(members, columns.patient)
    cohorts = {name: _cohort_table(cohort, columns) for name, cohort in members.items()}
    left_out = len(rows) - sum(map(len, members.values()))
    return ScoreTable(columns.scores, cohorts, tuple(warnings), left_out)


@dataclass(frozen=True)
class _Row:
    """A row of the table with its number in a spreadsheet, where the header is row 1."""

    number: int
    cells: Mapping[str, str]
    where: str

    def lacks(self, column: str) -> bool:
        return is_missing(self.cells[column])

    def at(self, column: str) -> str:
        return f"{self.where}: row {self.number}, column '{column}': '{self.cells[column]}'"

    def number_in(self, column: str) -> float:
        try:
            number = read_number(self.cells[column])
        except ValueError:
            number = None
        if number is None:
            raise ArgumentError(
                f"{self.at(column)} is not a finite number; correct it, or leave the cell empty where it is not known"
            )
        return number

    def time_in(self, column: str) -> float:
        time = self.number_in(column)
        if time < 0:
            raise ArgumentError(f"{self.at(column)} is a negative time; correct it")
        return time

    def patient_in(self, column: str) -> str:
        return f"(row {self.number})" if self.lacks(column) else self.cells[column]

    def flag_in(self, column: str) -> bool:
        flag = _BINARY.get(self.cells[column].strip().lower())
        if flag is None:
            raise ArgumentError(f"{self.at(column)} is not 0 or 1; code the positive class, or the event, as 1")
        return flag


def _cohort_table(rows: Sequence[_Row], columns: Columns) -> CohortTable:
    offered = _offered(rows, columns)
    found = {row.number: _left_out(row, offered, columns.scores[0]) for row in rows}
    kept = [row for row in rows if not any(one.left_out_of == "everything" for one in found[row.number])]
    label, time, event = offered.label, offered.time, offered.event
    labelled = np.array([label is not None and not row.lacks(label) for row in kept], dtype=bool)
    followed = np.array([_is_followed(row, offered) for row in kept], dtype=bool)
    return CohortTable(
        n=len(kept),
        scores={
            name: np.array([np.nan if row.lacks(name) else row.number_in(name) for row in kept], dtype=float)
            for name in offered.scores
        },
        labels=np.array([not row.lacks(label) and row.flag_in(label) for row in kept], dtype=bool) if label else None,
        times=np.array([row.time_in(time) if ok else 0.0 for row, ok in zip(kept, followed, strict=True)], dtype=float)
        if time
        else None,
        events=np.array([ok and row.flag_in(event) for row, ok in zip(kept, followed, strict=True)], dtype=bool)
        if event
        else None,
        excluded=tuple(one for row in rows for one in found[row.number]),
        patients=None if columns.patient is None else tuple(row.patient_in(columns.patient) for row in kept),
        labelled=labelled if label else None,
        followed=followed if time else None,
    )


def _is_followed(row: _Row, offered: _Offered) -> bool:
    return not any(name is None or row.lacks(name) for name in (offered.time, offered.event))


def _left_out(row: _Row, offered: _Offered, reference: str) -> list[Excluded]:
    """What the row is left out of, for the values that it lacks; survival is by the score `reference`."""
    missing = [name for name in offered.used if row.lacks(name)]
    if not missing:
        return []
    scores = [name for name in offered.scores if name in missing]
    scored = not offered.scores or len(scores) < len(offered.scores)
    labelled = offered.label is not None and offered.label not in missing and scored
    ranked = not offered.scores or (reference in offered.scores and reference not in scores)
    if not labelled and not (_is_followed(row, offered) and ranked):
        return [Excluded(row=row.number, reason=f"missing {', '.join(missing)}")]
    found = []
    if labelled:
        found += [Excluded(row=row.number, reason=f"missing {one}", left_out_of="score", score=one) for one in scores]
    elif offered.label is not None:
        lacks = [offered.label] if offered.label in missing else scores
        found.append(Excluded(row=row.number, reason=f"missing {', '.join(lacks)}", left_out_of="labels"))
    if absent := [name for name in (offered.time, offered.event) if name is not None and name in missing]:
        found.append(Excluded(row=row.number, reason=f"missing {', '.join(absent)}", left_out_of="survival"))
    return found


def _patient_warnings(members: Mapping[str, Sequence[_Row]], column: str) -> list[str]:
    """Rows without a patient, patients in several cohorts, and names that look alike."""
    rows = [row for cohort in members.values() for row in cohort]
    found = [
        f"row {row.number} names no patient in column '{column}' and counts as a patient of its own"
        for row in rows
        if row.lacks(column)
    ]
    cohorts: dict[str, set[str]] = {}
    for name, held in members.items():
        for row in held:
            cohorts.setdefault(row.patient_in(column), set()).add(name)
    found += [
        f"patient '{patient}' stands in the cohorts {' and '.join(sorted(names))}: they are not independent"
        for patient, names in cohorts.items()
        if len(names) > 1
    ]
    alike = look_alikes(row.cells[column] for row in rows if not row.lacks(column))
    spelt = (" and ".join(map(ascii, group)) for group in alike)
    return found + [f"column '{column}' holds {names}, which look alike: are they one patient?" for names in spelt]


def _offered(rows: Sequence[_Row], columns: Columns) -> "_Offered":
    """The columns that hold any value in `rows`; time and event go together."""
    held = {name for name in columns.used if not all(row.lacks(name) for row in rows)}
    followed = {columns.time, columns.event} <= held
    return _Offered(
        scores=tuple(name for name in columns.scores if name in held),
        label=columns.label if columns.label in held else None,
        time=columns.time if followed else None,
        event=columns.event if followed else None,
    )


def _suspected(rows: Sequence[TableRow], columns: Columns) -> list[str]:
    """Scores and times that look like codes of missing values."""
    found = []
    for name in (*columns.scores, *((columns.time,) if columns.time else ())):
        known = [number for row in rows if (number := number_in(row[name])) is not None]
        codes = suspected_codes(known)
        if at := [row.number for row in rows if number_in(row[name]) in codes]:
            values = ", ".join(f"{code:g}" for code in sorted(codes))
            found.append(
                f"column '{name}' holds {values} in {len(at)} {'row' if len(at) == 1 else 'rows'}, first in row "
                f"{at[0]}, read as a value; empty these cells if it is a code of a missing one"
            )
    return found


def _words(rows: Sequence[TableRow], column: str | None, where: str) -> list[str]:
    """Cohorts with a name that may mean none; raises ArgumentError for one cohort in two spellings."""
    names = {} if column is None else dict.fromkeys(row[column] for row in rows if row[column].strip())
    if alike := look_alikes(names):
        spelt = " and ".join(ascii(name) for name in alike[0][:10])
        raise ArgumentError(
            f"{where}: column '{column}' holds {spelt}, which look alike: one cohort would be two; write them alike, "
            "or rename one if they are two"
        )
    return [
        f"column '{column}' holds '{name}', read as the name of a cohort; empty these cells if it means none"
        for name in names
        if is_missing(name)
    ]


def _check_column(name: str, row: Mapping[str, str], where: str) -> None:
    if name not in row:
        near = difflib.get_close_matches(name, itertools.islice(row, _MOST_COMPARED), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"its columns are {some_of(row, 30)}"
        raise ArgumentError(f"{where}: no column '{name}'; {hint}")
