"""Does the score tell the classes apart? Receiver operating characteristics, a panel for each cohort."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from sklearn.metrics import roc_curve

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.metrics_record import CohortMetrics, Metrics
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.subsets import judged_by
from autodls.records.formatting import estimate
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
from autodls.report.figures.style import GREY, PALE, series_style, styled
from autodls.report.figures.text_width import in_two_lines, width_mm
from autodls.report.naming import class_label, score_label

_HEADER = (
    "cohort", "score", "kind", "threshold", "false_positive_rate", "true_positive_rate", "auc", "auc_low", "auc_high",
    "n", "positives",
)  # fmt: skip
_BELOW_MM = 15.0


@styled
def roc_figure(table: ScoreTable, metrics: Metrics) -> Drawn:
    """ROC curves of all scores in every cohort, with AUC (95 % CI) and a dot at the locked cut-off.

    Each curve is of all cases that have its score. `metrics` are those of `table`. The rows hold the corners of each
    curve and the operating point at the cut-off.
    """
    side_mm = plot_width_mm(len(table.cohorts))
    room_mm = legend_text_mm(len(table.cohorts))
    legends = {name: _legend(metrics.cohorts[name], room_mm) for name in table.cohorts}
    longest = max((sum(1 + label.count("\n") for label in one) for one in legends.values()), default=0)
    head = head_mm(table.cohorts)
    panels = panel_grid(len(table.cohorts), head + side_mm + _BELOW_MM + LINE_MM * longest)
    lines: list[tuple[CellValue, ...]] = []
    empty = []
    for position, (panel, (name, cohort)) in enumerate(zip(panels, table.cohorts.items(), strict=True)):
        axes = panel.axes(head, side_mm)
        measured = metrics.cohorts[name]
        counts = "" if cohort.labels is None else f"{measured.positives} of {measured.n} {class_label(True)}"
        panel_title(axes, position, len(panels), name, (counts,) if counts else ())
        if reason := measured.scores[metrics.reference].auc.reason if _nothing(cohort, measured) else None:
            say_why_empty(axes, reason)
            empty.append((name, reason))
            continue
        lines += _panel(axes, name, cohort, measured, legends[name])
    return Drawn(panels[0].figure, Rows(_HEADER, tuple(lines)), tuple(empty))


def _nothing(cohort: CohortTable, measured: CohortMetrics) -> bool:
    return cohort.labels is None or all(score.auc.value is None for score in measured.scores.values())


def _panel(
    axes: Axes, name: str, cohort: CohortTable, measured: CohortMetrics, labels: Sequence[str]
) -> list[tuple[CellValue, ...]]:
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8, zorder=0)
    lines: list[tuple[CellValue, ...]] = []
    handles = []
    for order, score in enumerate(measured.scores):
        held, of_score = judged_by(cohort, score), measured.scores[score]
        style = series_style(order)
        handles.append(Line2D([], [], **style))  # type: ignore[arg-type]
        if held.labels is None or not held.n or of_score.auc.value is None:
            continue
        corners = roc_corners(held.labels, held.scores[score])
        axes.plot(corners[1], corners[2], **style)  # type: ignore[arg-type]
        auc = (of_score.auc.value, of_score.auc.low, of_score.auc.high, held.n, int(held.labels.sum()))
        lines += [
            (name, score, "curve", None if np.isinf(cut) else cut, fpr, tpr, *auc)
            for cut, fpr, tpr in corners.T.tolist()
        ]
        if of_score.specificity.value is not None and of_score.sensitivity.value is not None:
            point = (1 - of_score.specificity.value, of_score.sensitivity.value)
            axes.scatter(*point, s=14, color=style["color"], edgecolor="white", linewidth=0.5, zorder=20)
            lines.append((name, score, "cut-off", of_score.cutoff.value, *point, *auc))
    _frame(axes)
    legend_below(axes, handles, labels, title="AUC (95% CI)")
    return lines


def _legend(measured: CohortMetrics, room_mm: float) -> list[str]:
    return [_label(score, estimate(held.auc), room_mm) for score, held in measured.scores.items()]


def _label(score: str, auc: str, room_mm: float) -> str:
    """Name and AUC of a score on one line, or the AUC below a name that leaves it no room."""
    name = in_two_lines(score_label(score), room_mm)
    line = f"{name[0]}  {auc}"
    return line if len(name) == 1 and width_mm(line) <= room_mm else "\n".join([*name, auc])


def _frame(axes: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="1 \N{MINUS SIGN} specificity", ylabel="Sensitivity")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.tick_params(color=GREY)


def roc_corners(labels: Bools, scores: Floats) -> Floats:
    """Thresholds, false and true positive rates (3, corners), from none called positive to all.

    Points on a straight line between their neighbours are left out.

    >>> roc_corners(np.array([False, True]), np.array([0.2, 0.7]))[1:].tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    false_positive, true_positive, threshold = roc_curve(labels, scores, drop_intermediate=True)
    return np.asarray(np.stack([threshold, false_positive, true_positive]), dtype=np.float64)
