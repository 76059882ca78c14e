"""Who entered the study and who did not: the flow of cases from the table to the cohorts.

Source of the form: Collins et al. TRIPOD+AI statement. BMJ 2024;385:e078378, item 20a (flow of participants).
"""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from autodls.analysis.cohort_flow import Flow, FlowCohort
from autodls.records.formatting import counted
from autodls.report.drawn import CellValue, Drawn, Rows
from autodls.report.figures.style import BLUE, GREY, INK, ONE_COLUMN_MM, TWO_COLUMNS_MM, new_figure, styled
from autodls.report.figures.text_width import fitted, in_two_lines, wrapped
from autodls.report.naming import class_label, cohort_label

_HEADER = ("box", "cohort", "what", "n")
_MARGIN_MM, _GAP_MM, _LINE_MM, _PAD_MM = 2.0, 9.0, 3.4, 1.8
_LEFT_MM, _APART_MM, _WIDEST_MM, _TRUNK_WIDTH_MM, _RAIL_MM = 8.0, 4.0, 84.0, 75.0, 3.5
_TRUNK_MM = _LEFT_MM + _TRUNK_WIDTH_MM / 2
_SIDE_MM = 95.0  # where the box of the excluded begins
_SIDE_WIDTH_MM = TWO_COLUMNS_MM - _MARGIN_MM - _SIDE_MM
_IN_A_ROW = 4
_MOST_REASONS = 8


@styled
def flow_figure(flow: Flow, positive: str = "positive") -> Drawn:
    """Boxes from the table to the cohorts; `positive` names the positive class. The rows hold every count."""
    in_a_row = max(min(len(flow.cohorts), _IN_A_ROW), 1)
    all_mm = ONE_COLUMN_MM if in_a_row == 1 and not flow.excluded else TWO_COLUMNS_MM
    width_mm = min((all_mm - _MARGIN_MM - _LEFT_MM - (in_a_row - 1) * _APART_MM) / in_a_row, _WIDEST_MM)
    cohort_boxes = [_cohort_box(count, positive, width_mm) for count in flow.cohorts]
    side = _all_wrapped(_excluded_lines(flow), _SIDE_WIDTH_MM)
    side_mm = _height_mm(side)
    rows = [cohort_boxes[start : start + in_a_row] for start in range(0, len(cohort_boxes), in_a_row)]
    heights_mm = [max(_height_mm(lines) for lines, _ in row) for row in rows]
    top_mm = _height_mm([""]) + max(side_mm + 4, _GAP_MM) + _height_mm([""])
    total_mm = 2 * _MARGIN_MM + top_mm + sum(heights_mm) + _GAP_MM * len(rows)
    axes = _canvas(all_mm, total_mm)
    start_mm = total_mm - _MARGIN_MM
    _trunk(axes, start_mm, top_mm, flow, side)
    level, origin = start_mm - top_mm, (_TRUNK_MM, start_mm - top_mm)
    for row, height_mm in zip(rows, heights_mm, strict=True):
        origin = _row(axes, row, level, (width_mm, height_mm), origin)
        level -= height_mm + _GAP_MM
    return Drawn(axes.figure, Rows(_HEADER, tuple(_rows(flow))))  # type: ignore[arg-type]


def _cohort_box(count: FlowCohort, positive: str, width_mm: float) -> tuple[list[str], int]:
    """The lines of a box, and how many of them are the name."""
    name = in_two_lines(cohort_label(count.name), width_mm - 2 * _PAD_MM, bold=True)
    return [*name, *_all_wrapped(_count_lines(count, positive), width_mm)], len(name)


def _count_lines(count: FlowCohort, positive: str) -> list[str]:
    labelled = count.positives + count.negatives
    of_patients = f", of {count.patients} patients" if count.patients is not None else ""
    lines = [f"n = {count.n}{of_patients}"]
    if labelled:
        called = class_label(True, positive)
        lines += [f"{fitted(called, 80)}: {counted(count.positives, labelled)}"]
        lines += [f"{fitted(class_label(False, f'not {called}'), 80)}: {counted(count.negatives, labelled)}"]
    return [*lines, f"without label, follow-up only: {count.unlabelled}"] if count.unlabelled else lines


def _excluded_lines(flow: Flow) -> list[str]:
    ranked = sorted(flow.excluded.items(), key=lambda pair: (-pair[1], pair[0]))
    lines = [f"{fitted(reason, 140)}: {count}" for reason, count in ranked[:_MOST_REASONS]]
    if more := sum(count for _, count in ranked[_MOST_REASONS:]):
        lines.append(f"{len(ranked) - _MOST_REASONS} other reasons: {more}")
    return [f"Excluded: {sum(flow.excluded.values())}", *lines]


def _all_wrapped(lines: list[str], width_mm: float) -> list[str]:
    return [part for line in lines for part in wrapped(line, width_mm - 2 * _PAD_MM)]


def _height_mm(lines: list[str]) -> float:
    return len(lines) * _LINE_MM + 2 * _PAD_MM


def _canvas(width_mm: float, height_mm: float) -> Axes:
    """Axes that fill a figure, in mm."""
    axes = new_figure(width_mm, height_mm).add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width_mm), ylim=(0, height_mm))
    axes.set_axis_off()
    return axes


def _trunk(axes: Axes, start_mm: float, top_mm: float, flow: Flow, side: list[str]) -> None:
    """The table, the analysed, and beside their arrow the excluded."""
    labelled = sum(count.positives + count.negatives for count in flow.cohorts)
    unlabelled = f", {flow.analysed - labelled} without label" if labelled != flow.analysed else ""
    one_mm, middle = _height_mm([""]), _TRUNK_MM
    _box(axes, (_LEFT_MM, start_mm), (_TRUNK_WIDTH_MM, one_mm), [f"Cases in the table: {flow.in_table}"])
    end_mm = start_mm - top_mm
    _box(axes, (_LEFT_MM, end_mm + one_mm), (_TRUNK_WIDTH_MM, one_mm), [f"Analysed: {flow.analysed}{unlabelled}"])
    _arrow(axes, (middle, start_mm - one_mm), (middle, end_mm + one_mm))
    if flow.excluded:
        level = (start_mm + end_mm) / 2
        _arrow(axes, (middle, level), (_SIDE_MM, level))
        _box(axes, (_SIDE_MM, level + _height_mm(side) / 2), (_SIDE_WIDTH_MM, _height_mm(side)), side, 1)


def _row(
    axes: Axes,
    boxes: list[tuple[list[str], int]],
    level: float,
    size_mm: tuple[float, float],
    origin: tuple[float, float],
) -> tuple[float, float]:
    """A row of cohorts under a bar that hangs from `origin`; where the bar of the next row hangs from."""
    width_mm = size_mm[0]
    bar = level - _GAP_MM / 2
    centres = [_LEFT_MM + (width_mm + _APART_MM) * at + width_mm / 2 for at in range(len(boxes))]
    if origin[0] == _RAIL_MM:
        axes.plot([_RAIL_MM, centres[0]], [origin[1], origin[1]], color=GREY, linewidth=0.7)
    axes.plot([origin[0], origin[0]], [origin[1], bar], color=GREY, linewidth=0.7)
    axes.plot([min(origin[0], *centres), max(origin[0], *centres)], [bar, bar], color=GREY, linewidth=0.7)
    for (lines, heads), centre in zip(boxes, centres, strict=True):
        _arrow(axes, (centre, bar), (centre, level - _GAP_MM))
        _box(axes, (centre - width_mm / 2, level - _GAP_MM), size_mm, lines, heads, BLUE)
    return _RAIL_MM, bar


def _box(
    axes: Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    lines: list[str],
    heads: int = 0,
    colour: str = INK,
) -> None:
    """A box hung from its upper left `corner`, (x, y); the first `heads` lines are bold."""
    (left, top), (width, height) = corner, size
    axes.add_patch(Rectangle((left, top - height), width, height, facecolor="white", edgecolor=colour, linewidth=0.8))
    for row, line in enumerate(lines):
        level = top - _PAD_MM - (row + 0.5) * _LINE_MM
        weight = "bold" if row < heads else "normal"
        axes.text(left + _PAD_MM, level, line, va="center", fontweight=weight)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": GREY, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 6}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)


def _rows(flow: Flow) -> list[tuple[CellValue, ...]]:
    return [
        ("table", None, "cases in the table", flow.in_table),
        *(("excluded", None, reason, count) for reason, count in flow.excluded.items()),
        ("analysed", None, "cases analysed", flow.analysed),
        *(
            ("cohort", cohort.name, what, count)
            for cohort in flow.cohorts
            for what, count in (
                ("n", cohort.n),
                ("positive", cohort.positives),
                ("negative", cohort.negatives),
                ("unlabelled", cohort.unlabelled),
                ("patients", cohort.patients),
            )
            if count is not None
        ),
    ]
