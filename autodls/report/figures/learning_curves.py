"""Learning curves: the losses of every network by epoch, beside those of a guess."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from autodls.records.model_folders import FoldFolder
from autodls.records.training_log import LoggedStage, log_lines, logged_stages
from autodls.report.drawn import save_png, svg_of
from autodls.report.figures.style import (
    BLUE,
    GREY,
    ONE_COLUMN_MM,
    PALE,
    TWO_COLUMNS_MM,
    VERMILLION,
    new_figure,
    styled,
)
from autodls.report.figures.text_width import in_two_lines
from autodls.report.naming import sequence_label

_PLOT_MM, _LEFT_MM, _BETWEEN_MM, _RIGHT_MM = 24.0, 13.0, 4.0, 3.0
_HEAD_MM, _FOOT_MM, _LEGEND_MM = 9.0, 9.0, 6.0
_NARROWEST_MM, _WIDEST_MM, _TITLE_LINE_MM = 24.0, 52.0, 3.3
_LEAST_LOSS = 1e-4  # smaller ones are drawn here: there is nothing more to see
_DASHES, _DOTS = (0, (4, 1.2)), (0, (1.2, 1.2))
_CLOSE, _FAR_APART = 5.0, 50.0  # highest over lowest loss

Folds = Mapping[int, Sequence[LoggedStage]]


def draw_learning_curve(folder: FoldFolder, fold: int) -> None:
    """Draw learning_curve.png of `folder` from its log, if that holds an epoch; the same log gives the same bytes."""
    stages = [stage for stage in logged_stages(log_lines(folder.log)) if stage.epochs]
    if stages:
        save_png(folder.learning_curve, learning_figure({fold: stages}))


def learning_svg(folds: Folds) -> bytes:
    """`learning_figure` as SVG."""
    return svg_of(learning_figure(folds))


@styled
def learning_figure(folds: Folds) -> Figure:
    """A row for each fold and a column for each of its networks, all on one scale of the loss, which is logarithmic.

    Training loss solid, that of the early-stopping set dashed with a dot at the epoch that was kept, the guess's level
    on that set as a grey line. A network that has not learnt is named in the head of its panel.
    """
    columns = max(len(stages) for stages in folds.values())
    room_mm = TWO_COLUMNS_MM - _LEFT_MM - _RIGHT_MM
    plot_mm = min(_WIDEST_MM, max(_NARROWEST_MM, (room_mm - (columns - 1) * _BETWEEN_MM) / columns))
    width_mm = max(ONE_COLUMN_MM, _LEFT_MM + columns * (plot_mm + _BETWEEN_MM) - _BETWEEN_MM + _RIGHT_MM)
    titles = [_title(stage, fold, plot_mm) for fold, stages in folds.items() for stage in stages]
    row_mm = _HEAD_MM + _PLOT_MM + _FOOT_MM + _TITLE_LINE_MM * (max(map(len, titles)) - 1)
    height_mm = len(folds) * row_mm + _LEGEND_MM
    figure = new_figure(width_mm, height_mm)
    limits = _limits([stage for stages in folds.values() for stage in stages])
    for row, (fold, stages) in enumerate(folds.items()):
        for column, stage in enumerate(stages):
            left_mm = _LEFT_MM + column * (plot_mm + _BETWEEN_MM)
            bottom_mm = height_mm - (row + 1) * row_mm + _FOOT_MM
            axes = figure.add_axes(
                (left_mm / width_mm, bottom_mm / height_mm, plot_mm / width_mm, _PLOT_MM / height_mm)
            )
            _panel(axes, stage, fold, plot_mm)
            _frame(axes, limits, first=column == 0, last=row == len(folds) - 1)
    _legend(figure, width_mm, height_mm)
    return figure


def _title(stage: LoggedStage, fold: int, plot_mm: float) -> list[str]:
    return in_two_lines(f"Fold {fold}  {sequence_label(stage.stage)}", plot_mm / 1.1, bold=True)


def _panel(axes: Axes, stage: LoggedStage, fold: int, plot_mm: float) -> None:
    numbers = [epoch.epoch + 1 for epoch in stage.epochs]
    inner = [_shown(epoch.inner_loss) for epoch in stage.epochs]
    marker = "." if len(numbers) == 1 else ""
    axes.plot(numbers, [_shown(epoch.train_loss) for epoch in stage.epochs], color=BLUE, marker=marker)
    axes.plot(numbers, inner, color=VERMILLION, linestyle=_DASHES, marker=marker)
    judged = stage.judgement
    if (kept := stage.kept) is not None:
        axes.scatter(kept.epoch + 1, _shown(kept.inner_loss), s=12, color=VERMILLION, linewidth=0, zorder=20)
    fault = judged.fault if judged is not None else None
    pad_pt = 12.0 if fault else 3.0
    axes.set_title("\n".join(_title(stage, fold, plot_mm)), fontweight="bold", pad=pad_pt)
    if fault:
        axes.annotate(fault, (0, 1), (0, 4.0), "axes fraction", "offset points", color=VERMILLION, fontweight="bold")
    if judged is not None:
        axes.axhline(_shown(judged.guess_inner_loss), color=GREY, linewidth=0.8, linestyle=_DOTS, zorder=1)
    axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)


def _frame(axes: Axes, limits: tuple[float, float], *, first: bool, last: bool) -> None:
    axes.set_yscale("log")
    axes.set_ylim(limits)
    ticks = _ticks(*limits)
    axes.set_yticks(ticks, [f"{tick:g}" if first else "" for tick in ticks])
    axes.minorticks_off()
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.tick_params(color=GREY)
    axes.grid(axis="y", color=PALE, linewidth=0.4)
    axes.set_axisbelow(True)
    if first:
        axes.set_ylabel("Mean loss")
    if last:
        axes.set_xlabel("Epoch", labelpad=2.0)


def _limits(stages: Sequence[LoggedStage]) -> tuple[float, float]:
    """Lowest and highest loss of all networks and their guesses, with a little room."""
    epochs = [epoch for stage in stages for epoch in stage.epochs]
    shown = [_shown(loss) for epoch in epochs for loss in (epoch.train_loss, epoch.inner_loss)]
    shown += [_shown(stage.judgement.guess_inner_loss) for stage in stages if stage.judgement is not None]
    low, high = min(shown) / 1.25, max(shown) * 1.25
    spare = max(1.0, math.sqrt(_CLOSE / (high / low)))
    return low / spare, high * spare


def _ticks(low: float, high: float) -> list[float]:
    """Some of 0.01, 0.02, 0.05, 0.1 and so on between the limits, powers of ten alone where those are far apart."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < _FAR_APART else (1,)
    return [tick for power in powers for step in steps if low <= (tick := step * 10.0**power) <= high]


def _shown(loss: float) -> float:
    return max(loss, _LEAST_LOSS)


def _legend(figure: Figure, width_mm: float, height_mm: float) -> None:
    handles = [
        Line2D([], [], color=BLUE),
        Line2D([], [], color=VERMILLION, linestyle=_DASHES),
        Line2D([], [], color=VERMILLION, marker="o", markersize=3.5, linestyle=""),
        Line2D([], [], color=GREY, linewidth=0.8, linestyle=_DOTS),
    ]
    labels = ["training", "early stopping", "epoch kept", "a guess"]
    place = (_LEFT_MM / width_mm, 1.5 / height_mm)
    figure.legend(
        handles, labels, loc="lower left", bbox_to_anchor=place, ncols=4, borderaxespad=0.0, columnspacing=1.2
    )
