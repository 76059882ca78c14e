"""Every fold on its own, as CSV and as printed."""

from autodls.evaluation.metrics_record import Metrics
from autodls.records.formatting import estimate, number
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows


def fold_table(metrics: Metrics) -> ReportTable:
    """Number of cases, AUC and scale of every fold."""
    folds = [fold for cohort in metrics.cohorts.values() for fold in cohort.folds]
    header = ("fold", "n", "positives", "auc", "low", "high", "spread", "spread_own", "mean", "reason")
    lines: tuple[tuple[CellValue, ...], ...] = tuple(
        (
            one.fold, one.n, one.positives, one.auc.value, one.auc.low, one.auc.high,
            one.spread, one.spread_own, one.mean, one.auc.reason,
        )
        for one in folds
    )  # fmt: skip
    printed = tuple(
        (
            str(one.fold), str(one.n), str(one.positives),
            estimate(one.auc), number(one.spread, 2), number(one.spread_own, 2), number(one.mean, 2),
        )
        for one in folds
    )  # fmt: skip
    head = ("Fold", "n", "Positive", "AUC (95% CI)", "SD of log-odds", "SD of its own logits", "Mean log-odds")
    notes = ("Cases that the fold validates; log-odds on the scale that all folds share, before recalibration.",)
    return ReportTable(Rows(header, lines), Printed("Folds", head, printed, notes))
