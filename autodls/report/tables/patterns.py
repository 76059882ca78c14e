"""The score by the sequences that cases have, as CSV and as printed."""

from collections.abc import Sequence

from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.shared_folds import MEANING, is_of_folds
from autodls.records.formatting import counted, estimate
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows, unique_reasons
from autodls.report.naming import cohort_label, sequence_label

_NOTE = (
    "Cases that have exactly these sequences. Groups may differ in scanner and patients too, so they are not tested "
    "against each other."
)


def pattern_table(metrics: Metrics) -> ReportTable:
    """AUC of the fused score by cohort and by the sequences that were there."""
    found = [(name, one) for name, cohort in metrics.cohorts.items() for one in cohort.patterns]
    header = ("cohort", "sequences", "n", "positives", "auc", "low", "high", "interval", "reason")
    lines: tuple[tuple[CellValue, ...], ...] = tuple(
        (
            name, " ".join(one.sequences), one.n, one.positives, one.value, one.low, one.high,
            one.method, one.reason,
        )
        for name, one in found
    )  # fmt: skip
    printed = tuple(
        (cohort_label(name), _there(one.sequences), str(one.n), counted(one.positives, one.n), estimate(one))
        for name, one in found
    )
    notes = [_NOTE, *([MEANING] if any(one.method and is_of_folds(one.method) for _, one in found) else [])]
    notes += [f"{cohort_label(name)}, {_there(one.sequences)}: {one.reason}" for name, one in found if one.reason]
    head = ("Cohort", "Sequences that were there", "n", "Positive", "AUC of the DLS (95% CI)")
    return ReportTable(Rows(header, lines), Printed("By missing sequences", head, printed, unique_reasons(notes)))


def _there(sequences: Sequence[str]) -> str:
    return ", ".join(map(sequence_label, sequences))
