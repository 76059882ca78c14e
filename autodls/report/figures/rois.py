"""Automatic against manual ROIs in pictures: Dice by tumour volume, agreement of scores, robustness to changes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from autodls.analysis.rois_records import CohortAgreement, CohortEffect, CohortRobustness, RoiBenchmark
from autodls.evaluation.agreement_records import AUTOMATIC, KINDS, REFERENCE
from autodls.records.formatting import estimate, number
from autodls.records.words import plural
from autodls.report.drawn import CellValue, Drawn, Rows
from autodls.report.figures.panels import (
    LINE_MM,
    head_mm,
    legend_below,
    panel_grid,
    panel_title,
    plot_width_mm,
    say_why_empty,
)
from autodls.report.figures.style import BLUE, GREEN, GREY, PALE, SKY, VERMILLION, styled
from autodls.report.figures.text_width import fitted
from autodls.report.naming import class_label

_BELOW_MM = 12.0
_LEAST_CHANGE = 0.1  # reach of an axis, where all cases agree
_LEAST_DIFFERENCE = 0.001  # of probabilities; below, differences are not worth telling apart
_COLOURS = {"eroded": GREEN, "dilated": VERMILLION, "shifted": BLUE}
_WORDS = {"eroded": "smaller", "dilated": "larger", "shifted": "moved"}
_DASHES = {"eroded": (0, (5, 1.5)), "dilated": (0, (1.5, 1.2)), "shifted": "-"}
_TICKS_ML = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


def roi_figures(benchmark: RoiBenchmark) -> dict[str, Drawn]:
    """Every figure that there is something for, by the name of its files."""
    drawn = {"rois_dice": dice_figure(benchmark.agreement)}
    if benchmark.effect is not None:
        drawn["rois_scores"] = score_figure(benchmark.effect)
    if benchmark.robustness is not None:
        drawn["rois_robustness"] = robustness_figure(benchmark.robustness)
    return drawn


@styled
def dice_figure(agreement: Mapping[str, CohortAgreement]) -> Drawn:
    """Dice of every case against the volume of its manual ROI, with the mean of each tertile by volume.

    The rows hold cases and, by kind, the means with their intervals.
    """
    side_mm = plot_width_mm(len(agreement))
    panels = panel_grid(len(agreement), head_mm(agreement) + side_mm + _BELOW_MM + 3 * LINE_MM)
    lines: list[tuple[CellValue, ...]] = []
    empty = []
    for position, (panel, (name, held)) in enumerate(zip(panels, agreement.items(), strict=True)):
        axes = panel.axes(head_mm(agreement), side_mm)
        points = [(c.case, c.manual_mm3 / 1000, c.dice) for c in held.cases if c.dice is not None and c.manual_mm3 > 0]
        panel_title(axes, position, len(panels), name, (plural(len(points), "case"), f"by {held.drawn_by}"))
        if not points:
            say_why_empty(axes, "no case has both ROIs")
            empty.append((name, "no case has both ROIs"))
            continue
        volumes_ml = [volume for _, volume, _ in points]
        axes.scatter(volumes_ml, [dice for *_, dice in points], s=10, color=BLUE, alpha=0.6, linewidth=0, zorder=3)
        lines += [(name, "case", *point, None, None) for point in points]
        lines += _tertiles(axes, name, held)
        _volume_axis(axes, volumes_ml)
        axes.set(ylim=(-0.03, 1.03), ylabel="Dice")
        handles = [
            Line2D([], [], color=BLUE, marker="o", markersize=3, linestyle=""),
            Line2D([], [], color=VERMILLION, linewidth=1.2),
            Patch(color=SKY, alpha=0.35),
        ]
        legend_below(axes, handles, ["a case", "mean of a third of the cases, by volume", "95% CI of the mean"])
    header = ("cohort", "kind", "case_or_stratum", "manual_ml", "dice", "low", "high")
    return Drawn(panels[0].figure, Rows(header, tuple(lines)), tuple(empty))


def _tertiles(axes: Axes, name: str, held: CohortAgreement) -> list[tuple[CellValue, ...]]:
    lines: list[tuple[CellValue, ...]] = []
    for stratum, found in (held.summary.by_volume or {}).items():
        mean = found.metrics["dice"].mean
        if mean.value is None or found.smallest_ml is None or found.largest_ml is None:
            continue
        span = [found.smallest_ml, found.largest_ml]
        axes.plot(span, [mean.value] * 2, color=VERMILLION, linewidth=1.2, zorder=2)
        if mean.low is not None and mean.high is not None:
            axes.fill_between(span, mean.low, mean.high, color=SKY, alpha=0.35, linewidth=0, zorder=1)
        lines.append((name, "mean", stratum, float(np.mean(span)), mean.value, mean.low, mean.high))
    return lines


def _volume_axis(axes: Axes, volumes_ml: list[float]) -> None:
    low, high = min(volumes_ml) / 1.3, max(volumes_ml) * 1.3
    axes.set_xscale("log")
    axes.set(xlim=(low, high), xlabel="Volume of the manual ROI, ml (log scale)")
    axes.minorticks_off()
    ticks = [tick for tick in _TICKS_ML if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])


@styled
def score_figure(effect: Mapping[str, CohortEffect]) -> Drawn:
    """Bland-Altman: automatic throughout against manual throughout, with the ICC; both axes follow the scores.

    The rows hold cases and, by kind, bias and limits of agreement with their intervals.
    """
    side_mm = plot_width_mm(len(effect))
    panels = panel_grid(len(effect), head_mm(effect) + side_mm + _BELOW_MM + 3 * LINE_MM)
    lines: list[tuple[CellValue, ...]] = []
    empty = []
    for position, (panel, (name, held)) in enumerate(zip(panels, effect.items(), strict=True)):
        axes = panel.axes(head_mm(effect), side_mm)
        scores = held.against_manual[AUTOMATIC].scores
        panel_title(axes, position, len(panels), name, (f"n = {held.n}, ICC (log-odds) {estimate(scores.icc, 2)}",))
        if reason := scores.bland_altman.bias.reason:
            say_why_empty(axes, reason)
            empty.append((name, reason))
            continue
        lines += _differences(axes, name, held)
    header = ("cohort", "kind", "case", "label", "mean", "difference", "low", "high")
    return Drawn(panels[0].figure, Rows(header, tuple(lines)), tuple(empty))


def _differences(axes: Axes, name: str, held: CohortEffect) -> list[tuple[CellValue, ...]]:
    pairs = [(case.scores[REFERENCE], case.scores[AUTOMATIC]) for case in held.cases]
    points = [((first + second) / 2, second - first) for first, second in pairs]
    lines: list[tuple[CellValue, ...]] = []
    handles, labels = [], []
    for positive, colour, marker in ((True, VERMILLION, "^"), (False, BLUE, "o")):
        chosen = [point for point, case in zip(points, held.cases, strict=True) if case.label is positive]
        means, apart = np.reshape(chosen, (-1, 2)).T
        axes.scatter(means, apart, s=11, color=colour, marker=marker, alpha=0.7, linewidth=0, zorder=3)
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=3.5, linestyle=""))
        labels.append(fitted(class_label(positive), 40))
    lines += [
        (name, "case", case.case, int(case.label), *point, None, None)
        for case, point in zip(held.cases, points, strict=True)
    ]
    limits = held.against_manual[AUTOMATIC].scores.bland_altman
    of_lines = {"bias": limits.bias, "lower limit": limits.lower_limit, "upper limit": limits.upper_limit}
    for kind, found in of_lines.items():
        if found.value is not None:
            axes.axhline(found.value, color=GREY, linewidth=0.9, linestyle="-" if kind == "bias" else (0, (4, 2)))
            lines.append((name, kind, None, None, None, found.value, found.low, found.high))
    handles.append(Line2D([], [], color=GREY, linewidth=0.9))
    labels.append(f"bias {number(limits.bias.value)} (dashed: 95% limits)")
    axes.set(xlim=_reach([mean for mean, _ in points]), xlabel="Mean of both scores")
    axes.set_ylabel("Automatic \N{MINUS SIGN} manual")
    axes.locator_params(nbins=5)
    axes.yaxis.labelpad = 1.0
    drawn = [*(difference for _, difference in points), *(found.value or 0 for found in of_lines.values())]
    reach = 1.1 * max(_LEAST_DIFFERENCE, *map(abs, drawn))
    axes.set_ylim(-reach, reach)
    legend_below(axes, handles, labels)
    return lines


def _reach(means: Sequence[float]) -> tuple[float, float]:
    """From the lowest to the highest mean with some room, so that scores which hardly differ still lie apart."""
    low, high = min(means), max(means)
    room = max(0.06 * (high - low), _LEAST_DIFFERENCE)
    return low - room, high + room


@styled
def robustness_figure(robustness: Mapping[str, CohortRobustness]) -> Drawn:
    """Mean absolute change of the score against the size of the change of the ROI; a pale line for each case.

    A mean is drawn where the change leaves something of the ROI in at least half of the cases: those that are left are
    the large tumours. The rows hold all means.
    """
    side_mm = plot_width_mm(len(robustness))
    panels = panel_grid(len(robustness), head_mm(robustness) + side_mm + _BELOW_MM + 4 * LINE_MM)
    lines: list[tuple[CellValue, ...]] = []
    empty = []
    for position, (panel, (name, held)) in enumerate(zip(panels, robustness.items(), strict=True)):
        axes = panel.axes(head_mm(robustness), side_mm)
        panel_title(axes, position, len(panels), name, (plural(len(held.cases), "case"),))
        if not held.changes:
            say_why_empty(axes, "no case could be scored")
            empty.append((name, "no case could be scored"))
            continue
        lines += _curves(axes, name, held)
    header = ("cohort", "change", "nominal_mm", "case", "absolute_change", "cases", "mean_moved_mm")
    return Drawn(panels[0].figure, Rows(header, tuple(lines)), tuple(empty))


def _curves(axes: Axes, name: str, held: CohortRobustness) -> list[tuple[CellValue, ...]]:
    lines: list[tuple[CellValue, ...]] = []
    handles, labels = [], []
    for kind in KINDS:
        for case in held.cases:
            changed = {
                one.nominal_mm: abs(one.dls - one.unperturbed_dls)
                for one in held.scores
                if (one.case, one.kind) == (case, kind) and one.dls is not None
            }
            axes.plot([0, *changed], [0, *changed.values()], color=PALE, linewidth=0.6, zorder=1)
            lines += [(name, kind, step_mm, case, value, None, None) for step_mm, value in changed.items()]
        means = [one for one in held.changes if one.kind == kind and one.mean_absolute_change is not None]
        shown = [one for one in means if one.cases >= one.lost]
        places = [0.0, *(one.nominal_mm for one in shown)]
        heights = [0.0, *(one.mean_absolute_change for one in shown if one.mean_absolute_change is not None)]
        style = {"color": _COLOURS[kind], "linestyle": _DASHES[kind], "linewidth": 1.5}
        axes.plot(places, heights, zorder=3, **style)  # type: ignore[arg-type]
        handles.append(Line2D([], [], **style))  # type: ignore[arg-type]
        labels.append(f"{_WORDS[kind]}, mean")
        lines += [
            (name, kind, one.nominal_mm, None, one.mean_absolute_change, one.cases, one.mean_moved_mm) for one in means
        ]
    handles.append(Line2D([], [], color=PALE, linewidth=0.8))
    labels.append("a case")
    axes.set(xlabel="ROI changed by, mm", ylabel="|Change of the score|", xlim=(0, None))
    axes.set_ylim(0, max(_LEAST_CHANGE, axes.get_ylim()[1]))
    axes.yaxis.labelpad = 2.0
    axes.set_xticks([0, 1, 2, 5, 10], ["0", "1", "2", "5", "10"])
    legend_below(axes, handles, labels)
    return lines
