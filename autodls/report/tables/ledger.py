"""Apparent against validated performance, as CSV and as printed."""

from collections.abc import Sequence

from autodls.analysis.apparent import Entry, LedgerRow
from autodls.evaluation.shared_folds import MEANING
from autodls.records.formatting import NONE, estimate, number
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows, unique_reasons
from autodls.report.naming import cohort_label, score_label

_HEADER = ("score", "where", "cohort", "n", "positives", "folds", "auc", "low", "high", "interval", "reason")


def ledger_table(rows: Sequence[LedgerRow]) -> ReportTable:
    """The ledger as CSV, an entry a line, and as printed, a score a line."""
    cohorts = list(dict.fromkeys(name for row in rows for name in row.held_out))
    lines = tuple(line for row in rows for line in _lines(row))
    printed = tuple(
        (
            score_label(row.score),
            estimate(row.apparent.auc),
            estimate(row.inner.auc),
            estimate(row.by_fold.auc),
            estimate(row.out_of_fold.auc),
            *(estimate(row.held_out[name].auc) if name in row.held_out else NONE for name in cohorts),
            number(row.optimism),
        )
        for row in rows
    )
    notes = [
        "Apparent, early-stopping, by fold: mean AUC of the folds (lowest to highest). Out-of-fold, held-out: AUC "
        "(95% CI). Optimism: apparent less by fold.",
        "Only out-of-fold and held-out AUCs say how the score does on new patients.",
        MEANING,
    ]
    notes += [
        f"{score_label(row.score)}, {cohort_label(cohort) if cohort else where}: {entry.auc.reason}"
        for row in rows
        for where, cohort, entry in _entries(row)
        if entry.auc.reason
    ]
    head = (
        "Score",
        "Apparent",
        "Early-stopping set",
        "Out-of-fold, by fold",
        "Out-of-fold",
        *map(cohort_label, cohorts),
        "Optimism",
    )
    return ReportTable(
        Rows(_HEADER, lines), Printed("Apparent against validated performance", head, printed, unique_reasons(notes))
    )


def _entries(row: LedgerRow) -> list[tuple[str, str | None, Entry]]:
    return [
        ("resubstituted", None, row.apparent),
        ("inner", None, row.inner),
        ("out-of-fold by fold", None, row.by_fold),
        ("out-of-fold", None, row.out_of_fold),
        *(("held-out", cohort, entry) for cohort, entry in row.held_out.items()),
    ]


def _lines(row: LedgerRow) -> list[tuple[CellValue, ...]]:
    return [
        (
            row.score,
            where,
            cohort,
            entry.n,
            entry.positives,
            entry.folds,
            entry.auc.value,
            entry.auc.low,
            entry.auc.high,
            entry.interval,
            entry.auc.reason,
        )
        for where, cohort, entry in _entries(row)
    ]
