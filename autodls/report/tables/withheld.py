"""The score with each sequence withheld, as CSV and as printed."""

from collections.abc import Mapping, Sequence

from autodls.analysis.withheld import Withheld
from autodls.evaluation.shared_folds import MEANING, is_of_folds
from autodls.records.cells import read_number
from autodls.records.formatting import with_limits
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows, unique_reasons

_HEADER = (
    "cohort", "withheld", "n", "positives", "auc", "low", "high", "auc_without", "without_low", "without_high",
    "gain", "gain_low", "gain_high", "p", "interval", "reason",
)  # fmt: skip
_NOTE = (
    "The locked model on the same cases, with the sequence and as if its file were not there; nothing is trained anew, "
    "so a model of its own without the sequence may do better."
)


def withheld_table(found: Sequence[Withheld]) -> ReportTable:
    """With and without every sequence, by cohort."""
    lines = tuple(_line(one) for one in found)
    texts = [dict(zip(_HEADER, ("" if cell is None else str(cell) for cell in line), strict=True)) for line in lines]
    return ReportTable(Rows(_HEADER, lines), printed_withheld(texts))


def printed_withheld(lines: Sequence[Mapping[str, str]]) -> Printed:
    """The saved lines for people."""
    printed = tuple(
        (
            line["cohort"],
            line["withheld"],
            line["n"],
            line["positives"],
            _limits(line, "auc", "low", "high"),
            _limits(line, "auc_without", "without_low", "without_high"),
            _limits(line, "gain", "gain_low", "gain_high"),
        )
        for line in lines
    )
    notes = [_NOTE, *([MEANING] if any(is_of_folds(line["interval"]) for line in lines) else [])]
    notes += [f"{line['cohort']}, {line['withheld']}: {line['reason']}" for line in lines if line["reason"]]
    head = ("Cohort", "Withheld", "n", "Positive", "AUC with it (95% CI)", "AUC without it", "Gain by it (95% CI)")
    return Printed("Each sequence withheld", head, printed, unique_reasons(notes))


def _limits(line: Mapping[str, str], *names: str) -> str:
    value, low, high = (read_number(line[name]) for name in names)
    return with_limits(value, low, high)


def _line(one: Withheld) -> tuple[CellValue, ...]:
    reasons = [reason for reason in (one.with_it.reason, one.without.reason, one.gain.reason) if reason]
    return (
        one.cohort, one.sequence, one.n, one.positives, one.with_it.value, one.with_it.low, one.with_it.high,
        one.without.value, one.without.low, one.without.high, one.gain.delta, one.gain.low, one.gain.high, one.gain.p,
        one.with_it.method, "; ".join(dict.fromkeys(reasons)) or None,
    )  # fmt: skip
