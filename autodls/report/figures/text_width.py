"""Text that fits its place: measured in the font of the figures, shortened or broken where it is too wide."""

import functools
from bisect import bisect_right

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from autodls.records.formatting import shortened
from autodls.report.figures.lettering import drawn_name
from autodls.report.figures.style import FONT_PT, MM_PER_INCH, fonts

_POINTS_PER_INCH = 72.0
_measure = TextToPath()


def width_mm(text: str, bold: bool = False) -> float:
    """Width of a line of `text` of 7 pt."""
    measured = _measure.get_text_width_height_descent(text, _font(bold), ismath=False)
    return float(measured[0]) / _POINTS_PER_INCH * MM_PER_INCH


def fitted(name: str, limit_mm: float, bold: bool = False) -> str:
    """A name of the user as one line of at most `limit_mm`; its middle goes where it is wider.

    It is `drawn_name`: signs that no font has are not drawn as boxes.
    """
    line = drawn_name(name)
    if width_mm(line, bold) <= limit_mm:
        return line
    sizes = range(len(line))
    too_wide = bisect_right(sizes, limit_mm, key=lambda count: width_mm(shortened(line, count), bold))
    return shortened(line, max(too_wide - 1, 0))


def in_two_lines(name: str, limit_mm: float, bold: bool = False) -> list[str]:
    """A name of the user in one line or two of at most `limit_mm`; the middle of the second goes where it is wider."""
    line = " ".join(drawn_name(name).split())
    lines = wrapped(line, limit_mm, "", bold)
    return lines if len(lines) < 3 else [lines[0], fitted(line[len(lines[0]) :], limit_mm, bold)]


def wrapped(line: str, limit_mm: float, indent: str = "  ", bold: bool = False) -> list[str]:
    """`line` broken into lines of at most `limit_mm`; a word that is wider is broken itself."""
    lines = [""]
    for word in drawn_name(line).split():
        joined = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        if width_mm(joined, bold) <= limit_mm:
            lines[-1] = joined
            continue
        if lines[-1].strip():
            lines.append(indent)
        lines[-1:] = _broken(lines[-1] + word, limit_mm, indent, bold)
    return lines


def _broken(word: str, limit_mm: float, indent: str, bold: bool) -> list[str]:
    """`word`, which may be wider than the limit, in pieces."""
    pieces = [""]
    for sign in word:
        if width_mm(pieces[-1] + sign, bold) > limit_mm and len(pieces[-1]) > len(indent):
            pieces.append(indent)
        pieces[-1] += sign
    return pieces


@functools.cache
def _font(bold: bool) -> FontProperties:
    return FontProperties(family=fonts(), size=FONT_PT, weight="bold" if bold else "normal")
