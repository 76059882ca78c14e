"""Can the score be read as a probability, and is acting on it worth it? Calibration and decision curves."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.binary import not_probabilities
from autodls.evaluation.bootstrap import resample_counts
from autodls.evaluation.calibration import CalibrationGroup, SmoothCalibration, calibration_curve, smooth_calibration
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.decision_curve import net_benefit_band
from autodls.evaluation.delong import Patients
from autodls.evaluation.metrics_record import CohortMetrics, Metrics
from autodls.evaluation.results import ScoreMetrics
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.subsets import judged_by
from autodls.records.formatting import number
from autodls.report.drawn import CellValue, Drawn, Rows
from autodls.report.figures.panels import (
    LINE_MM,
    head_mm,
    legend_below,
    legend_text_mm,
    panel_grid,
    panel_title,
    plot_width_mm,
    say_why_empty,
)
from autodls.report.figures.style import BLACK, BLUE, GREY, PALE, SKY, VERMILLION, styled
from autodls.report.figures.text_width import in_two_lines
from autodls.report.naming import class_label, score_label

_CALIBRATION_HEADER = (
    "cohort", "score", "kind", "from", "to", "n", "positives", "mean_score", "value", "low", "high",
)  # fmt: skip
_DECISION_HEADER = (
    "cohort", "score", "threshold", "net_benefit", "low", "high", "treat_all", "treat_none", "less_treat_all",
    "less_treat_all_low", "less_treat_all_high",
)  # fmt: skip
_BELOW_CALIBRATION_MM, _BELOW_DECISION_MM = 35.0, 22.0
_DISTRIBUTION_MM, _DISTRIBUTION_GAP_MM = 12.0, 3.5
_BINS = 20
_MOST_THRESHOLD = 0.8
_CASES_PER_GROUP = 10
_SMOOTHED = 500  # resamples of the smooth curve
_DASHED = (0, (4, 1.5))
_SCALE = ([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])


@styled
def calibration_figure(
    table: ScoreTable, metrics: Metrics, rng: np.random.Generator, score: str | None = None
) -> Drawn:
    """Observed share against predicted probability: smooth with a bootstrap band, and by group with Wilson intervals.

    Below stand the scores of both classes. `score` is the reference when None. Cases are grouped by score, at least ten
    to a group and at most ten groups. `rng` draws the resamples; where patients have several cases, band and intervals
    are over patients. Rows are groups, points of the smooth curve, bins of the distribution, and the recalibration fit,
    by kind.
    """
    chosen = score or metrics.reference
    side_mm = plot_width_mm(len(table.cohorts))
    words = {name: _calibration_words(metrics.cohorts[name].scores[chosen]) for name in table.cohorts}
    head, legend = head_mm(table.cohorts, words.values()), _class_legend(legend_text_mm(len(table.cohorts)))
    more_mm = LINE_MM * sum(text.count("\n") for text in legend)
    panels = panel_grid(len(table.cohorts), head + side_mm + _BELOW_CALIBRATION_MM + more_mm)
    lines: list[tuple[CellValue, ...]] = []
    empty = []
    for position, (panel, (name, rows)) in enumerate(zip(panels, table.cohorts.items(), strict=True)):
        axes, cohort = panel.axes(head, side_mm), judged_by(rows, chosen)
        measured = metrics.cohorts[name].scores[chosen]
        panel_title(axes, position, len(panels), name, words[name])
        if reason := _why_no_probability(cohort, chosen, measured):
            say_why_empty(axes, reason)
            empty.append((name, reason))
        elif cohort.labels is not None:
            below = panel.axes(head + side_mm + _DISTRIBUTION_GAP_MM, _DISTRIBUTION_MM)
            drawn = _calibration_panel(axes, below, cohort.labels, cohort.scores[chosen], cohort.patients, rng)
            legend_below(below, [Patch(color=VERMILLION), Patch(color=SKY)], legend)
            lines += [(name, chosen, *line) for line in (*drawn, *_fit_rows(measured))]
    return Drawn(panels[0].figure, Rows(_CALIBRATION_HEADER, tuple(lines)), tuple(empty))


@styled
def decision_figure(
    table: ScoreTable, metrics: Metrics, rng: np.random.Generator, score: str | None = None, calibrated: bool = False
) -> Drawn:
    """Net benefit of `score` (the reference when None) beside treating all and none, with a bootstrap band.

    Drawn over `plausible_thresholds` alone and on the same axes in every cohort; the rows hold 0.01 to 0.99. The band
    ends where fewer than ten patients are called. A score that was not `calibrated` on other cases, or is not shown to
    be calibrated, is labelled as such. `rng` draws the resamples of patients, all rows of a patient together.
    """
    chosen = score or metrics.reference
    height_mm = 0.85 * plot_width_mm(len(table.cohorts))
    head = head_mm(table.cohorts)
    legend = "\n".join(in_two_lines(f"{score_label(chosen)} (95% CI)", legend_text_mm(len(table.cohorts))))
    more_mm = LINE_MM * legend.count("\n")
    panels = panel_grid(len(table.cohorts), head + height_mm + _BELOW_DECISION_MM + more_mm)
    lines: list[tuple[CellValue, ...]] = []
    empty, drawn = [], []
    shares = [held.prevalence for held in metrics.cohorts.values() if held.prevalence is not None]
    limits = plausible_thresholds(shares)
    for position, (panel, (name, rows)) in enumerate(zip(panels, table.cohorts.items(), strict=True)):
        axes, cohort = panel.axes(head, height_mm), judged_by(rows, chosen)
        measured = metrics.cohorts[name]
        note = ("calibration not shown",) if measured.scores[chosen].net_benefit_caution else ()
        note = note if calibrated else ("as given, not recalibrated",)
        panel_title(axes, position, len(panels), name, note)
        if reason := _why_no_probability(cohort, chosen, measured.scores[chosen]):
            say_why_empty(axes, reason)
            empty.append((name, reason))
        else:
            lines += [(name, *line) for line in _decision_panel(axes, chosen, legend, cohort, measured, rng, limits)]
            drawn.append(axes)
    _common_axes(drawn, limits, lines, shares)
    return Drawn(panels[0].figure, Rows(_DECISION_HEADER, tuple(lines)), tuple(empty))


def _class_legend(room_mm: float) -> list[str]:
    return [
        "\n".join(in_two_lines(text, room_mm)) for text in (f"{class_label(True)} (up)", f"{class_label(False)} (down)")
    ]


def _why_no_probability(cohort: CohortTable, score: str, measured: ScoreMetrics) -> str | None:
    if cohort.labels is None or score not in cohort.scores or measured.auc.value is None:
        return measured.auc.reason
    return not_probabilities(cohort.scores[score])


def _calibration_words(measured: ScoreMetrics) -> tuple[str, ...]:
    found = measured.calibration
    return (
        f"slope {number(found.slope, 2)}, intercept {number(found.intercept, 2)}",
        f"in the large {number(found.intercept_large, 2)}, Brier {number(measured.brier)}"
        f" (scaled {number(measured.brier_scaled, 2)})",
    )


def _fit_rows(measured: ScoreMetrics) -> list[tuple[CellValue, ...]]:
    fitted_line = measured.calibration
    limits = {"slope": (fitted_line.slope_low, fitted_line.slope_high)}
    values = {
        "slope": fitted_line.slope,
        "intercept": fitted_line.intercept,
        "in the large": fitted_line.intercept_large,
        "brier": measured.brier,
        "brier scaled": measured.brier_scaled,
    }
    return [(kind, *(None,) * 5, value, *limits.get(kind, (None, None))) for kind, value in values.items()]


def _calibration_panel(
    axes: Axes, below: Axes, labels: Bools, scores: Floats, patients: Patients, rng: np.random.Generator
) -> list[tuple[CellValue, ...]]:
    groups = calibration_curve(labels, scores, int(np.clip(len(scores) // _CASES_PER_GROUP, 2, 10)), patients)
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8, zorder=0)
    smooth = smooth_calibration(labels, scores, resample_counts(patients or len(scores), rng, _SMOOTHED))
    if smooth is not None:
        axes.fill_between(smooth.predicted, smooth.low, smooth.high, color=BLUE, alpha=0.16, linewidth=0)
        axes.plot(smooth.predicted, smooth.observed, color=BLUE, linewidth=1.3)
    _draw_groups(axes, groups)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="Observed share of positives")
    axes.set_yticks(*_SCALE)
    axes.set_xticks(_SCALE[0], [])
    bins = _draw_distribution(below, labels, scores)
    drawn = [
        ("group", None, None, group.n, round((group.observed.value or 0) * group.n), group.mean_probability,
         group.observed.value, group.observed.low, group.observed.high)
        for group in groups
    ]  # fmt: skip
    return [*drawn, *_smooth_rows(smooth), *bins]


def _smooth_rows(smooth: SmoothCalibration | None) -> list[tuple[CellValue, ...]]:
    if smooth is None:
        return []
    columns = np.column_stack([smooth.predicted, smooth.observed, smooth.low, smooth.high])
    return [
        ("smooth", None, None, None, None, *(float(value) if np.isfinite(value) else None for value in line))
        for line in columns
    ]


def _draw_groups(axes: Axes, groups: list[CalibrationGroup]) -> None:
    held = [group.observed for group in groups]
    value, low, high = (np.array([getattr(share, part) for share in held]) for part in ("value", "low", "high"))
    mean = [group.mean_probability for group in groups]
    spread = np.clip([value - low, high - value], 0, None)
    axes.errorbar(mean, value, yerr=spread, fmt="o", color=BLUE, markersize=3.5, elinewidth=0.8, capsize=0)


def _draw_distribution(axes: Axes, labels: Bools, scores: Floats) -> list[tuple[CellValue, ...]]:
    """Scores of the positives upwards, those of the negatives downwards."""
    edges = np.linspace(0, 1, _BINS + 1)
    up, down = np.histogram(scores[labels], edges)[0], np.histogram(scores[~labels], edges)[0]
    axes.bar(edges[:-1], up, 1 / _BINS, align="edge", color=VERMILLION, edgecolor="white", linewidth=0.3)
    axes.bar(edges[:-1], -down, 1 / _BINS, align="edge", color=SKY, edgecolor="white", linewidth=0.3)
    axes.axhline(0, color=GREY, linewidth=0.5)
    tallest = max(int(up.max()), int(down.max()), 1)
    axes.set(xlim=(-0.02, 1.02), ylim=(-1.15 * tallest, 1.15 * tallest), xlabel="Predicted probability", ylabel="Cases")
    axes.set_xticks(*_SCALE)
    axes.set_yticks([-tallest, 0, tallest], [str(tallest), "0", str(tallest)])
    return [
        ("bin", float(low), float(high), int(above + under), int(above), None, None, None, None)
        for low, high, above, under in zip(edges[:-1], edges[1:], up, down, strict=True)
    ]


def _decision_panel(
    axes: Axes,
    score: str,
    legend: str,
    cohort: CohortTable,
    measured: CohortMetrics,
    rng: np.random.Generator,
    limits: tuple[float, float],
) -> list[tuple[CellValue, ...]]:
    curve = measured.scores[score].net_benefit
    if curve is None or cohort.labels is None or measured.prevalence is None:
        return []
    band = net_benefit_band(
        cohort.labels, cohort.scores[score], resample_counts(cohort.patients or cohort.n, rng), cohort.patients
    )
    if band is None:
        return []
    shown = [at for at, point in enumerate(curve) if limits[0] - 1e-9 <= point.threshold <= limits[1] + 1e-9]
    threshold = [curve[at].threshold for at in shown]
    axes.plot(threshold, [curve[at].all for at in shown], color=GREY, linestyle=_DASHED, linewidth=1.0)
    axes.axhline(0, color=BLACK, linewidth=0.8)
    axes.fill_between(threshold, band.low[shown], band.high[shown], color=BLUE, alpha=0.16, linewidth=0)
    axes.plot(threshold, [curve[at].model for at in shown], color=BLUE, linewidth=1.5)
    axes.set(xlabel="Threshold probability", ylabel="Net benefit")
    handles = [
        Line2D([], [], color=BLUE, linewidth=1.5),
        Line2D([], [], color=GREY, linestyle=_DASHED),
        Line2D([], [], color=BLACK, linewidth=0.8),
    ]
    legend_below(axes, handles, [legend, "treat all", "treat none"])
    return [
        (score, point.threshold, point.model, _known(low), _known(high), point.all, point.none, *map(_known, less_all))
        for point, low, high, *less_all in zip(
            curve, band.low, band.high, band.less_all, band.less_all_low, band.less_all_high, strict=True
        )
    ]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def plausible_thresholds(prevalences: Sequence[float]) -> tuple[float, float]:
    """The range of threshold probabilities that is drawn: half the least to twice the greatest prevalence.

    At most 0.8: somebody who treats at a threshold far from the share of patients who have the condition would treat
    nobody, or all, without a model, and few cases score out there. Rounded outwards to 0.05; 0.05 to 0.8 without a
    prevalence.

    >>> plausible_thresholds([0.417, 0.375]), plausible_thresholds([0.06]), plausible_thresholds([])
    ((0.15, 0.8), (0.01, 0.15), (0.05, 0.8))
    """
    known = [share for share in prevalences if 0 < share < 1]
    if not known:
        return 0.05, _MOST_THRESHOLD
    low = max(np.floor(round(min(known) / 2 / 0.05, 6)) * 0.05, 0.01)
    high = min(np.ceil(round(2 * max(known) / 0.05, 6)) * 0.05, _MOST_THRESHOLD)
    return round(float(min(low, 0.5)), 2), round(float(high), 2)


def _common_axes(
    drawn: Sequence[Axes], limits: tuple[float, float], lines: Sequence[tuple[CellValue, ...]], shares: Sequence[float]
) -> None:
    """The same range of thresholds and of net benefit in every panel: from a little below nothing to the best."""
    inside = [line for line in lines if limits[0] - 1e-9 <= float(line[2] or 0) <= limits[1] + 1e-9]
    top = max([*(float(line[5] or 0) for line in inside), *shares, 0.01])
    for axes in drawn:
        axes.set_xlim(limits)
        axes.set_xticks([tick for tick in axes.get_xticks() if limits[0] - 1e-9 <= tick <= limits[1] + 1e-9])
        axes.set(xlim=limits, ylim=(-0.3 * top, 1.1 * top))
