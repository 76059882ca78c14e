"""Panels of a figure, one for each cohort: every length is in mm, so that nothing overlaps whatever the names are."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from autodls.records.formatting import ELLIPSIS, plain
from autodls.report.figures.style import GREY, MM_PER_INCH, ONE_COLUMN_MM, PALE, TWO_COLUMNS_MM, new_figure
from autodls.report.figures.text_width import in_two_lines, wrapped
from autodls.report.naming import cohort_label

PANELS_IN_A_ROW = 3
TITLE_MM, LINE_MM = 13.0, 3.6  # head of a panel with two lines below its name; a line of a legend
LEGEND_HANDLE_MM = 7.5
_LINES_IN_TITLE = 2
_LEFT_MM, _RIGHT_MM, _LEGEND_MM = 12.0, 2.5, 2.0
_MOST_LINES = 7


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


def legend_text_mm(panels: int) -> float:
    """Room for the text of a legend below each of `panels` panels."""
    return plot_width_mm(panels) + _LEFT_MM - _LEGEND_MM + _RIGHT_MM - LEGEND_HANDLE_MM - 1


def _figure_width_mm(panels: int) -> float:
    """One column of a journal for one panel, two columns for more."""
    return ONE_COLUMN_MM if panels == 1 else TWO_COLUMNS_MM


def head_mm(cohorts: Collection[str], lines: Iterable[Sequence[str]] = ()) -> float:
    """Height of the heads of panels, one for each of `cohorts`, whatever is long in the names or in the `lines`."""
    names = max((len(_name_lines(cohort_label(name), len(cohorts))) for name in cohorts), default=1)
    below = max((len(_head_lines(one, len(cohorts))) for one in lines), default=0)
    return TITLE_MM + LINE_MM * (names - 1 + max(below - _LINES_IN_TITLE, 0))


def panel_title(
    axes: Axes,
    position: int,
    panels: int,
    name: str,
    lines: Sequence[str] = (),
    called: Callable[[str], str] = cohort_label,
) -> None:
    """Letter and name of a panel in bold, `lines` below them; a lone panel has no letter.

    The name is that of a cohort, unless `called` says otherwise what is shown for it.
    """
    letter = f"{chr(ord('a') + position)}  " if 1 < panels <= 26 else ""
    below = _head_lines(lines, panels)
    title = letter + "\n".join(_name_lines(called(name), panels))
    axes.set_title(title, fontweight="bold", pad=5.0 + 10.0 * len(below))
    for row, line in enumerate(reversed(below)):
        axes.annotate(
            line,
            (0, 1),
            (0, 4.5 + 10.0 * row),
            "axes fraction",
            "offset points",
            va="bottom",
        )


def _name_lines(name: str, panels: int) -> list[str]:
    return in_two_lines(name, plot_width_mm(panels) / 1.1 - 3, bold=True)


def _head_lines(lines: Sequence[str], panels: int) -> list[str]:
    room_mm = plot_width_mm(panels) + _RIGHT_MM - 1
    return [part for line in lines for part in wrapped(line, room_mm, indent="")]


def say_why_empty(axes: Axes, reason: str) -> None:
    """Write in place of a curve why there is none."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(PALE)
    lines = wrapped(plain(reason), 0.85 * plot_width_mm(PANELS_IN_A_ROW), indent="")
    lines = lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], ELLIPSIS]
    text = "\n".join(lines)
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, transform=axes.transAxes, linespacing=1.3)


def legend_below(
    axes: Axes, handles: Sequence[Artist], labels: Sequence[str], gap_mm: float = 9.5, title: str | None = None
) -> None:
    """A legend `gap_mm` under the axes, where it hides nothing, from the left edge of the panel on."""
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    shift = ScaledTranslation(-(_LEFT_MM - _LEGEND_MM) / MM_PER_INCH, -gap_mm / MM_PER_INCH, figure.dpi_scale_trans)
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
