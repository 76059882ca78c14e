"""Do patients with a high score fare differently? Kaplan-Meier curves with the number at risk."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from autodls.evaluation.delong import Bools, Floats
from autodls.evaluation.results import CohortMetrics, Metrics, Survival
from autodls.evaluation.scores_table import CohortTable, ScoreTable
from autodls.evaluation.subsets import followed_by
from autodls.evaluation.survival import KaplanMeier, kaplan_meier
from autodls.evaluation.tied_times import reaches
from autodls.report.drawn import Cell, Drawn, Rows
from autodls.report.panels import (
    TITLE_MM,
    legend_below,
    panel_grid,
    panel_title,
    plot_width_mm,
    say_why_empty,
)
from autodls.report.style import BLUE, VERMILLION, styled
from autodls.report.text_width import fitted
from autodls.report.wording import p_equation, with_limits

_HEADER = ("cohort", "group", "kind", "time", "value", "low", "high", "n")
_GAP_MM, _AT_RISK_MM, _LEGEND_MM = 9.5, 11.0, 9.5
_COLOURS = {"high": VERMILLION, "low": BLUE}
_DASHES = {"high": (0, (5, 1.2)), "low": "-"}


@dataclass(frozen=True)
class _Group:
    name: str
    times: Floats
    events: Bools


@styled
def survival_figure(
    table: ScoreTable, metrics: Metrics, unit: str = "", endpoint: str = "Survival", groups: str = "score"
) -> Drawn:
    """Kaplan-Meier curves above and below the cut-off of the reference, with log-log bands, in every cohort.

    Every patient is one record, of several rows the mean score.

    `unit` is that of time, such as "months"; `endpoint` names what is survived; `groups` names the score in the
    legend. Above each panel stand the Cox hazard ratio, high over low, and the log-rank P; below, the numbers at risk.
    Rows are points of the curves, censored times, numbers at risk, events and tests, by kind.
    """
    height_mm = 0.85 * plot_width_mm(len(table.cohorts))
    panels = panel_grid(len(table.cohorts), TITLE_MM + height_mm + _GAP_MM + _AT_RISK_MM + _LEGEND_MM)
    lines: list[tuple[Cell, ...]] = []
    empty = []
    for position, (panel, (name, rows)) in enumerate(zip(panels, table.cohorts.items(), strict=True)):
        axes, cohort = panel.axes(TITLE_MM, height_mm), followed_by(rows, metrics.reference)
        measured = metrics.cohorts[name]
        reason = _why_empty(cohort, measured, metrics.reference)
        panel_title(axes, position, len(panels), name, () if reason else survival_words(measured.survival))
        if reason:
            say_why_empty(axes, reason)
            empty.append((name, reason))
            continue
        below = panel.axes(TITLE_MM + height_mm + _GAP_MM, _AT_RISK_MM)
        drawn = _panel(axes, below, _split(cohort, measured, metrics.reference), groups)
        axes.set(xlabel=f"Time ({fitted(unit, 25)})" if unit else "Time", ylabel=fitted(endpoint, height_mm))
        lines += [(name, *line) for line in (*drawn, *_tests(measured.survival))]
    return Drawn(panels[0].figure, Rows(_HEADER, tuple(lines)), tuple(empty))


def survival_words(survival: Survival | None) -> tuple[str, ...]:
    """Hazard ratio and log-rank P, a line each, as they stand above the curves."""
    if survival is None:
        return ()
    cox = survival.cox
    firth = " (Firth)" if cox.method == "firth-profile" else ""
    ratio = f"HR {with_limits(cox.hr, cox.low, cox.high, 2)}{firth}" if cox.hr is not None else f"no HR: {cox.reason}"
    test = survival.logrank
    return ratio, f"log-rank {p_equation(test.p)}" if test.p is not None else f"no log-rank test: {test.reason}"


def _tests(survival: Survival | None) -> list[tuple[Cell, ...]]:
    if survival is None:
        return []
    cox, test = survival.cox, survival.logrank
    ratio = (None, f"hazard ratio, {cox.method}", None, cox.hr, cox.low, cox.high, None)
    return [ratio, (None, "log-rank P", None, test.p, None, None, None)]


def _why_empty(cohort: CohortTable, measured: CohortMetrics, reference: str) -> str | None:
    if cohort.times is None or cohort.events is None:
        return "no case of the cohort has follow-up"
    if not cohort.n:
        return "there are no cases"
    if reference not in cohort.scores:
        return "no case of the cohort has this score"
    return measured.scores[reference].cutoff.reason if measured.scores[reference].cutoff.value is None else None


def _split(cohort: CohortTable, measured: CohortMetrics, reference: str) -> list[_Group]:
    cutoff = measured.scores[reference].cutoff.value
    if cohort.times is None or cohort.events is None or cutoff is None:
        return []
    high = cohort.scores[reference] >= cutoff
    members = {"low": ~high, "high": high}
    return [_Group(name, cohort.times[held], cohort.events[held]) for name, held in members.items() if held.any()]


def _panel(axes: Axes, below: Axes, groups: list[_Group], label: str) -> list[tuple[Cell, ...]]:
    end = max(float(group.times.max()) for group in groups) or 1.0
    ticks = [tick for tick in MaxNLocator(5, steps=[1, 2, 3, 5, 6, 10]).tick_values(0, end) if 0 <= tick <= end]
    lines = []
    for group in groups:
        curve = kaplan_meier(group.times, group.events)
        _draw_curve(axes, group, curve)
        lines += _curve_rows(group, curve)
        lines.append((group.name, "events", None, int(group.events.sum()), None, None, len(group.times)))
        lines += [(group.name, "at risk", t, None, None, None, int(reaches(group.times, t).sum())) for t in ticks]
    axes.set(xlim=(-0.03 * end, 1.03 * end), ylim=(-0.02, 1.02))
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    _number_at_risk(below, groups, ticks, axes.get_xlim())
    handles = [Line2D([], [], color=_COLOURS[group.name], linestyle=_DASHES[group.name]) for group in groups]
    events = [
        f"{fitted(label, 15)} {group.name}: {int(group.events.sum())} events of {len(group.times)}" for group in groups
    ]
    legend_below(below, handles, events, gap_mm=1.0)
    return lines


def _draw_curve(axes: Axes, group: _Group, curve: KaplanMeier) -> None:
    colour = _COLOURS[group.name]
    axes.fill_between(curve.times, curve.low, curve.high, step="post", color=colour, alpha=0.14, linewidth=0)
    axes.step(curve.times, curve.survival, where="post", color=colour, linestyle=_DASHES[group.name], linewidth=1.3)
    censored = np.unique(group.times[~group.events])
    axes.plot(censored, _survival_at(curve, censored), "|", color=colour, markersize=4, markeredgewidth=0.7)


def _survival_at(curve: KaplanMeier, times: Floats) -> Floats:
    return curve.survival[np.searchsorted(curve.times, times, side="right") - 1]


def _curve_rows(group: _Group, curve: KaplanMeier) -> list[tuple[Cell, ...]]:
    parts = (curve.times, curve.survival, curve.low, curve.high, curve.at_risk)
    censored = np.unique(group.times[~group.events])
    return [
        *(
            (
                group.name,
                "curve",
                time,
                share,
                None if np.isnan(low) else low,
                None if np.isnan(high) else high,
                int(risk),
            )
            for time, share, low, high, risk in zip(*(part.tolist() for part in parts), strict=True)
        ),
        *(
            (group.name, "censored", time, share, None, None, None)
            for time, share in zip(censored.tolist(), _survival_at(curve, censored).tolist(), strict=True)
        ),
    ]


def _number_at_risk(axes: Axes, groups: list[_Group], ticks: list[float], limits: tuple[float, float]) -> None:
    axes.set_axis_off()
    axes.set(xlim=limits, ylim=(0, 3))
    axes.text(0, 1.0, "Number at risk", transform=axes.transAxes, va="top", fontweight="bold")
    for row, group in enumerate(groups):
        height = 1.6 - row
        axes.annotate(
            group.name,
            (0, height),
            (-9, 0),
            axes.get_yaxis_transform(),
            "offset points",
            ha="right",
            va="center_baseline",
            color=_COLOURS[group.name],
        )
        for tick in ticks:
            axes.text(tick, height, str(int(reaches(group.times, tick).sum())), ha="center", va="center_baseline")
