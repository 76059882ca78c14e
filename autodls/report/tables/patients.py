"""The learning curve of a candidate, as CSV and as printed."""

from autodls.analysis.patients_results import PatientsBenchmark
from autodls.records.formatting import estimate, with_limits
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows

_HEADER = ("what", "factor", "cases", "auc", "low", "high")


def patients_table(found: PatientsBenchmark) -> ReportTable:
    """A row a point that was measured, then a row a number of patients that the curve is drawn on to."""
    measured: list[tuple[CellValue, ...]] = [
        ("measured", None, point.n, point.auc, point.low, point.high) for point in found.points
    ]
    drawn_on: list[tuple[CellValue, ...]] = [
        ("drawn on", one.factor, one.n, one.auc.value, one.auc.low, one.auc.high) for one in found.expected
    ]
    printed = [("measured", str(point.n), with_limits(point.auc, point.low, point.high)) for point in found.points]
    printed += [(f"drawn on: {one.factor:g} x the patients", str(one.n), estimate(one.auc)) for one in found.expected]
    title = f"AUC of {found.candidate} by the cases that it learns from"
    head = ("Point", "Cases learned from", "AUC (95% band)")
    rows = Rows(_HEADER, (*measured, *drawn_on))
    about = "Intervals of measured points: scatter of subsets alone; bands hold the error of the test cases too."
    return ReportTable(rows, Printed(title, head, tuple(printed), (about, *found.notes)))
