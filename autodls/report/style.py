"""The look of all figures: one or two journal columns wide, quiet, safe for colour-blind readers.

Colours are those of Okabe and Ito [1]_ without yellow, which vanishes on white; lines differ in dashes as well.

References
----------
.. [1] Okabe, Ito. Color Universal Design. 2008. https://jfly.uni-koeln.de/color/
"""

import functools
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import matplotlib as mpl
import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.transforms import ScaledTranslation

from autodls.report.wording import plain

MM_PER_INCH = 25.4
ONE_COLUMN_MM, MIDDLE_MM, TWO_COLUMNS_MM = 89.0, 136.0, 183.0
PANELS_IN_A_ROW = 3
TITLE_MM, LINE_MM = 13.0, 3.6  # head of a panel with two lines below its name; a line of a legend
_LEFT_MM, _RIGHT_MM = 12.0, 2.5

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
    "Noto Sans SC",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "Arial Unicode MS",
)

_STYLE = {
    "font.size": 7.0,
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
    with mpl.style.context(["default", _STYLE | {"font.family": _fonts()}]):
        yield


@functools.cache
def _fonts() -> list[str]:
    installed = set(get_font_names())
    return [_FONT, *(name for name in _LENDERS if name in installed)]


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that draws, so that it draws `in_style`."""

    @functools.wraps(draw)
    def drawing(*args: P.args, **kwargs: P.kwargs) -> R:
        with in_style():
            return draw(*args, **kwargs)

    return drawing


@dataclass(frozen=True)
class Panel:
    """A place in a figure: axes are put into it by their distance from its upper edge, all in mm."""

    figure: Figure
    left_mm: float
    top_mm: float
    plot_width_mm: float

    def axes(self, down_mm: float, height_mm: float) -> Axes:
        """New axes of `height_mm`, `down_mm` below the upper edge of the panel."""
        width_mm, total_mm = (side * MM_PER_INCH for side in self.figure.get_size_inches())
        bottom_mm = total_mm - self.top_mm - down_mm - height_mm
        return self.figure.add_axes(
            (
                self.left_mm / width_mm,
                bottom_mm / total_mm,
                self.plot_width_mm / width_mm,
                height_mm / total_mm,
            )
        )


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """An empty white figure."""
    return Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), facecolor="white")


def plot_width_mm(panels: int) -> float:
    """Width of the axes of each of `panels` panels."""
    return _figure_width_mm(panels) / min(panels, PANELS_IN_A_ROW) - _LEFT_MM - _RIGHT_MM


def panel_grid(panels: int, height_mm: float) -> list[Panel]:
    """`panels` places of `height_mm` in rows of three in one new figure."""
    columns = min(panels, PANELS_IN_A_ROW)
    rows = -(-panels // columns)
    figure = new_figure(_figure_width_mm(panels), rows * height_mm)
    step_mm = _figure_width_mm(panels) / columns
    return [
        Panel(figure, at % columns * step_mm + _LEFT_MM, at // columns * height_mm, plot_width_mm(panels))
        for at in range(panels)
    ]


def _figure_width_mm(panels: int) -> float:
    """One column of a journal for one panel, one and a half for two, two columns for three and more."""
    return (ONE_COLUMN_MM, MIDDLE_MM, TWO_COLUMNS_MM)[min(panels, PANELS_IN_A_ROW) - 1]


def panel_title(axes: Axes, position: int, panels: int, name: str, lines: Sequence[str] = ()) -> None:
    """Letter and name of a panel in bold, `lines` below them; a lone panel has no letter."""
    letter = f"{chr(ord('a') + position)}  " if 1 < panels <= 26 else ""
    axes.set_title(letter + plain(name, 24), fontweight="bold", pad=5.0 + 10.0 * len(lines))
    for row, line in enumerate(reversed(lines)):
        axes.annotate(plain(line, 38), (0, 1), (0, 4.5 + 10.0 * row), "axes fraction", "offset points", va="bottom")


def say_why_empty(axes: Axes, reason: str) -> None:
    """Write in place of a curve why there is none."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(PALE)
    text = textwrap.shorten(plain(reason), 220, placeholder=" \N{HORIZONTAL ELLIPSIS}")
    wrapped = "\n".join(textwrap.wrap(text, 30))
    axes.text(0.5, 0.5, wrapped, ha="center", va="center", color=GREY, transform=axes.transAxes, linespacing=1.3)


def legend_below(
    axes: Axes, handles: Sequence[Artist], labels: Sequence[str], gap_mm: float = 9.5, title: str | None = None
) -> None:
    """A legend `gap_mm` under the axes, where it hides nothing, from the left edge of the panel on."""
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    shift = ScaledTranslation(-(_LEFT_MM - 2) / MM_PER_INCH, -gap_mm / MM_PER_INCH, figure.dpi_scale_trans)
    axes.legend(
        list(handles),
        list(labels),
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=axes.transAxes + shift,
        borderaxespad=0.0,
        alignment="left",
        title=title,
    )


def series_style(position: int) -> dict[str, object]:
    """Colour and dashes of the series at `position`; the first, the reference, is solid, blue and in front."""
    return {
        "color": _SERIES[position % len(_SERIES)],
        "linestyle": "-" if position == 0 else _DASHES[(position - 1 + position // len(_SERIES)) % 3 + 1],
        "zorder": 10.0 - position / 100,
        "linewidth": 1.5 if position == 0 else 1.0,
    }
