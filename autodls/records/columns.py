"""What the cells of a clinical column mean: numbers or levels, and which of them are missing.

A column holds numbers where every known cell is one, or where more than six different ones stand in it and four of five
known cells are one; what else stands there is then told, and counts as missing. A few whole numbers from 0 to 10 are
codes of levels, such as a stage. Rows that are held out have no part in the decision.

Among numbers every word of `MISSING_TEXTS` is missing. Among levels fewer words are: `None`, `-` and `+` may be levels
(no smoking, p16), and are taken as such. Of names of sites and cohorts only an empty cell is missing: NA may be a
hospital. `missing` in dataset.json has the last word: where it names a column, its codes and the empty cell are missing
there, and no other word of its levels.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from autodls.records.cells import MISSING_TEXTS, is_missing, read_number

MISSING_LEVELS = MISSING_TEXTS - {"none", "-"}
_FEW_NUMBERS = 6  # at most this many different whole numbers 0..10 are codes
_SHARE_OF_NUMBERS = 0.8
_CODES_OF_MISSING = frozenset(
    float(f"{sign}{digit * count}") for sign in ("", "-") for digit in "789" for count in (1, 2, 3, 4)
) - {7.0, 8.0}
_FAR = 0.1  # of the range of the other values
_FAR_OF_DIGITS = 1.8  # a 9 beside an 8 is a value, beside a 4 a code
_OFTEN, _FAR_OFTENER = 3, 2


@dataclass(frozen=True)
class Column:
    """A column as it is read: numbers or levels by row, None where nothing is known.

    `unread` are the rows (from 0) of a column of numbers whose cell is none; they count as missing.
    """

    numeric: bool
    values: tuple[float | str | None, ...]
    unread: tuple[int, ...] = ()


def read_column(cells: Sequence[str], deciding: Sequence[bool] | None = None, *, coded: bool = False) -> Column:
    """Read a clinical column.

    `deciding` marks the rows whose cells say what the column holds, those that are trained on; all do where it is not
    given, or where none of them has a value. With `coded` the study names the words for missing levels itself, and
    their cells are empty already.

    >>> read_column(["None", "Former", "NA"]).values
    ('None', 'Former', None)
    """
    known = [not is_missing(cell) for cell in cells]
    held = [cell for cell, here, mark in zip(cells, known, deciding or known, strict=True) if here and mark]
    numbers = [number for cell in held or cells if (number := number_in(cell)) is not None]
    texts = (len(held) or sum(known)) - len(numbers)
    if not numbers or not _are_numbers(numbers, texts):
        return Column(False, tuple(None if is_missing_level(cell, coded=coded) else cell for cell in cells))
    if _are_codes(numbers):
        return Column(False, tuple(_level(cell) if here else None for cell, here in zip(cells, known, strict=True)))
    values = tuple(map(number_in, cells))
    unread = tuple(at for at, (value, here) in enumerate(zip(values, known, strict=True)) if here and value is None)
    return Column(True, values, unread)


def _are_numbers(numbers: Sequence[float], texts: int) -> bool:
    return not texts or (
        len(set(numbers)) > _FEW_NUMBERS and len(numbers) >= _SHARE_OF_NUMBERS * (len(numbers) + texts)
    )


def _level(cell: str) -> str:
    """A code as a level: 2 and 2.0 are one."""
    number = number_in(cell)
    return cell if number is None or not number.is_integer() else f"{number:.0f}"


def _are_codes(numbers: Sequence[float]) -> bool:
    return len(set(numbers)) <= _FEW_NUMBERS and set(numbers) <= {float(code) for code in range(11)}


def is_missing_level(text: str, *, coded: bool = False) -> bool:
    """Whether a cell of a column of levels means that nothing is known; with `coded`, only where it is empty.

    >>> is_missing_level("NA"), is_missing_level("None"), is_missing_level("-"), is_missing_level("NA", coded=True)
    (True, False, False, False)
    """
    return text.strip().lower() in (("",) if coded else MISSING_LEVELS)


def suspected_codes(values: Iterable[float]) -> frozenset[float]:
    """Values that look like codes of missing ones (999, -9, 88 ...).

    One does where it lies far beyond the others, is the one that is negative, or stands there far oftener than any.

    >>> suspected_codes([61.0, 47.0, 999.0, 999.0]), suspected_codes([88.0, 85.0]), suspected_codes([-9.0, 3.0])
    (frozenset({999.0}), frozenset(), frozenset({-9.0}))
    """
    counts = Counter(values)
    others = {value: count for value, count in counts.items() if value not in _CODES_OF_MISSING}
    if not others:
        return frozenset()
    low, high = min(others), max(others)
    gap = _FAR * (high - min(low, 0.0))
    often = max(_OFTEN, _FAR_OFTENER * max(others.values()) + 1)
    return frozenset(
        value
        for value, count in counts.items()
        if value in _CODES_OF_MISSING
        and (
            value > (high + gap if value > 10 else _FAR_OF_DIGITS * high)
            or value < low - gap
            or (value < 0 <= low)
            or (count >= often and abs(value) > 10)
        )
    )


def without_codes(row: Mapping[str, str], missing: Mapping[str, Collection[str]]) -> dict[str, str]:
    """The cells of `row`, those emptied that hold a code that `missing` names for their column, as text or number.

    >>> without_codes({"cps": "999.0", "age": "999"}, {"cps": ["999"]})
    {'cps': '', 'age': '999'}
    """
    return {name: "" if _is_code(cell, missing.get(name, ())) else cell for name, cell in row.items()}


def _is_code(cell: str, codes: Collection[str]) -> bool:
    if not codes:
        return False
    if cell in codes:
        return True
    number = number_in(cell)
    return number is not None and any(number == number_in(code) for code in codes)


def number_in(cell: str) -> float | None:
    """The number in a cell, None where it is missing or anything else."""
    try:
        return read_number(cell)
    except ValueError:
        return None
