"""What automatic ROIs do to the score, as tables, and all tables of the benchmark by the name of their files."""

from collections.abc import Iterator, Mapping

from autodls.analysis.rois_records import Change, CohortEffect, RoiBenchmark
from autodls.evaluation.agreement_records import AUTOMATIC, CELLS, REFERENCE
from autodls.evaluation.shared_folds import is_of_folds
from autodls.records.formatting import NONE, counted, estimate, number, with_limits
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows, unique_reasons
from autodls.report.naming import cohort_label
from autodls.report.tables.rois import (
    INTERVAL,
    agreement_table,
    cases_table,
    lesions_table,
    limits_of,
    planes_table,
    published_table,
)

_CHANGED = {"eroded": "smaller", "dilated": "larger", "shifted": "moved"}
_OUT_OF_FOLD = (
    "{}: out of fold, so intervals and P are of twice the variance, as folds share their training cases; they are of "
    "models trained as these, not of the ensembles."
)
_METHODS = {
    "delong": "DeLong's, of the paired test",
    "bootstrap": "of a bootstrap over patients, as some have several cases; p is of Obuchowski's variance of clustered "
    "data; so are those of ICC, bias and limits of agreement",
}
_LIMITS_OF_CHANGES = (
    "Smaller and larger by a ball, moved along one random direction a case; a radius below the distance of two slices "
    "changes nothing across them, so the distance that was measured stands beside the nominal one. Cases of which "
    "nothing is left (lost) are in no mean: those that stay are the large tumours."
)


def roi_tables(benchmark: RoiBenchmark) -> dict[str, ReportTable]:
    """Every table that there is something for, by the name of its file."""
    tables = {
        "rois_agreement": agreement_table(benchmark),
        "rois_planes": planes_table(benchmark),
        "rois_lesions": lesions_table(benchmark),
        "rois_published": published_table(benchmark),
        "rois_cases": cases_table(benchmark),
    }
    if benchmark.effect is not None:
        tables |= {"rois_effect": effect_table(benchmark.effect), "rois_scores": _scores_table(benchmark.effect)}
    if benchmark.robustness is not None:
        tables |= {"rois_robustness": robustness_table(benchmark), "rois_changed": _changed_table(benchmark)}
    return tables


def effect_table(effect: Mapping[str, CohortEffect]) -> ReportTable:
    """Trained on x tested on manual or automatic ROIs: AUC, its difference to manual/manual, agreement of scores."""
    header = (
        "cohort", "trained_on", "tested_on", "n", "positives", *(f"auc{part}" for part in INTERVAL),
        *(f"delta{part}" for part in INTERVAL), "delta_by", "delta_delong_low", "delta_delong_high", "p",
        "delta_bootstrap_low", "delta_bootstrap_high", "margin", "verdict",
        *(f"{name}{part}" for name in ("icc", "bias", "lower_limit", "upper_limit") for part in INTERVAL),
        "to_high", "to_low", "reason", "n_without_fall_backs", *(f"auc_without_fall_backs{part}" for part in INTERVAL),
    )  # fmt: skip
    lines: list[tuple[CellValue, ...]] = []
    printed: list[tuple[str, ...]] = []
    notes = ["Difference to manual/manual on the same cases; calls at each model's cut-off."]
    for cohort, held in effect.items():
        notes.append(f"{cohort_label(cohort)}: the intervals of the differences are {_METHODS[_decided_by(held)]}.")
        for cell in CELLS:
            lines.append(_effect_line(cohort, held, cell))
            printed.append(_printed_effect(cohort, held, cell))
        notes += [_OUT_OF_FOLD.format(cohort_label(cohort))] if _is_out_of_fold(held) else []
        notes.append(
            f"{cohort_label(cohort)}: {held.n} cases, {held.positives} positive; {len(held.left_out)} left out."
        )
        notes += [f"{cohort_label(cohort)}, {cell}: {auc.reason}" for cell, auc in held.auc.items() if auc.reason]
        notes += _without_fall_backs(cohort, held)
    head = ("Cohort", "Trained / tested", "AUC (95% CI)", "ΔAUC (95% CI)", "ICC, log-odds (95% CI)",
            "Bias (limits of agreement)", "Calls that change")  # fmt: skip
    title = "Manual and automatic ROIs in training and in use"
    return ReportTable(Rows(header, tuple(lines)), Printed(title, head, tuple(printed), unique_reasons(notes)))


def robustness_table(benchmark: RoiBenchmark) -> ReportTable:
    """What becomes of the score when the manual ROI is changed."""
    header = ("cohort", "change", "nominal_mm", "cases", "lost", "mean_moved_mm", "mean_absolute_change",
              "mean_absolute_log_odds", *(f"flipped{part}" for part in INTERVAL), "reason")  # fmt: skip
    pairs = [
        (cohort, change) for cohort, held in (benchmark.robustness or {}).items() for change in held.changes
    ]  # fmt: skip
    lines = tuple(
        (cohort, one.kind, one.nominal_mm, one.cases, one.lost, one.mean_moved_mm, one.mean_absolute_change,
         one.mean_absolute_log_odds, *limits_of(one.flipped), one.reason)
        for cohort, one in pairs
    )  # fmt: skip
    printed = tuple((cohort_label(cohort), *_printed_change(change)) for cohort, change in pairs)
    head = ("Cohort", "ROI", "By, mm", "Cases", "Centroid moved, mm", "Mean |change| of DLS", "of log-odds",
            "Calls that flip")  # fmt: skip
    return ReportTable(
        Rows(header, lines), Printed("The manual ROI changed", head, printed, (_LIMITS_OF_CHANGES,))
    )  # fmt: skip


def _scores_table(effect: Mapping[str, CohortEffect]) -> ReportTable:
    header = ("cohort", "case", "label", "fold", *CELLS)
    lines = tuple(
        (cohort, case.case, int(case.label), case.fold, *(case.scores[cell] for cell in CELLS))
        for cohort, held in effect.items()
        for case in held.cases
    )
    return ReportTable(Rows(header, lines), Printed("Scores by case", header, ()))


def _changed_table(benchmark: RoiBenchmark) -> ReportTable:
    header = ("cohort", "case", "change", "nominal_mm", "moved_mm", "volume_ratio", "unperturbed_dls", "dls", "reason")
    lines = tuple(
        (cohort, one.case, one.kind, one.nominal_mm, one.moved_mm, one.volume_ratio, one.unperturbed_dls, one.dls,
         one.reason)
        for cohort, held in (benchmark.robustness or {}).items()
        for one in held.scores
    )  # fmt: skip
    return ReportTable(Rows(header, lines), Printed("Changed ROIs by case", header, ()))


def _is_out_of_fold(held: CohortEffect) -> bool:
    return is_of_folds(held.auc[REFERENCE].method)


def _effect_line(cohort: str, held: CohortEffect, cell: str) -> tuple[CellValue, ...]:
    trained, _, tested = cell.partition("/")
    start = (cohort, trained, tested, held.n, held.positives, *limits_of(held.auc[cell]))
    sure = held.without_fall_backs
    end: tuple[CellValue, ...] = (None,) * 4 if sure is None else (sure.n, *limits_of(sure.auc[cell]))
    if cell == REFERENCE:
        return (*start, *(None,) * 25, held.auc[cell].reason, *end)
    found, scores = held.against_manual[cell].delta, held.against_manual[cell].scores
    limits = scores.bland_altman
    intervals = (scores.icc, limits.bias, limits.lower_limit, limits.upper_limit)
    return (
        *start, *limits_of(found.decisive), found.decided_by, found.delong.low, found.delong.high, found.delong.p,
        found.bootstrap.low, found.bootstrap.high, found.margin, found.verdict,
        *(value for one in intervals for value in limits_of(one)),
        scores.calls.to_high, scores.calls.to_low, found.reason or found.decisive.reason, *end,
    )  # fmt: skip


def _decided_by(held: CohortEffect) -> str:
    return held.against_manual[AUTOMATIC].delta.decided_by


def _without_fall_backs(cohort: str, held: CohortEffect) -> Iterator[str]:
    """The AUCs without the cases in which no tumour was found at the threshold of 0.5."""
    sure = held.without_fall_backs
    if sure is not None:
        aucs = "; ".join(f"{cell.replace('/', ' / ')} {estimate(auc)}" for cell, auc in sure.auc.items())
        several = "cases" if held.n - sure.n > 1 else "case"
        without = f"without the {held.n - sure.n} {several} whose automatic ROI is a fall-back"
        yield f"{cohort_label(cohort)}, {without}: AUC {aucs}."


def _printed_effect(cohort: str, held: CohortEffect, cell: str) -> tuple[str, ...]:
    start = (cohort_label(cohort), cell.replace("/", " / "), estimate(held.auc[cell]))
    if cell == REFERENCE:
        return (*start, "reference", NONE, NONE, NONE)
    found, scores = held.against_manual[cell].delta, held.against_manual[cell].scores
    limits = scores.bland_altman
    bias = with_limits(limits.bias.value, limits.lower_limit.value, limits.upper_limit.value)
    changed = counted(scores.calls.to_high + scores.calls.to_low, scores.calls.cases)
    return (*start, estimate(found.decisive), estimate(scores.icc, 2), bias, changed)


def _printed_change(one: Change) -> tuple[str, ...]:
    moved = number(one.mean_moved_mm, 1)
    sizes = (number(one.mean_absolute_change), number(one.mean_absolute_log_odds, 2))
    flipped = round((one.flipped.value or 0) * one.cases)
    cases = f"{one.cases} ({one.lost} lost)" if one.lost else str(one.cases)
    return _CHANGED[one.kind], f"{one.nominal_mm:g}", cases, moved, *sizes, counted(flipped, one.cases)
