"""The look of all figures: one or two journal columns wide, quiet, safe for colour-blind readers.

Colours are those of Okabe and Ito [1]_ without yellow, which vanishes on white; lines differ in dashes as well.

References
----------
.. [1] Okabe, Ito. Color Universal Design. 2008. https://jfly.uni-koeln.de/color/
"""

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import matplotlib as mpl
import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names

MM_PER_INCH = 25.4
FONT_PT = 7.0  # the smallest that journals take
ONE_COLUMN_MM, TWO_COLUMNS_MM = 85.0, 170.0  # no journal's columns are narrower by more than a little

BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#000000",
)  # fmt: skip
INK, GREY, PALE = "#222222", "#6E6E6E", "#D9D9D9"
_SERIES = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))

# DejaVu Sans comes with matplotlib; the others, where installed, lend it the signs that it lacks.
_FONT = "DejaVu Sans"
_LENDERS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
    "Noto Sans SC",
    "Noto Sans JP",
    "Noto Sans KR",
    "PingFang SC",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "SimHei",
    "Yu Gothic",
    "Malgun Gothic",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
)

_STYLE = {
    "font.size": FONT_PT,
    "font.sans-serif": [_FONT, "Verdana", "Arial"],  # the last two for an SVG where the first is not installed
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.0,
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlepad": 5.0,
    "axes.unicode_minus": True,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
    "legend.borderpad": 0.0,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.1,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a user's name is a dollar sign
    "legend.title_fontsize": 7.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "autodls",
}

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def in_style() -> Iterator[None]:
    """Matplotlib's defaults and ours, whatever the machine's own settings are."""
    with mpl.style.context(["default", _STYLE | {"font.family": fonts()}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # lettering.py gives a stand-in and tells
        yield


@functools.cache
def fonts() -> list[str]:
    """Names of the fonts to draw with, the first before all others."""
    installed = set(get_font_names())
    return [_FONT, *(name for name in _LENDERS if name in installed), "sans-serif"]


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that draws, so that it draws `in_style`."""

    @functools.wraps(draw)
    def drawing(*args: P.args, **kwargs: P.kwargs) -> R:
        with in_style():
            return draw(*args, **kwargs)

    return drawing


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """An empty white figure."""
    return Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), facecolor="white")


def series_style(position: int) -> dict[str, object]:
    """Colour and dashes of the series at `position`; the first, the reference, is solid, blue and in front."""
    return {
        "color": _SERIES[position % len(_SERIES)],
        "linestyle": "-" if position == 0 else _DASHES[(position - 1 + position // len(_SERIES)) % 3 + 1],
        "zorder": 10.0 - position / 100,
        "linewidth": 1.5 if position == 0 else 1.0,
    }
