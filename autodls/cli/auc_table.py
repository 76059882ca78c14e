"""AUCs, as `train`, `evaluate` and `demo` print them."""

from collections.abc import Sequence

from autodls.cli.console import show_table
from autodls.evaluation.score_auc import ScoreAuc

_INTERVALS = {
    "delong-logit": "DeLong, logit",
    "delong-logit-cv": "DeLong, logit, variance doubled",
    "bootstrap-patients": "bootstrap over patients",
    "bootstrap-patients-cv": "bootstrap over patients, variance doubled",
}


def show_rows(title: str, rows: Sequence[ScoreAuc]) -> None:
    """Print a table of AUCs; the method of the intervals heads them, or stands beside each where there are several."""
    lines = [[row.cohort, row.row, str(row.n), str(row.positives), row.text] for row in rows]
    methods = [_INTERVALS[row.method] if row.low is not None else "" for row in rows]
    known = sorted({method for method in methods if method})
    header = ["cohort", "score", "n", "positive", f"AUC (95% CI, {known[0]})" if len(known) == 1 else "AUC (95% CI)"]
    if len(known) > 1:
        header, lines = [*header, "interval"], [[*line, method] for line, method in zip(lines, methods, strict=True)]
    show_table(title, header, lines, numbers_from=2)
