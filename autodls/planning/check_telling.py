"""Clinical columns of the training cases that tell nothing, or all of the outcome; held-out cases have no part."""

from collections.abc import Iterable, Sequence

from autodls.records.case import Case
from autodls.records.columns import Column, read_column
from autodls.records.dataset import DatasetDescription
from autodls.records.problems import Problem, warning
from autodls.records.rows import training_cohorts

_LEAST = 5  # of each class: two groups of five part by chance in 2 of 252
_MOST_LEVELS = 1 / 3  # of the cases: free text and ids part any classes
_REPAIR = "take it out of autodls.clinical if it is the outcome in other words, or is known only after it"
_MISSING = "missing"


def telling_problems(cases: Iterable[Case], description: DatasetDescription) -> list[Problem]:
    """Clinical variables that are the same in every training case, and those that part its classes without a rest."""
    settings = description.autodls
    training = [one for one in cases if one.cohort in training_cohorts(description) and one.label is not None]
    labels = [bool(one.label) for one in training]
    found = []
    for name in settings.clinical:
        column = read_column([one.row[name] for one in training], coded=name in settings.missing)
        what = _constant(column) or _telling(column, labels)
        if what is not None:
            repair = _REPAIR if labels and len(set(column.values)) > 1 else "nothing to repair if so: it tells nothing"
            found.append(warning("", f"column '{name}' {what}", repair))
    return found


def _constant(column: Column) -> str | None:
    values = set(column.values)
    if len(column.values) < 2 or len(values) != 1:
        return None
    value = next(iter(values))
    if value is None:
        return "has no value in any training case"
    return f"holds {f'{value:g}' if isinstance(value, float) else repr(value)} in every training case"


def _telling(column: Column, labels: Sequence[bool]) -> str | None:
    if min(labels.count(True), labels.count(False)) < _LEAST:
        return None
    if column.numeric and (told := _by_number(column, labels)):
        return told
    levels = [_MISSING if value is None else "known" if column.numeric else str(value) for value in column.values]
    classes = {level: {label for one, label in zip(levels, labels, strict=True) if one == level} for level in levels}
    if len(classes) > _MOST_LEVELS * len(labels) or any(len(held) > 1 for held in classes.values()):
        return None
    sides = {side: sorted(level for level, held in classes.items() if held == {side}) for side in (True, False)}
    return (
        f"tells the outcome of all {len(labels)} training cases: positive where it is {_listed(sides[True])}, negative "
        f"where it is {_listed(sides[False])}"
    )


def _by_number(column: Column, labels: Sequence[bool]) -> str | None:
    """Where every number of one class lies beyond every number of the other."""
    known = [(float(value), label) for value, label in zip(column.values, labels, strict=True) if value is not None]
    positive, negative = ([number for number, label in known if label is side] for side in (True, False))
    if min(len(positive), len(negative)) < _LEAST:
        return None
    if min(positive) > max(negative):
        return f"tells the outcome of all {len(known)} training cases that have it: positive from {min(positive):g} on"
    if max(positive) < min(negative):
        return f"tells the outcome of all {len(known)} training cases that have it: positive up to {max(positive):g}"
    return None


def _listed(levels: Sequence[str]) -> str:
    return " or ".join(f"'{level[:40]}'" for level in levels[:3]) + (" ..." if len(levels) > 3 else "")
