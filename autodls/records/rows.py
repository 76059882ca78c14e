"""What a row of the dataset table says about its case, and what is wrong with it."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from autodls.errors import DatasetError
from autodls.records.base import some_of
from autodls.records.case_id import case_id_fault, look_alikes, skeleton
from autodls.records.cells import TableRow, is_missing, read_number
from autodls.records.columns import is_missing_level
from autodls.records.dataset import DatasetDescription, Target
from autodls.records.problems import Problem, error, warning
from autodls.records.table import Table

ALL_TRAINING = "train"
Row = TableRow
_UNSAFE_IN_NAME = re.compile(r'^\.|[\\/:*?"<>|\x00-\x1f]')


def training_cohorts(description: DatasetDescription) -> tuple[str, ...]:
    """Names of the cohorts that are trained on."""
    settings = description.autodls.cohort
    return settings.training if settings else (ALL_TRAINING,)


def row_cohort(row: Row, description: DatasetDescription) -> str:
    """The cohort of a row, "" where its cell is empty."""
    settings = description.autodls.cohort
    return ALL_TRAINING if settings is None else row[settings.column]


def row_label(row: Row, description: DatasetDescription) -> bool | None:
    """Whether the row is positive, None where its target cell is empty; raises ValueError where it is no number."""
    target = description.autodls.target
    if lacks_label(row, description):
        return None
    if target.classes:
        return target.is_positive_class(row[target.column])
    return target.is_positive(read_number(row[target.column]) or 0.0)


def lacks_label(row: Row, description: DatasetDescription) -> bool:
    """Whether the target cell of a row says nothing; a class may be called None or `-`, a number may not."""
    target = description.autodls.target
    cell = row[target.column]
    if target.classes:
        return is_missing_level(cell, coded=target.column in description.autodls.missing)
    return is_missing(cell)


def row_patient(name: str, row: Row, description: DatasetDescription) -> str:
    """The patient of a row: itself where the table has no patients, or not this one's."""
    column = description.autodls.patient
    return name if column is None or is_missing(row[column]) else row[column]


def row_site(row: Row, description: DatasetDescription) -> str | None:
    """The site of a row, None where it is not known."""
    column = description.autodls.site
    return None if column is None else row[column] or None


def concerns_training(row: Row, description: DatasetDescription) -> bool:
    """Whether the row is trained on, or may be: its cohort and its target cell do not say that it is not."""
    cohort = row_cohort(row, description)
    return cohort in ("", *training_cohorts(description)) and not lacks_label(row, description)


def row_names(rows: Sequence[Row], description: DatasetDescription) -> list[str]:
    """The case id of each row, or "row 7" where it has none (the header is row 1)."""
    return [row[description.autodls.case] or f"row {row.number}" for row in rows]


def require_columns(rows: Table, description: DatasetDescription, table: Path) -> None:
    """Raises DatasetError where the table has no rows, or lacks a column that dataset.json names."""
    if not rows:
        raise DatasetError(f"{table}: the table has a header and no rows; it needs a row for each case")
    settings = description.autodls
    survival = (settings.survival.time, settings.survival.event) if settings.survival else ()
    cohort = settings.cohort.column if settings.cohort else None
    named = (settings.case, settings.target.column, cohort, settings.patient, settings.site, *survival)
    missing = sorted(
        {
            column
            for column in (*named, *settings.clinical, *settings.missing)
            if column is not None and column not in rows[0]
        }
    )
    if missing:
        raise DatasetError(
            f"{table}: no column {some_of(missing)}, which dataset.json names; its columns are {some_of(rows[0], 30)}; "
            f"correct the name in one of the two{''.join(f' ({note})' for note in rows.notes)}"
        )


def id_problems(names: Sequence[str], aside: Collection[str]) -> list[Problem]:
    """Ids that are no file names, stand twice, or look alike, as by upper and lower case.

    Of a group of ids, one that is not `aside` is named where there is one.
    """
    found = []
    for name, count in Counter(names).items():
        if fault := case_id_fault(name):
            what = f"its id {fault}" if not name.startswith("row ") else "it has no case id"
            found.append(error(name, what, "use letters, digits, '_', '.' and '-', in its file names too"))
        if count > 1:
            found.append(error(name, f"{count} rows of the table have this id", "keep one row for each case"))
    for group in look_alikes(names):
        first, *others = sorted(group, key=lambda name: (name in aside, name))
        what = f"its id differs from {some_of(others)} only in what a person, or a file system, may not see"
        found.append(error(first, what, "rename one of them, in its file names too"))
    return found


def row_problems(name: str, row: Row, description: DatasetDescription) -> list[Problem]:
    """What is wrong with the cohort, the patient and the target cell of a row."""
    settings, found = description.autodls, []
    cohort = row_cohort(row, description)
    if settings.cohort and not cohort:
        what = f"column '{settings.cohort.column}' is empty, so that its cohort is not known"
        found.append(error(name, what, "write its cohort (any other name than that of training keeps it out)"))
    if _UNSAFE_IN_NAME.search(cohort):
        found.append(error(name, f"its cohort '{cohort}' is no safe file name", "rename it, as 'external'"))
    if settings.patient and is_missing(row[settings.patient]):
        empty = "is empty" if not row[settings.patient] else f"holds '{row[settings.patient]}', as if it were empty"
        what = f"column '{settings.patient}' {empty}: the case counts as a patient of its own"
        found.append(warning(name, what, "write its patient, lest one patient stands on both sides of a split"))
    return found + _target_problems(name, row, description)


def _target_problems(name: str, row: Row, description: DatasetDescription) -> list[Problem]:
    target = description.autodls.target
    try:
        label = row_label(row, description)
    except ValueError:
        what = f"column '{target.column}' holds '{row[target.column]}', to which '{target.positive}' cannot be applied"
        return [error(name, what, "write a number with a decimal point, or leave the cell empty")]
    if label is not None:
        return _class_problems(name, row[target.column], target)
    return [warning(name, f"no label: column '{target.column}' is empty", "fill it in, or the case is not trained on")]


def _class_problems(name: str, cell: str, target: Target) -> list[Problem]:
    """A class that looks like a positive one and is none: High beside high would be negative."""
    if target.is_positive_class(cell):
        return []
    alike = [known for known in target.classes if skeleton(known) == skeleton(cell)]
    what = f"column '{target.column}' holds {cell!a}, which is not the positive class"
    return [error(name, f"{what} {known!a} and looks like it", "write them alike") for known in alike]
