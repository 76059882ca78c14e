"""The learning curve of a candidate: what was measured on subsets, and where it may go with more patients."""

from autodls.analysis.patients_results import PatientsBenchmark
from autodls.report.drawn import Drawn
from autodls.report.figures.style import BLUE, GREY, INK, ONE_COLUMN_MM, PALE, VERMILLION, new_figure, styled
from autodls.report.tables.patients import patients_table

_HEIGHT_MM = 66.0


@styled
def patients_figure(found: PatientsBenchmark) -> Drawn:
    """Points with the scatter of their subsets, and a band a number of patients that the curve is drawn on to."""
    figure = new_figure(ONE_COLUMN_MM, _HEIGHT_MM)
    axes = figure.add_axes((0.15, 0.17, 0.81, 0.67))
    sizes = [point.n for point in found.points]
    axes.axhline(0.5, color=PALE, linewidth=0.8, zorder=0)
    axes.plot(sizes, [point.auc for point in found.points], color=BLUE, marker="s", markersize=3.5, label="measured")
    for point in found.points:
        axes.plot([point.n, point.n], [point.low, point.high], color=BLUE, linewidth=1.0)
    on, aucs = [one.n for one in found.expected], [one.auc for one in found.expected]
    low, middle, high = ([getattr(auc, name) for auc in aucs] for name in ("low", "value", "high"))
    axes.fill_between(on, low, high, color=VERMILLION, alpha=0.15, linewidth=0, label="95% band")
    axes.plot(on, middle, color=VERMILLION, linestyle=(0, (5, 1.5)), marker="D", markersize=3.5, label="drawn on")
    if found.ceiling is not None:
        axes.axhline(found.ceiling.auc, color=INK, linewidth=0.8, linestyle=(0, (1.5, 1.2)), label="label noise")
    axes.set_xscale("log")
    ticks = sorted({sizes[0], *on, sizes[len(sizes) // 2]})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    lowest = min(0.45, *low, *(point.low for point in found.points))
    axes.set(ylim=(max(0.0, lowest - 0.02), 1.0), xlabel="Cases learned from (log scale)", ylabel="AUC")
    axes.tick_params(color=GREY)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False)
    return Drawn(figure, patients_table(found).rows)
