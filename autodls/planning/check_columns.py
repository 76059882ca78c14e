"""Cells of clinical columns, of the target and of times that are read otherwise than a person may think."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from autodls.records.case import Case
from autodls.records.case_id import look_alikes
from autodls.records.cells import POSITIVE_TEXTS, is_missing
from autodls.records.columns import Column, is_missing_level, number_in, read_column, suspected_codes
from autodls.records.csv_grid import with_decimal_point
from autodls.records.dataset import DatasetDescription, Target
from autodls.records.problems import Problem, warning
from autodls.records.rows import training_cohorts

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WORDS_OF_LEVELS = frozenset({"none", "-"})  # among numbers they are missing, and may have meant 0
_NO_CLASSES = frozenset(
    {
        "unknown", "unk", "missing", "pending", "tbd", "nd", "n.d.", "not done", "not tested", "not available",
        "not known", "indeterminate", "inconclusive", "insufficient",
    }
)  # fmt: skip
_MANY = 0.5
_TOLD = 3


def column_problems(cases: Sequence[Case], description: DatasetDescription) -> list[Problem]:
    """What is doubtful in the cells of clinical columns, of the target and of times; all are warnings."""
    settings = description.autodls
    training = training_cohorts(description)
    found = []
    for name in settings.clinical:
        cells = _Cells(name, cases, coded=name in settings.missing, deciding=[one.cohort in training for one in cases])
        found += [*_kind(cells), *_words(cells), *_alike(cells), *_dates(cells), *_codes(cells)]
    if not settings.target.classes:
        target = _Cells(settings.target.column, cases, coded=settings.target.column in settings.missing)
        found += [*_codes(target), *_third_codes(target, settings.target.condition)]
    else:
        found += _classes(_Cells(settings.target.column, cases), description)
    if settings.survival:
        time = settings.survival.time
        found += _codes(_Cells(time, cases, coded=time in settings.missing))
    return found


class _Cells:
    """A column of the table with the rows of its cells."""

    def __init__(
        self, name: str, cases: Sequence[Case], *, coded: bool = False, deciding: Sequence[bool] | None = None
    ) -> None:
        self.name, self.coded = name, coded
        self.texts = [case.row[name] for case in cases]
        self.rows = [case.row.number for case in cases]
        self.read: Column = read_column(self.texts, deciding, coded=coded)

    def where(self, wanted: Callable[[str], bool]) -> dict[str, list[int]]:
        """Rows by the cell that stands there, of the cells that are `wanted`."""
        found: dict[str, list[int]] = {}
        for text, row in sorted(zip(self.texts, self.rows, strict=True), key=lambda pair: pair[1]):
            if wanted(text):
                found.setdefault(text, []).append(row)
        return found


def _listed(found: dict[str, list[int]]) -> str:
    """Such as "'12 y' (row 3), '>90' (rows 7, 9)"; of many, the first."""
    told = [
        f"'{text[:40]}' (row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows[:_TOLD]))}"
        f"{', ...' if len(rows) > _TOLD else ''})"
        for text, rows in list(found.items())[:_TOLD]
    ]
    return ", ".join(told) + (f" and {len(found) - _TOLD} more" if len(found) > _TOLD else "")


def _kind(cells: _Cells) -> Iterable[Problem]:
    """Cells that are no numbers among many that are."""
    known = [text for text in cells.texts if not is_missing(text)]
    numbers = [text for text in known if number_in(with_decimal_point(text)) is not None]
    odd = cells.where(lambda text: not is_missing(text) and number_in(text) is None)
    if not odd or len(numbers) < _MANY * len(known):
        return
    if cells.read.numeric:
        what = f"column '{cells.name}' holds numbers, but for {_listed(odd)}, which count as missing"
        yield warning("", what, "write numbers with a decimal point, or empty these cells")
    else:
        what = f"column '{cells.name}' is read as levels, not as numbers, for it holds {_listed(odd)}"
        yield warning("", what, "write numbers with a decimal point there, if they are meant as such")


def _words(cells: _Cells) -> Iterable[Problem]:
    """Words that may mean a level, or that nothing is known."""
    if cells.coded:
        return
    known = [value for value in cells.read.values if value is not None]
    numbers = cells.read.numeric or all(number_in(str(value)) is not None for value in known)
    for text, rows in cells.where(lambda text: bool(text) and is_missing(text)).items():
        level = not numbers and not is_missing_level(text)
        if numbers and text.lower() not in _WORDS_OF_LEVELS:
            continue
        what = f"column '{cells.name}' holds {_listed({text: rows})}, read as {'a level' if level else 'missing'}"
        repair = _missing(cells.name, text, "it means that nothing is known") if level else "write 0 if that is meant"
        yield warning("", what, repair if level or numbers else _missing(cells.name, "", "it is a level"))


def _missing(column: str, code: str, when: str) -> str:
    """What to write in dataset.json."""
    codes = f'"{code}"' if code else ""
    return f'write "missing": {{"{column}": [{codes}]}} in dataset.json if {when}'


def _alike(cells: _Cells) -> Iterable[Problem]:
    if cells.read.numeric:
        return
    for group in look_alikes(str(value) for value in cells.read.values if value is not None):
        spelt = " and ".join(ascii(text) for text in group)
        yield warning("", f"column '{cells.name}' has the levels {spelt}, which look alike", "write them alike")


def _dates(cells: _Cells) -> Iterable[Problem]:
    if dates := cells.where(lambda text: _DATE.fullmatch(text) is not None):
        what = f"column '{cells.name}' holds the date {_listed(dates)}"
        yield warning("", what, "write what it was before a spreadsheet made a date of it, as of '3-4'")


def _codes(cells: _Cells) -> Iterable[Problem]:
    """999, -9 and the like, which pass as values."""
    if cells.coded:
        return
    numbers = [number for text in cells.texts if (number := number_in(text)) is not None]
    codes = suspected_codes(numbers)
    for text, rows in cells.where(lambda text: number_in(text) in codes).items():
        what = f"column '{cells.name}' holds {_listed({text: rows})}, read as a value; it looks like a code"
        yield warning("", what, _missing(cells.name, text, "it means that nothing is known, [] if it is a value"))


def _classes(cells: _Cells, description: DatasetDescription) -> Iterable[Problem]:
    """Positive classes that no case has, and classes that count as negative and may mean that nothing is known."""
    target = description.autodls.target
    coded: Collection[str] = description.autodls.missing
    counts = Counter(text for text in cells.texts if not is_missing_level(text, coded=target.column in coded))
    for name in target.classes:
        if not any(target.model_copy(update={"positive": (name,)}).is_positive_class(text) for text in counts):
            found = ", ".join(f"'{text}'" for text in sorted(counts))
            what = f"no row is of class '{name}', which target.positive names (classes of '{target.column}': {found})"
            yield warning("", what, "correct it in dataset.json, or take it out")
    for text, rows in cells.where(lambda text: text.lower() in _NO_CLASSES).items():
        if not target.is_positive_class(text):
            what = f"column '{target.column}' holds {_listed({text: rows})}, which counts as negative"
            yield warning("", what, _missing(target.column, text, "it means that nothing is known"))
    twins = cells.where(lambda text: text in counts and not target.is_positive_class(text) and _is_twin(text, target))
    if twins:
        names = " or ".join(f"'{name}'" for name in target.classes)
        what = f"column '{target.column}' holds {_listed(twins)}, which counts as negative: positive is {names} alone"
        yield warning("", what, "name them in target.positive if they are positive; nothing to repair if they are not")


def _is_twin(text: str, target: Target) -> bool:
    """Whether a class that is not positive may be a positive one by another word: Pos beside positive, 1 beside yes."""
    word, names = text.casefold(), [name.casefold() for name in target.classes]
    synonym = word in POSITIVE_TEXTS and any(name in POSITIVE_TEXTS for name in names)
    return synonym or any(_begins(*sorted((word, name), key=len)) for name in names)


def _begins(short: str, long: str) -> bool:
    """Whether the word `long` begins with the word `short`; 10 is no longer word for 1."""
    return long.startswith(short) and not (short[-1:].isdigit() and long[len(short) :][:1].isdigit())


def _third_codes(cells: _Cells, condition: str) -> Iterable[Problem]:
    """Codes beside 0 and 1, which a rule such as == 1 makes negative, whatever they mean."""
    numbers = {number for text in cells.texts if (number := number_in(text)) is not None}
    if condition.replace(" ", "") not in ("==1", "!=0") or not numbers > {0.0, 1.0}:
        return
    side = "negative" if condition.startswith("==") else "positive"
    codes = suspected_codes(number for text in cells.texts if (number := number_in(text)) is not None)
    others = numbers - {0.0, 1.0} - (frozenset() if cells.coded else codes)
    if found := cells.where(lambda text: number_in(text) in others):
        what = f"column '{cells.name}' holds {_listed(found)} beside 0 and 1, which count as {side} by '{condition}'"
        yield warning("", what, _missing(cells.name, next(iter(found)), "it means that nothing is known"))
