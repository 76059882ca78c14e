"""Numbers and names as they are printed in tables and figures."""

import unicodedata
from typing import Protocol

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
NONE = DASH  # what a table shows where there is no number; the reason stands in its notes
SHORTCUT_NOTES = (
    "Out-of-fold scores on the folds of the deep-learning score; gain: its AUC less that of the baseline, or less 0.5 "
    "where the baseline's is below, as that of a baseline without information is.",
    "P (likelihood ratio): one-sided, that the score adds to the baseline's regression, corrected for folds that share "
    "cases; the sign is that of its coefficient.",
)
_SMALLEST_P = 0.001
_LARGE = 1000.0


class Interval(Protocol):
    """An estimate with limits, such as `Estimate` of the evaluation records."""

    @property
    def value(self) -> float | None: ...  # noqa: D102
    @property
    def low(self) -> float | None: ...  # noqa: D102
    @property
    def high(self) -> float | None: ...  # noqa: D102


def number(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` decimals, a true minus sign where they are not all 0, and three significant from 1000 on.

    >>> number(0.8604), number(123456.0), number(-0.02, 2) == f"{MINUS}0.02", number(None) == NONE, number(-0.0004)
    ('0.860', '1.23e+05', True, True, '0.000')
    """
    if value is None:
        return NONE
    text = f"{value:.3g}" if abs(value) >= _LARGE else f"{value:z.{digits}f}"
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


def with_limits(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """An estimate and its limits; limits that may be negative are joined by "to".

    >>> with_limits(0.8604, 0.797, 0.924).replace(DASH, " to "), with_limits(1.0, None, None)
    ('0.860 (0.797 to 0.924)', '1.000')
    """
    if value is None or low is None or high is None:
        return number(value, digits)
    join = " to " if low < 0 else DASH
    return f"{number(value, digits)} ({number(low, digits)}{join}{number(high, digits)})"


def estimate(interval: Interval, digits: int = 3) -> str:
    """`with_limits` of a record."""
    return with_limits(interval.value, interval.low, interval.high, digits)


def in_text(interval: Interval, digits: int = 3) -> str:
    """`estimate` in running text.

    >>> in_text(type("Found", (), {"value": 0.8604, "low": 0.797, "high": 0.924})).replace(DASH, " to ")
    '0.860 (95% CI 0.797 to 0.924)'
    """
    return with_ci(estimate(interval, digits))


def with_ci(printed: str) -> str:
    """An estimate as tables print it, with what its limits are, as running text says it.

    >>> with_ci("0.860 (0.797 to 0.924)"), with_ci("1.000")
    ('0.860 (95% CI 0.797 to 0.924)', '1.000')
    """
    return printed.replace(" (", " (95% CI ", 1)


def p_value(p: float | None) -> str:
    """A P value as journals print it.

    >>> p_value(0.0182), p_value(1e-9), p_value(0.9999)
    ('0.018', '<0.001', '>0.999')
    """
    if p is None:
        return NONE
    if p < _SMALLEST_P:
        return "<0.001"
    return ">0.999" if p > 1 - _SMALLEST_P else f"{p:.3f}"


def p_equation(p: float | None) -> str:
    """A P value in running text.

    >>> p_equation(0.0182), p_equation(1e-9)
    ('P = 0.018', 'P < 0.001')
    """
    text = p_value(p)
    return f"P {text[0]} {text[1:]}" if text[0] in "<>" else f"P = {text}"


def added_p(p: float | None, sign: float | None) -> str:
    """One-sided P of an added value with the sign of its coefficient.

    >>> added_p(0.0123, 1), added_p(0.97, -1) == f"0.970 ({MINUS})"
    ('0.012 (+)', True)
    """
    return f"{p_value(p)} ({MINUS if sign < 0 else '+'})" if sign is not None else p_value(p)


def counted(count: int, total: int) -> str:
    """A count with its share.

    >>> counted(37, 115), counted(0, 0)
    ('37 (32.2%)', '0')
    """
    return f"{count} ({100 * count / total:.1f}%)" if total else f"{count}"


def plain(text: str) -> str:
    """A name from a user's file as one printable line: line ends, control and direction marks become spaces.

    >>> plain("a\\n b")
    'a b'
    """
    printable = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text)
    return " ".join(printable.split()) or "(no name)"


def shortened(line: str, count: int) -> str:
    """The first and last of `count` signs of `line`; the middle goes, as long names tend to differ at their ends.

    >>> shortened("deep_learning_score_v1_final", 16).replace(ELLIPSIS, "...")
    'deep_lea...v1_final'
    """
    tail = count // 2
    return line[: count - tail] + ELLIPSIS + (line[-tail:] if tail else "")


NOT_REACHED = "NR"
