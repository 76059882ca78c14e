"""Names that no installed font can draw: a figure gets a stand-in for them, and the reader is told; never boxes.

Matplotlib draws a box for a sign that is in none of the fonts (its issue 14269). Here a cohort or a score whose name
cannot be drawn is called "cohort 2" in the figures, and `undrawable_caution` ties this to its name.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from autodls.records.formatting import plain
from autodls.report.figures.style import fonts

UNKNOWN = "[?]"  # what a figure shows for signs that no font has, where their name has no stand-in
_TOLD = re.compile("no installed font has all signs of the [a-z]+ name '(.*)': the figures call it '(.*)'; install .*")
_NO_STAND_INS: Mapping[str, str] = {}
_in_use: ContextVar[Mapping[str, str]] = ContextVar("stand_ins", default=_NO_STAND_INS)


def is_drawable(name: str) -> bool:
    """Whether the fonts of the figures have every sign of `name`, in normal and in bold.

    >>> is_drawable("T1WI, site A")
    True
    """
    return all(set(map(ord, plain(name))) <= _signs(bold) for bold in (False, True))


def stand_in(kind: str, position: int, names: Sequence[str]) -> str:
    """What the name at `position` of `names` is called where it cannot be drawn; no other name is this.

    >>> stand_in("cohort", 1, ["train", "?"]), stand_in("cohort", 1, ["cohort 2", "?"])
    ('cohort 2', 'cohort 2*')
    """
    word = f"{kind} {position + 1}"
    while word in names:
        word += "*"
    return word


def stand_ins(kind: str, names: Sequence[str]) -> dict[str, str]:
    """The stand-ins of those `names` that cannot be drawn, each a `kind` such as "cohort"."""
    return {name: stand_in(kind, at, names) for at, name in enumerate(names) if not is_drawable(name)}


@contextmanager
def standing_in(for_names: Mapping[str, str]) -> Iterator[None]:
    """Whatever is drawn inside shows the stand-ins `for_names` in place of these."""
    token = _in_use.set({**_in_use.get(), **for_names})
    try:
        yield
    finally:
        _in_use.reset(token)


def drawn_name(name: str) -> str:
    """`name` as one line that can be drawn: itself, its stand-in, or with `UNKNOWN` for signs that no font has."""
    if name in _in_use.get():
        return _in_use.get()[name]
    line = plain(name)
    known = _signs(False) & _signs(True)
    shown = "".join(sign if ord(sign) in known else "\0" for sign in line)
    return UNKNOWN.join(part for part in _runs(shown))


def undrawable_caution(kind: str, name: str, shown: str) -> str:
    """The sentence that ties the stand-in `shown` of the figures to the `name` that it stands for; see `told_of`."""
    return (
        f"no installed font has all signs of the {kind} name '{name}': the figures call it '{shown}'; install a font "
        "that has them, such as Noto Sans CJK, and have them drawn again"
    )


def told_of(caveats: Iterable[str]) -> dict[str, str]:
    """The stand-ins that `undrawable_caution` told of, by name.

    >>> told_of([undrawable_caution("cohort", "the name", "cohort 2"), "another caution"])
    {'the name': 'cohort 2'}
    """
    return {found[1]: found[2] for caution in caveats if (found := _TOLD.fullmatch(plain(caution)))}


def _runs(shown: str) -> list[str]:
    """`shown` cut at its runs of signs that cannot be drawn."""
    while "\0\0" in shown:
        shown = shown.replace("\0\0", "\0")
    return shown.split("\0")


@functools.cache
def _signs(bold: bool) -> frozenset[int]:
    """Code points that the fonts of the figures have."""
    weight = "bold" if bold else "normal"
    files = {findfont(FontProperties(family=name, weight=weight)) for name in fonts()}
    return frozenset(code for file in files for code in FT2Font(file).get_charmap())
