"""Problems of the table and of dataset.json that stop nothing but `check`: follow-up, and what was decided for one."""

from collections.abc import Iterable, Sequence
from statistics import median

from autodls.records.case import Case
from autodls.records.cells import is_missing, read_number
from autodls.records.dataset import DatasetDescription, SurvivalColumns
from autodls.records.problems import Problem, error, warning

_DAYS = {"days": 1.0, "weeks": 7.0, "months": 30.44, "years": 365.25}
_LEAST_DAYS, _MOST_DAYS = 60.0, 40 * 365.25
_LEAST_TIMES = 8  # of fewer, nothing is unusual
_FAR_OF_MEDIAN, _FAR_OF_LONG = 10.0, 5.0  # the long ones being the 90th percentile


def survival_problems(cases: Iterable[Case], description: DatasetDescription) -> list[Problem]:
    """Times that are negative, no number or in another unit, events other than 0 and 1, one without the other."""
    columns = description.autodls.survival
    if columns is None:
        return []
    known = list(cases)
    return [
        *_unit_problems(known, columns),
        *_mixed_units(known, columns),
        *(problem for case in known for problem in _case_problems(case, columns)),
    ]


def patient_problems(cases: Iterable[Case]) -> list[Problem]:
    """Cases of one patient with different labels: sound where they are lesions of their own, else a slip."""
    example: dict[tuple[str, bool], str] = {}
    for case in cases:
        if case.label is not None:
            example.setdefault((case.patient, case.label), case.id)
    both = [patient for patient, label in example if label and (patient, False) in example]
    if not both:
        return []
    more = f" and {len(both) - 1} more have" if len(both) > 1 else " has"
    positive, negative = example[both[0], True], example[both[0], False]
    what = f"patient '{both[0]}'{more} positive and negative cases ({positive} is positive, {negative} negative)"
    why = "nothing to repair where each lesion has its own label: folds count such a patient as positive"
    return [warning("", what, f"{why}; else correct the target column")]


def label_problems(description: DatasetDescription) -> list[Problem]:
    """Labels that are taken for organs by their names: the person may have meant otherwise."""
    if not description.not_tumour:
        return []
    what = f"labels {', '.join(description.not_tumour)} of dataset.json are not counted as tumour, by their names"
    return [
        warning("", what, "nothing to repair if they are none; else name every label of the tumour in autodls.tumor")
    ]


def _unit_problems(cases: Sequence[Case], columns: SurvivalColumns) -> list[Problem]:
    """A longest follow-up that no study has in this unit, as where days are called months, or short of the landmark."""
    times = [case.row[columns.time] for case in cases]
    longest = max((read_number(time) or 0.0 for time in times if _is_time(time)), default=0.0)
    days = longest * _DAYS[columns.unit]
    if longest and columns.landmark is not None and columns.landmark >= longest:
        what = f"survival.landmark is {columns.landmark:g}, the longest follow-up {longest:g} {columns.unit}"
        return [warning("", what, "correct one of them: nobody is known to have benefit beyond the landmark")]
    if longest == 0.0 or _LEAST_DAYS <= days <= _MOST_DAYS:
        return []
    what = f"column '{columns.time}': the longest follow-up is {longest:g} {columns.unit}, that is {days:.0f} days"
    return [warning("", what, "correct survival.unit in dataset.json (days, weeks, months or years), or the table")]


def _mixed_units(cases: Sequence[Case], columns: SurvivalColumns) -> list[Problem]:
    """Follow-up far beyond that of the others, as days among months are: exponential times do not reach this far."""
    times = {case.id: read_number(cell) or 0.0 for case in cases if _is_time(cell := case.row[columns.time])}
    known = sorted(time for time in times.values() if time > 0.0)
    if len(known) < _LEAST_TIMES:
        return []
    middle, long = median(known), known[int(0.9 * (len(known) - 1))]
    limit = max(_FAR_OF_MEDIAN * middle, _FAR_OF_LONG * long)
    return [
        warning(
            case,
            f"column '{columns.time}' holds {time:g} {columns.unit}, {time / middle:.0f} times the median ({middle:g})",
            f"write it in {columns.unit} too, if it is in another unit",
        )
        for case, time in times.items()
        if time > limit
    ]


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
