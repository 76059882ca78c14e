"""Forest plot of the candidates: out-of-fold AUC with interval, a dot a fold, and what was chosen below them."""

from matplotlib.axes import Axes

from autodls.analysis.comparison_results import Comparison, DecisionCurves
from autodls.evaluation.results import Auc
from autodls.records.formatting import estimate
from autodls.report.drawn import CellValue, Drawn, Rows
from autodls.report.figures.probability import plausible_thresholds
from autodls.report.figures.style import (
    BLACK,
    BLUE,
    GREY,
    PALE,
    TWO_COLUMNS_MM,
    VERMILLION,
    new_figure,
    series_style,
    styled,
)
from autodls.report.figures.text_width import in_two_lines

_HEADER = ("row", "what", "fold", "auc", "low", "high")
_DECISION = ("candidate", "threshold", "net_benefit", "treat_all")
_ROW_MM = 7.0
_ABOVE_MM, _BELOW_MM = 3.0, 12.0
_NAMES = 0.22  # of the width
NESTED = "nested choice"


@styled
def candidates_figure(found: Comparison) -> Drawn:
    """A line a candidate, and one for whatever each fold chose in its training part."""
    rows: list[tuple[str, Auc, list[tuple[int, float]]]] = [
        (name, one.auc, [(fold.fold, fold.auc) for fold in one.folds if fold.auc is not None])
        for name, one in found.candidates.items()
    ]
    rows.append((NESTED, found.chosen.auc, []))
    height_mm = _ABOVE_MM + _ROW_MM * len(rows) + _BELOW_MM
    figure = new_figure(TWO_COLUMNS_MM, height_mm)
    axes = figure.add_axes((_NAMES, _BELOW_MM / height_mm, 0.5, _ROW_MM * len(rows) / height_mm))
    axes.axvline(0.5, color=PALE, linewidth=0.8, zorder=0)
    lines: list[tuple[CellValue, ...]] = []
    for at, (name, auc, folds) in enumerate(rows):
        lines += _row(axes, len(rows) - 1 - at, name, auc, folds)
    axes.set(xlim=(0, 1), ylim=(-0.7, len(rows) - 0.3), xlabel="AUC out of fold (95% CI); small dots are single folds")
    names = ["\n".join(in_two_lines(name, _NAMES * TWO_COLUMNS_MM - 4)) for name, _, _ in reversed(rows)]
    axes.set_yticks(range(len(rows)), names)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return Drawn(figure, Rows(_HEADER, tuple(lines)))


@styled
def candidates_decision_figure(found: DecisionCurves, prevalence: float) -> Drawn:
    """Net benefit of the integrated candidate beside its parts, treating all and none, over `plausible_thresholds`."""
    figure = new_figure(TWO_COLUMNS_MM, 70.0)
    axes = figure.add_axes((0.1, 0.16, 0.62, 0.78))
    low, high = plausible_thresholds([prevalence])
    shown = [at for at, one in enumerate(found.thresholds) if low - 1e-9 <= one <= high + 1e-9]
    thresholds = [found.thresholds[at] for at in shown]
    axes.plot(
        thresholds, [found.treat_all[at] for at in shown], color=GREY, linestyle=":", linewidth=1.0, label="treat all"
    )
    axes.axhline(0, color=BLACK, linewidth=0.8, label="treat none")
    lines: list[tuple[CellValue, ...]] = []
    for at, (name, values) in enumerate(found.net_benefit.items()):
        style = series_style(at)
        axes.plot(thresholds, [values[place] for place in shown], label=name, **style)  # type: ignore[arg-type]
        lines += [(name, one, value, all_) for one, value, all_ in
                  zip(found.thresholds, values, found.treat_all, strict=True)]  # fmt: skip
    best = max(values[place] for values in found.net_benefit.values() for place in shown)
    axes.set(xlabel="Threshold probability", ylabel="Net benefit", ylim=(-0.15 * best - 0.02, 1.1 * best + 0.02))
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return Drawn(figure, Rows(_DECISION, tuple(lines)))


def _row(axes: Axes, height: int, name: str, auc: Auc, folds: list[tuple[int, float]]) -> list[tuple[CellValue, ...]]:
    colour = VERMILLION if name == NESTED else BLUE
    axes.scatter([one for _, one in folds], [height - 0.28] * len(folds), s=5, color=GREY, linewidth=0, clip_on=False)
    if auc.value is not None:
        if auc.low is not None and auc.high is not None:
            axes.plot([auc.low, auc.high], [height, height], color=colour, linewidth=1.3, zorder=3)
        axes.scatter([auc.value], [height], s=22, marker="D" if name == NESTED else "s", color=colour, zorder=4)
    axes.text(1.03, height, estimate(auc), va="center", transform=axes.get_yaxis_transform())
    pooled: tuple[CellValue, ...] = (name, "pooled", None, auc.value, auc.low, auc.high)
    return [pooled, *((name, "fold", fold, value, None, None) for fold, value in folds)]
