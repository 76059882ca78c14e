"""Do patients with a high score fare differently? Kaplan-Meier curves with the number at risk."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.metrics_record import CohortMetrics, Metrics
from autodls.evaluation.results import Survival
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.subsets import followed_by
from autodls.evaluation.survival import KaplanMeier, group_survival, kaplan_meier
from autodls.evaluation.tied_times import reaches
from autodls.records.formatting import DASH, NOT_REACHED, number, p_equation, with_limits
from autodls.records.words import plural
from autodls.report.drawn import CellValue, Drawn, Rows
from autodls.report.figures.panels import (
    head_mm,
    legend_below,
    legend_text_mm,
    panel_grid,
    panel_title,
    plot_width_mm,
    say_why_empty,
)
from autodls.report.figures.style import BLUE, VERMILLION, styled
from autodls.report.figures.text_width import fitted, wrapped
from autodls.report.naming import endpoint_label, unit_label

_HEADER = ("cohort", "group", "kind", "time", "value", "low", "high", "n")
_GAP_MM, _AT_RISK_MM, _LEGEND_MM, _LEGEND_LINE_MM = 9.5, 11.0, 3.7, 3.2
_BESIDE_MM = 16.0  # by which the label of the axis may be longer than the axis
_MOST_STEPS = 6
_MONTHS = (1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 36.0, 60.0)
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
    legend. Above each panel stand the Cox hazard ratio, high over low, the log-rank P and the median follow-up; below,
    the numbers at risk and each group's events and median. All panels share one step of time, that of the cohort
    which is followed longest. Rows are points of the curves, censored times, numbers at risk, events, medians and
    tests, by kind.
    """
    followed = [float(one.times.max()) for one in table.cohorts.values() if one.n and one.times is not None]
    step = time_step(max(followed, default=1.0), unit or unit_label(""))
    height_mm = 0.85 * plot_width_mm(len(table.cohorts))
    unit = unit_label(unit)
    words = {name: survival_words(metrics.cohorts[name].survival, unit) for name in table.cohorts}
    groups_of = {name: _groups(rows, metrics, name) for name, rows in table.cohorts.items()}
    legends = {name: _legend(held, (groups, unit), len(table.cohorts)) for name, held in groups_of.items()}
    longest = max((sum(1 + text.count("\n") for text in one) for one in legends.values()), default=0)
    head, below_mm = head_mm(table.cohorts, words.values()), _AT_RISK_MM + _LEGEND_MM + _LEGEND_LINE_MM * longest
    panels = panel_grid(len(table.cohorts), head + height_mm + _GAP_MM + below_mm)
    lines: list[tuple[CellValue, ...]] = []
    empty = []
    for position, (panel, (name, rows)) in enumerate(zip(panels, table.cohorts.items(), strict=True)):
        axes, cohort = panel.axes(head, height_mm), followed_by(rows, metrics.reference)
        measured = metrics.cohorts[name]
        reason = _why_empty(cohort, measured, metrics.reference)
        panel_title(axes, position, len(panels), name, () if reason else words[name])
        if reason:
            say_why_empty(axes, reason)
            empty.append((name, reason))
            continue
        below = panel.axes(head + height_mm + _GAP_MM, _AT_RISK_MM)
        drawn = _panel(axes, below, groups_of[name], step, legends[name])
        axes.set(xlabel=f"Time ({fitted(unit, 25)})" if unit else "Time")
        axes.set_ylabel(fitted(endpoint_label(endpoint), height_mm + _BESIDE_MM))
        lines += [(name, *line) for line in (*drawn, *_tests(measured.survival))]
    return Drawn(panels[0].figure, Rows(_HEADER, tuple(lines)), tuple(empty))


def time_step(end: float, unit: str = "") -> float:
    """The step of the axis of time and of the numbers at risk: at most six steps to `end`; months by parts of a year.

    >>> [time_step(end, "months") for end in (27.0, 30.1, 66.0)], [time_step(end, "days") for end in (27.0, 900.0)]
    ([6.0, 6.0, 12.0], [5.0, 200.0])
    """
    if end <= 0:
        return 1.0
    power = float(10.0 ** np.floor(np.log10(end / _MOST_STEPS)))
    usual = [power * first for first in (1, 2, 5, 10)]
    steps = _MONTHS if unit == "months" and _MONTHS[0] <= end / _MOST_STEPS <= _MONTHS[-1] else usual
    return next(step for step in steps if end / step <= _MOST_STEPS)


def survival_words(survival: Survival | None, unit: str = "") -> tuple[str, ...]:
    """Hazard ratio, log-rank P and median follow-up, a line each, as they stand above the curves."""
    if survival is None:
        return ()
    cox = survival.cox
    follow_up = f"median follow-up {with_unit(survival.median_follow_up, unit)}"
    if cox.reason and cox.reason == survival.logrank.reason:
        return "no HR, no log-rank test:", cox.reason, follow_up
    firth = " (Firth)" if cox.method == "firth-profile" else ""
    ratio = f"HR {with_limits(cox.hr, cox.low, cox.high, 2)}{firth}" if cox.hr is not None else f"no HR: {cox.reason}"
    test = survival.logrank
    tested = f"log-rank {p_equation(test.p)}" if test.p is not None else f"no log-rank test: {test.reason}"
    return ratio, tested, follow_up


def with_unit(value: float | None, unit: str) -> str:
    """A time with its unit, "not reached" where there is none.

    >>> with_unit(20.6, "months"), with_unit(None, "months")
    ('20.6 months', 'not reached')
    """
    return "not reached" if value is None else f"{number(value, 1)} {unit}".rstrip()


def _tests(survival: Survival | None) -> list[tuple[CellValue, ...]]:
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


def _groups(rows: CohortTable, metrics: Metrics, name: str) -> list[_Group]:
    """The groups that are drawn; none where a panel says why it is empty."""
    cohort, measured = followed_by(rows, metrics.reference), metrics.cohorts[name]
    return [] if _why_empty(cohort, measured, metrics.reference) else _split(cohort, measured, metrics.reference)


def _split(cohort: CohortTable, measured: CohortMetrics, reference: str) -> list[_Group]:
    cutoff = measured.scores[reference].cutoff.value
    if cohort.times is None or cohort.events is None or cutoff is None:
        return []
    high = cohort.scores[reference] >= cutoff
    members = {"low": ~high, "high": high}
    return [_Group(name, cohort.times[held], cohort.events[held]) for name, held in members.items() if held.any()]


def _panel(
    axes: Axes, below: Axes, groups: list[_Group], step: float, legend: list[str]
) -> list[tuple[CellValue, ...]]:
    end = max(float(group.times.max()) for group in groups) or step
    ticks = (step * np.arange(int(end / step + 1e-9) + 1)).round(9).tolist()
    lines = []
    for group in groups:
        curve = kaplan_meier(group.times, group.events)
        _draw_curve(axes, group, curve)
        lines += _curve_rows(group, curve)
        lines.append((group.name, "events", None, int(group.events.sum()), None, None, len(group.times)))
        found = group_survival(group.times, group.events)
        lines.append((group.name, "median", found.median, 0.5, found.median_low, found.median_high, None))
        lines += [(group.name, "at risk", t, None, None, None, int(reaches(group.times, t).sum())) for t in ticks]
    axes.set(xlim=(-0.03 * end, 1.03 * end), ylim=(-0.02, 1.02))
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    _number_at_risk(below, groups, ticks, axes.get_xlim())
    handles = [Line2D([], [], color=_COLOURS[group.name], linestyle=_DASHES[group.name]) for group in groups]
    legend_below(below, handles, legend, gap_mm=1.0)
    return lines


def _legend(groups: Sequence[_Group], words: tuple[str, str], panels: int) -> list[str]:
    """Name, events and median with its interval of each group; `words` are the name of the score and the unit."""
    (label, unit), room_mm, texts = words, legend_text_mm(panels), []
    for group in groups:
        found = group_survival(group.times, group.events)
        limits = [NOT_REACHED if limit is None else number(limit, 1) for limit in (found.median_low, found.median_high)]
        in_unit = f" {fitted(unit, 20)}" if unit else ""
        median = NOT_REACHED if found.median is None else f"{number(found.median, 1)}{in_unit}"
        head = f"{label} {group.name}: {plural(found.events, 'event')} of {found.n}"
        lines = [*wrapped(head, room_mm, ""), *wrapped(f"median {median} (95% CI {DASH.join(limits)})", room_mm, "")]
        texts.append("\n".join(lines))
    return texts


def _draw_curve(axes: Axes, group: _Group, curve: KaplanMeier) -> None:
    colour = _COLOURS[group.name]
    axes.fill_between(curve.times, curve.low, curve.high, step="post", color=colour, alpha=0.14, linewidth=0)
    axes.step(curve.times, curve.survival, where="post", color=colour, linestyle=_DASHES[group.name], linewidth=1.3)
    censored = np.unique(group.times[~group.events])
    axes.plot(censored, _survival_at(curve, censored), "|", color=colour, markersize=4, markeredgewidth=0.7)


def _survival_at(curve: KaplanMeier, times: Floats) -> Floats:
    return curve.survival[np.searchsorted(curve.times, times, side="right") - 1]


def _curve_rows(group: _Group, curve: KaplanMeier) -> list[tuple[CellValue, ...]]:
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
