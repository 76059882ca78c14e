"""The shortcut baselines side by side, as CSV and as printed."""

from collections.abc import Sequence

from autodls.analysis.shortcuts import Shortcut
from autodls.records.formatting import SHORTCUT_NOTES, added_p, estimate, p_value, with_limits
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows, unique_reasons

_HEADER = (
    "baseline", "columns", "n", "positives", "auc", "low", "high", "delta", "delta_low", "delta_high", "delta_p",
    "lr_chi2", "lr_df", "lr_p", "reason", "delta_over", "lr_sign",
)  # fmt: skip


def shortcut_table(shortcuts: Sequence[Shortcut]) -> ReportTable:
    """The baselines side by side with the gain of the deep-learning score over each."""
    printed = tuple(
        (
            one.name,
            estimate(one.auc),
            with_limits(one.delta.delta, one.delta.low, one.delta.high),
            p_value(one.delta.p),
            added_p(one.added.p, one.added.sign),
        )
        for one in shortcuts
    )
    notes = [*SHORTCUT_NOTES]
    notes += [f"{one.name}: {reason}" for one in shortcuts for reason in _reasons(one)]
    head = ("Baseline", "AUC (95% CI)", "Gain of DLS (95% CI)", "P (DeLong)", "P (likelihood ratio), sign")
    rows = Rows(_HEADER, tuple(_line(one) for one in shortcuts))
    return ReportTable(rows, Printed("Shortcut baselines", head, printed, unique_reasons(notes)))


def _reasons(one: Shortcut) -> list[str]:
    return [reason for reason in (one.auc.reason, one.delta.reason, one.added.reason) if reason]


def _line(one: Shortcut) -> tuple[CellValue, ...]:
    return (
        one.name, " + ".join(one.columns), one.n, one.positives, one.auc.value, one.auc.low, one.auc.high,
        one.delta.delta, one.delta.low, one.delta.high, one.delta.p, one.added.chi2, one.added.df, one.added.p,
        "; ".join(_reasons(one)) or None, one.delta_over, one.added.sign,
    )  # fmt: skip
