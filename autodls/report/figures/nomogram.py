"""A nomogram of points, and the coefficients of a locked candidate: drawn from its record alone."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from autodls.analysis.candidate_card import largest_effects
from autodls.analysis.nomogram import MOST_POINTS, Nomogram, PointsAxis, nomogram_of, shown_level
from autodls.records.formatting import plain
from autodls.records.locked_candidate import CandidatePart, LockedCandidate
from autodls.report.drawn import CellValue, Drawn, Rows
from autodls.report.figures.style import BLUE, GREY, INK, PALE, TWO_COLUMNS_MM, VERMILLION, new_figure, styled
from autodls.report.figures.text_width import fitted, width_mm

_LEFT_MM, _RIGHT_MM, _ROW_MM, _AROUND_MM = 44.0, 8.0, 11.0, 6.0
_TICK_MM, _GAP_MM, _NAME_MM, _SHORT_MM = 1.1, 1.2, 3.5, 10.0
_PROBABILITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
_FEW, _NEAR = 3, 0.05  # ticks; of the range: a round number that near to its end is not shown
_HEADER = ("axis", "label", "value", "points")
_EFFECTS = ("of", "feature", "effect")
_BAR_MM, _TITLE_MM = 4.6, 11.0
Tick = tuple[str, float, float]  # label, value, points


@styled
def nomogram_figure(record: LockedCandidate) -> Drawn:
    """Points on top, an axis each covariate or part, total points and probability below; rows are the ticks."""
    found = nomogram_of(record)
    height_mm = _AROUND_MM + _ROW_MM * (len(found.axes) + 3)
    figure = new_figure(TWO_COLUMNS_MM, height_mm)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, TWO_COLUMNS_MM), ylim=(height_mm, 0))
    axes.axis("off")
    lines: list[tuple[CellValue, ...]] = []
    rows = [("Points", _even(MOST_POINTS), MOST_POINTS, False)]
    rows += [(axis.name, axis_ticks(axis), MOST_POINTS, bool(axis.levels)) for axis in found.axes]
    rows += [("Total points", _even(found.most), found.most, False)]
    rows += [(plain(f"Probability of {record.target.name}"), probability_ticks(found), found.most, False)]
    for at, (name, ticks, most, levels) in enumerate(rows):
        _draw_row(axes, _AROUND_MM + _ROW_MM * (at + 0.4), name, ticks, most, above=levels)
        lines += [(name, *tick) for tick in ticks]
    return Drawn(figure, Rows(_HEADER, tuple(lines)))


def axis_ticks(axis: PointsAxis) -> list[Tick]:
    """The ticks of an axis: its levels, round numbers within its range and both ends of it, or probabilities."""
    if axis.levels:
        return [(shown_level(name), 0.0, points) for name, points in axis.levels.items()]
    if not axis.is_probability:
        return [(f"{value:g}", value, axis.points(value)) for value in _within(axis.low, axis.high)]
    low, high = (float(1 / (1 + np.exp(-end))) for end in (axis.low, axis.high))
    held = [p for p in _PROBABILITIES if low < p < high]
    inner = held if len(held) > _FEW else _within(low, high)[1:-1]
    ticks = {p: axis.points(float(np.log(p / (1 - p)))) for p in inner}
    for p, points in ((low, axis.points_low), (high, axis.points_high)):
        if all(abs(points - other) > _NEAR * MOST_POINTS for other in ticks.values()):
            ticks[p] = points
    return [(f"{p:.2g}", p, ticks[p]) for p in sorted(ticks)]


def probability_ticks(found: Nomogram) -> list[Tick]:
    """Probabilities that a sum of points may have."""
    placed = [(f"{p:g}", p, found.points_at(p)) for p in _PROBABILITIES]
    return [tick for tick in placed if 0 <= tick[2] <= found.most]


def _within(low: float, high: float) -> list[float]:
    """Both ends, and the round numbers between them that are not next to one."""
    room = _NEAR * (high - low)
    inside = [float(value) for value in MaxNLocator(8).tick_values(low, high) if low + room < value < high - room]
    return [low, *inside, high]


def _even(most: float) -> list[Tick]:
    return [(f"{v:g}", float(v), float(v)) for v in MaxNLocator(10, steps=[1, 2, 2.5, 5, 10]).tick_values(0, most)
            if 0 <= v <= most + 1e-9]  # fmt: skip


def _draw_row(axes: Axes, down_mm: float, name: str, ticks: Sequence[Tick], most: float, *, above: bool) -> None:
    """A line from its first to its last tick; one that is too short for its labels has its points in words beside it.

    Labels of levels (`above`) may lie on both sides of the line.
    """
    wide_mm = TWO_COLUMNS_MM - _LEFT_MM - _RIGHT_MM
    axes.text(2.0, down_mm, fitted(name, _LEFT_MM - _NAME_MM - 3.0), va="center")
    if not ticks:
        return
    placed = sorted((_LEFT_MM + points / most * wide_mm, label) for label, _, points in ticks)
    first_mm, last_mm = placed[0][0], placed[-1][0]
    axes.plot([first_mm, last_mm], [down_mm, down_mm], color=INK, linewidth=0.8)
    labels = _placed_labels(placed, both_sides=above)
    if last_mm - first_mm < _SHORT_MM or (above and len(labels) < len(placed)):  # too short to be read: in words
        shown = ticks if above else (ticks[0], ticks[-1])
        told = f"{', '.join(f'{label}: {points:.1f}' for label, _, points in shown)} points"
        axes.plot([first_mm, last_mm], [down_mm, down_mm], color=INK, linewidth=0, marker="|", markersize=4)
        left_mm = last_mm + 2.5
        axes.text(left_mm, down_mm, fitted(told, TWO_COLUMNS_MM - 2.0 - left_mm), va="center", color=INK)
        return
    for x_mm, _ in placed:
        axes.plot([x_mm, x_mm], [down_mm - _TICK_MM, down_mm], color=INK, linewidth=0.7)
    for at_mm, label, side in labels:
        y_mm = down_mm + (0.9 if side > 0 else -_TICK_MM - 0.6)
        axes.text(at_mm, y_mm, label, ha="center", va="top" if side > 0 else "bottom", color=INK if above else GREY)


def _placed_labels(placed: Sequence[tuple[float, str]], *, both_sides: bool) -> list[tuple[float, str, int]]:
    """Where labels lie, in mm, and on which side of the line (-1 above); those that have no room are left out."""
    ends = {-1: -np.inf, 1: -np.inf}  # of the last label on each side
    found: list[tuple[float, str, int]] = []
    for x_mm, label in placed:
        half_mm = width_mm(label) / 2
        at_mm = float(np.clip(x_mm, _LEFT_MM - _NAME_MM + half_mm, TWO_COLUMNS_MM - 1.0 - half_mm))  # off the name
        side = next((one for one in ((-1, 1) if both_sides else (1,)) if at_mm - half_mm > ends[one] + _GAP_MM), None)
        if side is not None:
            ends[side] = at_mm + half_mm
            found.append((at_mm, label, side))
    return found


@styled
def coefficients_figure(record: LockedCandidate) -> Drawn:
    """Bars of the largest effects per SD (`effect_of`), a panel for the parts and for each of them."""
    panels = [one for one in (*((record,) if record.parts else ()), *record.simple) if largest_effects(one)]
    effects = [largest_effects(one) for one in panels]
    height_mm = sum(_TITLE_MM + _BAR_MM * len(one) + 8.0 for one in effects) + 2.0
    figure = new_figure(TWO_COLUMNS_MM, height_mm)
    lines: list[tuple[CellValue, ...]] = []
    top_mm = 0.0
    for one, found in zip(panels, effects, strict=True):
        tall_mm = _BAR_MM * len(found)
        bottom = 1 - (top_mm + _TITLE_MM + tall_mm) / height_mm
        axes = figure.add_axes((0.4, bottom, 0.55, tall_mm / height_mm))
        _draw_bars(axes, one, found)
        lines += [(_called(one), name, value) for name, value in found]
        top_mm += _TITLE_MM + tall_mm + 8.0
    return Drawn(figure, Rows(_EFFECTS, tuple(lines)))


def _called(one: LockedCandidate | CandidatePart) -> str:
    return f"parts of {one.candidate}" if isinstance(one, LockedCandidate) and one.parts else one.candidate


def _draw_bars(axes: Axes, one: LockedCandidate | CandidatePart, found: Sequence[tuple[str, float]]) -> None:
    places = np.arange(len(found))[::-1]
    colours = [VERMILLION if value > 0 else BLUE for _, value in found]
    axes.barh(places, [value for _, value in found], height=0.7, color=colours, linewidth=0)
    axes.axvline(0, color=PALE, linewidth=0.8)
    axes.set_yticks(places, [fitted(plain(name), 0.38 * TWO_COLUMNS_MM) for name, _ in found])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    most = len(one.features)
    which = f", the largest {len(found)} of {most}" if len(found) < most else ""
    axes.set(ylim=(-0.6, len(found) - 0.4), title=f"{_called(one)}{which}")
    axes.set_xlabel(
        "Half the change of log-odds from -1 to +1 SD" if one.trees else "Log-odds per SD; of a level, what it adds"
    )
