"""The tables of a paper: each returns its rows with all digits, and the same as it is printed."""

from collections.abc import Mapping

from autodls.evaluation.baseline import BaselineTable, Variable
from autodls.evaluation.caveats import OF_SINGLE_FOLDS
from autodls.evaluation.metrics_record import CohortMetrics, Metrics
from autodls.evaluation.results import Comparison, Estimate, ScoreMetrics
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.shared_folds import is_of_folds
from autodls.records.formatting import NONE, estimate, number, p_value, with_limits
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows, unique_reasons
from autodls.report.naming import class_label, cohort_label, pair_label, score_label
from autodls.report.tables.interval_notes import out_of_fold, over_patients

BY_OUTCOME = "Baseline characteristics by outcome"
SMD_NOTE = (
    "SMD: standardised mean difference (Austin 2009), the largest between two of the groups; unlike P it does not grow "
    "with the number of cases. From about 0.1 on groups are called unbalanced."
)
_RATES = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
_RATE_HEADS = ("Accuracy", "Sensitivity", "Specificity", "PPV", "NPV")
_INTERVAL = ("", "_low", "_high")
_RULES = {"youden": "Youden's index", "class_medians": "between class medians", "given": "given"}


def baseline_rows(table: BaselineTable) -> ReportTable:
    """Table 1: the variables of every cohort and whether they differ."""
    header = (
        "variable", "kind", "level", "cohort", "cohort_n", "count", "share", "centre", "low", "high", "missing", "test",
        "p", "reason", "smd",
    )  # fmt: skip
    lines = [line for variable in table.variables for line in _baseline_lines(table, variable)]
    cohorts = [f"{cohort_label(name)} (n = {n})" for name, n in zip(table.cohorts, table.n, strict=True)]
    printed = [line for variable in table.variables for line in _printed_variable(variable)]
    notes = ["Numbers are mean ± SD or median (quartiles), and counts with % of the known values."]
    notes += [SMD_NOTE]
    notes += [f"{variable.name}: {variable.reason}" for variable in table.variables if variable.reason]
    head = ("Variable", *cohorts, "SMD", "P", "Test")
    return ReportTable(
        Rows(header, tuple(lines)), Printed("Baseline characteristics", head, tuple(printed), tuple(notes))
    )


def outcome_rows(by_cohort: Mapping[str, BaselineTable]) -> ReportTable:
    """Table 1 by outcome: in every cohort the positives beside the negatives; `by_cohort` compares these two."""
    tables = {name: baseline_rows(table) for name, table in by_cohort.items()}
    rows = [(name, *line) for name, table in tables.items() for line in table.rows.lines]
    header = next((table.rows.header for table in tables.values()), ())
    renamed = tuple({"cohort": "outcome", "cohort_n": "outcome_n"}.get(column, column) for column in header)
    printed = tuple((cohort_label(name), *line) for name, table in tables.items() for line in table.printed.lines)
    head = ("Cohort", "Variable", class_label(False), class_label(True), "SMD", "P", "Test")
    notes = unique_reasons([note for table in tables.values() for note in table.printed.notes])
    return ReportTable(Rows(("cohort", *renamed), tuple(rows)), Printed(BY_OUTCOME, head, printed, notes))


def performance_table(metrics: Metrics) -> ReportTable:
    """Table 2: discrimination and classification of every score in every cohort, with 95 % intervals."""
    header = (
        "cohort", "score", "n", "positives", "prevalence", "cutoff", "cutoff_source", "rule", "tp", "fp", "fn", "tn",
        *(f"{name}{part}" for name in ("auc", "auc_delong", *_RATES) for part in _INTERVAL),
        "youden", "brier", "brier_low", "brier_high", "calibration_slope", "calibration_intercept",
        "calibration_in_the_large", "patients", "auc_interval", "rate_interval", "reason", "brier_scaled",
        "calibration_slope_low", "calibration_slope_high",
    )  # fmt: skip
    pairs = [
        (cohort, of_cohort, score, of_score)
        for cohort, of_cohort in metrics.cohorts.items()
        for score, of_score in of_cohort.scores.items()
    ]
    printed = tuple(
        (cohort_label(cohort), score_label(score), _n(held), estimate(held.auc), number(held.cutoff.value),
         cutoff_rule(held),
         *(estimate(_rate(held, rate)) for rate in _RATES))
        for cohort, _, score, held in pairs
    )  # fmt: skip
    notes = ["AUC with DeLong's interval on the logit scale; the others with Wilson's, at the cut-off."]
    notes += [*over_patients(metrics), *out_of_fold(metrics)]
    notes += [
        f"{pair_label(cohort, score)}: the cut-off was chosen on these scores; the limits of its rates are of shares "
        "less what choosing has gained, by a bootstrap that chooses anew"
        for cohort, _, score, held in pairs
        if held.sensitivity.method == "wilson-own-cutoff"
    ]
    if OUT_OF_FOLD in metrics.cohorts:
        notes.append(f"{cohort_label(OUT_OF_FOLD)}: {OF_SINGLE_FOLDS}")
    notes += [f"{pair_label(cohort, score)}: {held.auc.reason}" for cohort, _, score, held in pairs if held.auc.reason]
    left_out = {name: len(cohort.excluded) for name, cohort in metrics.cohorts.items() if cohort.excluded}
    notes += [
        f"{cohort_label(name)}: left out for want of a score or label: {count}" for name, count in left_out.items()
    ]
    rows = Rows(header, tuple(_performance_line(*pair) for pair in pairs))
    head = ("Cohort", "Score", "n", "AUC (95% CI)", "Cut-off", "Rule", *_RATE_HEADS)
    return ReportTable(rows, Printed("Performance", head, printed, unique_reasons(notes)))


def comparison_table(metrics: Metrics) -> ReportTable:
    """Paired DeLong tests of all pairs of scores in every cohort, and the global test of the cohort."""
    header = ("cohort", "a", "b", "delta", "low", "high", "z", "df", "chi2", "p", "p_holm", "n", "method", "reason")
    lines: list[tuple[CellValue, ...]] = []
    printed: list[tuple[str, ...]] = []
    notes = ["Difference of AUCs, a minus b, by DeLong's paired test; Holm's adjustment within the cohort."]
    notes += [
        f"{cohort_label(name)}: some patients have several cases, so interval and P are of Obuchowski's variance of "
        "clustered data"
        for name, cohort in metrics.cohorts.items()
        if any(pair.method.startswith("delong-obuchowski") for pair in cohort.comparisons)
    ]
    notes += [
        f"{cohort_label(name)}: out of fold, so intervals and P, that of all scores too, are of twice DeLong's "
        "variance: folds share their training cases"
        for name, cohort in metrics.cohorts.items()
        if any(is_of_folds(pair.method) for pair in cohort.comparisons)
    ]
    for name, cohort in metrics.cohorts.items():
        for pair in cohort.comparisons:
            lines.append(_comparison_line(name, pair))
            difference = with_limits(pair.delta, pair.low, pair.high)
            a, b = score_label(pair.a), score_label(pair.b)
            printed.append((cohort_label(name), a, b, difference, p_value(pair.p), p_value(pair.p_holm)))
            notes += [f"{cohort_label(name)}, {a} and {b}: {pair.reason}"] if pair.reason else []
        if len(cohort.comparisons) > 1:
            test = cohort.global_test
            numbers = (None, None, None, None, None, test.df, test.chi2, test.p, None, None, None)
            lines.append((name, "all", *numbers, test.reason))
            printed.append((cohort_label(name), "all scores alike", NONE, NONE, p_value(test.p), NONE))
    head = ("Cohort", "a", "b", "ΔAUC (95% CI)", "P", "P (Holm)")
    return ReportTable(
        Rows(header, tuple(lines)), Printed("Comparisons of AUCs", head, tuple(printed), unique_reasons(notes))
    )


def _n(held: ScoreMetrics) -> str:
    return NONE if held.n is None else str(held.n)


def cutoff_rule(held: ScoreMetrics) -> str:
    """The rule of the cut-off and the cohort that it was chosen on, as "Youden's index, train"."""
    if held.cutoff.value is None:
        return NONE
    rule, colon, cohort = held.cutoff.source.partition(":")
    return f"{_RULES.get(rule, rule)}, {cohort_label(cohort)}" if colon else _RULES.get(rule, rule)


def _baseline_lines(table: BaselineTable, variable: Variable) -> list[tuple[CellValue, ...]]:
    ends = (variable.test, variable.p, variable.reason, variable.smd)
    levels = [(level.name, level.cells) for level in variable.levels]
    lines: list[tuple[CellValue, ...]] = []
    for at, (cohort, n) in enumerate(zip(table.cohorts, table.n, strict=True)):
        start, missing = (variable.name, variable.kind), variable.missing[at]
        if not levels:
            lines.append((*start, None, cohort, n, 0, None, None, None, None, missing, *ends))
        for name, cells in levels:
            cell = cells[at]
            low, high = cell.spread or (None, None)
            lines.append((*start, name, cohort, n, cell.count, cell.share, cell.centre, low, high, missing, *ends))
    return lines


def _printed_variable(variable: Variable) -> list[tuple[str, ...]]:
    ends = (number(variable.smd, 2), p_value(variable.p), variable.test or NONE)
    blank = ("",) * len(variable.missing)
    if variable.kind == "numeric":
        lines = [(variable.name, *(cell.text for cell in variable.levels[0].cells), *ends)]
    else:
        lines = [(variable.name, *blank, *ends)]
        lines += [(f"  {level.name}", *(cell.text for cell in level.cells), "", "", "") for level in variable.levels]
    return [*lines, ("  missing", *map(str, variable.missing), "", "", "")] if any(variable.missing) else lines


def _rate(held: ScoreMetrics, name: str) -> Estimate:
    rates = dict(zip(_RATES, (held.accuracy, held.sensitivity, held.specificity, held.ppv, held.npv), strict=True))
    return rates[name]


def _performance_line(cohort: str, of_cohort: CohortMetrics, score: str, held: ScoreMetrics) -> tuple[CellValue, ...]:
    counts = held.confusion
    n, positives = (of_cohort.n, of_cohort.positives) if held.n is None else (held.n, held.positives)
    squared = held.brier_interval or Estimate()
    intervals = (held.auc, held.auc_delong, *(_rate(held, rate) for rate in _RATES))
    return (
        cohort, score, n, positives, None if not n or positives is None else positives / n,
        held.cutoff.value, held.cutoff.source, held.cutoff.source.partition(":")[0],
        *((counts.tp, counts.fp, counts.fn, counts.tn) if counts else (None,) * 4),
        *(value for interval in intervals for value in _limits(interval)),
        held.youden.value, held.brier, squared.low, squared.high, held.calibration.slope, held.calibration.intercept,
        held.calibration.intercept_large, of_cohort.patients, held.auc.method, held.sensitivity.method, held.auc.reason,
        held.brier_scaled, held.calibration.slope_low, held.calibration.slope_high,
    )  # fmt: skip


def _comparison_line(cohort: str, pair: Comparison) -> tuple[CellValue, ...]:
    numbers = (pair.delta, pair.low, pair.high, pair.z, None, None, pair.p, pair.p_holm, pair.n, pair.method)
    return cohort, pair.a, pair.b, *numbers, pair.reason


def _limits(interval: Estimate) -> tuple[float | None, float | None, float | None]:
    return interval.value, interval.low, interval.high
