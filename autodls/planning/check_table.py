"""Problems of the table that concern neither labels nor files: follow-up."""

from collections.abc import Iterable

from autodls.records.cohort import Case
from autodls.records.dataset import DatasetDescription, SurvivalColumns
from autodls.records.problems import Problem, error, warning
from autodls.records.table import is_missing, read_number


def survival_problems(cases: Iterable[Case], description: DatasetDescription) -> list[Problem]:
    """Times that are negative or no number, events other than 0 and 1, and one without the other."""
    columns = description.autodls.survival
    if columns is None:
        return []
    return [problem for case in cases for problem in _case_problems(case, columns)]


def _case_problems(case: Case, columns: SurvivalColumns) -> list[Problem]:
    time, event = case.row[columns.time], case.row[columns.event]
    found = []
    if not _is_time(time):
        what = f"column '{columns.time}' holds '{time}', which is no time in {columns.unit}"
        found.append(error(case.id, what, "write a number that is not negative, or leave the cell empty"))
    if not _is_event(event):
        what = f"column '{columns.event}' holds '{event}'"
        found.append(error(case.id, what, "write 1 for an event, 0 for none, or leave the cell empty"))
    if is_missing(time) != is_missing(event):
        given, absent = (columns.event, columns.time) if is_missing(time) else (columns.time, columns.event)
        what = f"column '{given}' is given and '{absent}' is empty"
        found.append(warning(case.id, what, "fill in both, or the case is left out of survival analysis"))
    return found


def _is_time(cell: str) -> bool:
    try:
        return (read_number(cell) or 0.0) >= 0.0
    except ValueError:
        return False


def _is_event(cell: str) -> bool:
    try:
        return read_number(cell) in (None, 0.0, 1.0)
    except ValueError:
        return False
