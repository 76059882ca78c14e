"""Worse images in pictures: change of the score and calls that flip, by level; a panel a kind."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from autodls.analysis.images_records import DegradedKind, ImageBenchmark, ImageChange, ImageKind
from autodls.report.drawn import CellValue, Drawn, Rows
from autodls.report.figures.panels import (
    LINE_MM,
    Panel,
    legend_below,
    legend_text_mm,
    panel_grid,
    panel_title,
    say_why_empty,
)
from autodls.report.figures.style import BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, VERMILLION, styled
from autodls.report.figures.text_width import fitted
from autodls.report.naming import cohort_label

_HEAD_MM, _UPPER_MM, _BETWEEN_MM, _LOWER_MM, _BELOW_MM = 8.0, 27.0, 3.5, 15.0, 10.5
_SERIES = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE)
_MARKERS = "os^Dv"
_HEADER = ("kind", "cohort", "level", "change", "lower_limit", "upper_limit", "flipped", "flipped_low", "flipped_high")
_NO_CASE = "no case could be scored"
_LEAST_CHANGE = 0.1  # reach of an axis of log-odds where nothing moves
_APART = 0.12  # of cohorts at one level, in steps between levels


@styled
def images_figure(found: ImageBenchmark) -> Drawn:
    """Above, the mean change of the log-odds with 95 % limits of agreement; below, the share of calls that flip.

    All panels share their axes, so that kinds can be compared; what reaches beyond is cut off, not the numbers.
    """
    kinds, cohorts = list(found.kinds), list(found.cohorts)
    height_mm = _HEAD_MM + _UPPER_MM + _BETWEEN_MM + _LOWER_MM + _BELOW_MM + LINE_MM * len(cohorts)
    lines: list[tuple[CellValue, ...]] = []
    empty = []
    drawn: list[tuple[Axes, Axes]] = []
    for position, (panel, kind) in enumerate(zip(panel_grid(len(kinds), height_mm), kinds, strict=True)):
        upper, lower = _two(panel)
        panel_title(upper, position, len(kinds), found.kinds[kind].word, called=str)
        of_kind = {name: [one for one in found.cohorts[name].changes if one.kind == kind and one.cases]
                   for name in cohorts}  # fmt: skip
        if not any(of_kind.values()):
            say_why_empty(upper, _NO_CASE)
            say_why_empty(lower, "")
            empty.append((found.kinds[kind].word, _NO_CASE))
            continue
        for number, (name, changes) in enumerate(of_kind.items()):
            lines += _draw(upper, lower, found.kinds[kind], (kind, name), changes, number)
        _labelled(upper, lower, found.kinds[kind])
        drawn.append((upper, lower))
    _shared(drawn, found)
    if drawn:
        handles = [Line2D([], [], **_look(number)) for number in range(len(cohorts))]  # type: ignore[arg-type]
        labels = [fitted(cohort_label(name), legend_text_mm(len(kinds))) for name in cohorts]
        legend_below(drawn[-3 if len(drawn) > 2 else 0][1], handles, labels)
    return Drawn(upper.figure, Rows(_HEADER, tuple(lines)), tuple(empty))  # type: ignore[arg-type]


def _two(panel: Panel) -> tuple[Axes, Axes]:
    return panel.axes(_HEAD_MM, _UPPER_MM), panel.axes(_HEAD_MM + _UPPER_MM + _BETWEEN_MM, _LOWER_MM)


def _look(number: int) -> dict[str, object]:
    colour = _SERIES[number % len(_SERIES)]
    return {"color": colour, "marker": _MARKERS[number % len(_MARKERS)], "markersize": 3.2, "linewidth": 1.2}


def _draw(
    upper: Axes, lower: Axes, kind: DegradedKind, names: tuple[ImageKind, str], changes: Sequence[ImageChange],
    number: int,
) -> list[tuple[CellValue, ...]]:  # fmt: skip
    """One cohort in one panel, from nothing on; levels stand at even distances."""
    look, shift = _look(number), _APART * number
    at = [0.0, *(1 + kind.levels.index(one.level) + shift for one in changes)]
    limits = [one.log_odds for one in changes]
    means, lows, highs = (
        [0.0, *(getattr(one, name).value or 0.0 for one in limits)] for name in ("bias", "lower_limit", "upper_limit")
    )
    upper.fill_between(at, lows, highs, color=look["color"], alpha=0.13, linewidth=0)  # type: ignore[arg-type]
    upper.plot(at, means, **look)  # type: ignore[arg-type]
    shares = [one.calls.share for one in changes]
    lower.plot(at, [0.0, *(100 * (one.value or 0.0) for one in shares)], **look)  # type: ignore[arg-type]
    for place, share in zip(at[1:], shares, strict=True):
        if share.low is not None and share.high is not None:
            ends = [100 * share.low, 100 * share.high]
            lower.plot([place, place], ends, color=look["color"], linewidth=0.8)  # type: ignore[arg-type]
    return [
        (*names, one.level, one.log_odds.bias.value, one.log_odds.lower_limit.value, one.log_odds.upper_limit.value,
         one.calls.share.value, one.calls.share.low, one.calls.share.high)
        for one in changes
    ]  # fmt: skip


def _labelled(upper: Axes, lower: Axes, kind: DegradedKind) -> None:
    ticks = range(1 + len(kind.levels))
    names = ["none", *(f"{level:g}" for level in kind.levels)]
    upper.axhline(0, color=PALE, linewidth=0.8, zorder=0)
    upper.set_xticks(ticks, [""] * len(names))
    lower.set_xticks(ticks, names)
    lower.set_xlabel(kind.axis)
    upper.set_ylabel("Δ log-odds")
    lower.set_ylabel("flips, %")
    for axes in (upper, lower):
        axes.set_xlim(-0.2, len(kind.levels) + 0.5)
        axes.tick_params(color=GREY)
        axes.yaxis.set_label_coords(-0.13, 0.5)  # of both alike, beside the widest numbers
        axes.locator_params(axis="y", nbins=4)


def _shared(drawn: Sequence[tuple[Axes, Axes]], found: ImageBenchmark) -> None:
    """The same reach of all panels."""
    changes = [one for cohort in found.cohorts.values() for one in cohort.changes]
    ends = [end.value or 0.0 for one in changes for end in (one.log_odds.lower_limit, one.log_odds.upper_limit)]
    means = [one.log_odds.bias.value or 0.0 for one in changes]
    reach = 1.08 * max(_LEAST_CHANGE, *map(abs, (*ends, *means)))
    shares = [100 * (one.calls.share.high or one.calls.share.value or 0.0) for one in changes]
    for upper, lower in drawn:
        upper.set_ylim(-reach, reach)
        lower.set_ylim(0, min(102.0, 1.08 * max(5.0, *shares)))
