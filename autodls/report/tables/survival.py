"""The tables of follow-up: groups and hazard ratios, and benefit beyond the landmark."""

from collections.abc import Iterator, Mapping

from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.results import Estimate, GroupSurvival, HazardRatio, Landmark, Survival
from autodls.evaluation.score_auc import CHOSEN_HERE, FOLDS_SHARE
from autodls.records.formatting import DASH, NONE, NOT_REACHED, estimate, number, p_value, with_limits
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows, unique_reasons
from autodls.report.naming import cohort_label, score_label
from autodls.report.tables.interval_notes import is_over_patients, out_of_fold
from autodls.report.tables.rois import limits_of

_WHY = {
    CHOSEN_HERE: "a cut-off that was chosen on the labels of the patients who are compared makes part of the "
    "difference, so their tests are withheld; the curves stay",
    FOLDS_SHARE: "P and limits of out-of-fold scores would take their patients for independent",
}


def survival_table(metrics: Metrics) -> ReportTable:
    """Follow-up, groups, log-rank test and Cox regression of the reference in every cohort with follow-up."""
    header = (
        "cohort", "median_follow_up", "low_n", "low_events", "low_median", "high_n", "high_events", "high_median",
        "logrank_chi2", "logrank_p", "hr", "hr_low", "hr_high", "hr_p", "hr_method", "hr_continuous",
        "hr_continuous_low", "hr_continuous_high", "hr_continuous_p", "proportional_hazards_p", "reason",
        "hr_per_sd", "hr_per_sd_low", "hr_per_sd_high", "hr_per_sd_p", "hr_per_sd_method", "score_sd", "score_scale",
        "low_median_low", "low_median_high", "high_median_low", "high_median_high",
    )  # fmt: skip
    followed = {name: held.survival for name, held in metrics.cohorts.items() if held.survival is not None}
    head = (
        "Cohort", "Events, low", "Median, low (95% CI)", "Events, high", "Median, high (95% CI)", "HR (95% CI)",
        "P (log-rank)", "P (proportional hazards)", "HR per SD (95% CI)", "P (per SD)",
    )  # fmt: skip
    printed = tuple(_printed_survival(name, survival) for name, survival in followed.items())
    lines = tuple(_survival_line(name, survival) for name, survival in followed.items())
    notes = unique_reasons([*_survival_notes(followed), *_one_record(metrics)])
    return ReportTable(
        Rows(header, lines), Printed(f"Survival by {score_label(metrics.reference)}", head, printed, notes)
    )


def landmark_table(metrics: Metrics) -> ReportTable:
    """Benefit beyond the landmark: the weighted AUC first, then what the undetermined patients could make of it."""
    header = (
        "cohort", "time", "auc_ipcw", "auc_ipcw_low", "auc_ipcw_high", "auc_excluding", "auc_excluding_low",
        "auc_excluding_high", "auc_undetermined_benefit", "auc_undetermined_no_benefit", "undetermined", "rate_km",
        "reason", "auc_undetermined_lowest", "auc_undetermined_highest", "rate_km_low", "rate_km_high",
        "hr_of_censoring", "hr_of_censoring_low", "hr_of_censoring_high", "hr_of_censoring_p",
    )  # fmt: skip
    held = {name: cohort.landmark for name, cohort in metrics.cohorts.items() if cohort.landmark is not None}
    head = (
        "Cohort", "AUC (IPCW, 95% CI)", "without undetermined", "Undetermined", "AUC, least to greatest possible",
        "Rate (95% CI)", "HR of censoring per SD (95% CI)", "P (censoring)",
    )  # fmt: skip
    lines = tuple(_landmark_line(name, mark) for name, mark in held.items())
    printed = tuple(_printed_landmark(name, mark) for name, mark in held.items())
    notes = unique_reasons([*_landmark_notes(held), *out_of_fold(metrics), *_one_record(metrics)])
    return ReportTable(Rows(header, lines), Printed("Benefit beyond the landmark", head, printed, notes))


def _survival_notes(followed: Mapping[str, Survival]) -> Iterator[str]:
    yield "Hazard ratio high over low (Cox, Efron's ties); events of patients in each group; medians by Kaplan-Meier."
    scales = [
        f"{cohort_label(name)} {number(one.score_sd, 2)} ({one.score_scale})"
        for name, one in followed.items()
        if one.score_sd
    ]
    if scales:
        yield f"HR per SD: of the score without a cut-off, by its SD in the cohort: {', '.join(scales)}."
    for name, one in followed.items():
        for what, test in (("groups", one.cox), ("per SD", one.cox_per_sd or one.cox_continuous)):
            if test.reason:
                yield f"{cohort_label(name)}, {what}: {test.reason}"
            if test.method == "firth-profile":
                yield f"{cohort_label(name)}, {what}: separated, so Firth's penalised likelihood with profile interval"
    said = {test.reason for one in followed.values() for test in (one.cox, one.cox_continuous)}
    yield from (f"Where {reason}: {why}." for reason, why in _WHY.items() if reason in said)


def _landmark_notes(held: Mapping[str, Landmark]) -> Iterator[str]:
    yield (
        "AUC weighted by the inverse probability of not being censored (IPCW), with the limits of a bootstrap over "
        "patients. It supposes that who was censored by the landmark depends neither on the score nor on the outcome; "
        "a hazard ratio of censoring other than 1 says that it depends on the score. The least and the greatest "
        "possible AUC, over all outcomes of the undetermined, suppose nothing."
    )
    yield "Rate of benefit from Kaplan-Meier, with its log-log interval."
    for name, mark in held.items():
        if mark.reason:
            yield f"{cohort_label(name)}: {mark.reason}"
        if reason := _ipcw(mark).reason:
            yield f"{cohort_label(name)}: no interval: {reason}"
        for what, found in (("rate", mark.rate_km_interval), ("censoring", mark.censoring)):
            if found is not None and found.reason:
                yield f"{cohort_label(name)}, {what}: {found.reason}"


def _one_record(metrics: Metrics) -> list[str]:
    return [
        f"{cohort_label(name)}: one record a patient, of several cases the mean score"
        for name, cohort in metrics.cohorts.items()
        if is_over_patients(cohort, metrics.reference) and cohort.survival is not None
    ]


def _ipcw(mark: Landmark) -> Estimate:
    return mark.auc_ipcw_interval or Estimate(value=mark.auc_ipcw)


def _ratio_cells(found: HazardRatio | None) -> tuple[float | None, ...]:
    return (None,) * 4 if found is None else (found.hr, found.low, found.high, found.p)


def hazard_ratio(found: HazardRatio | None) -> str:
    """A hazard ratio with its limits, as printed."""
    return NONE if found is None else with_limits(found.hr, found.low, found.high, 2)


def _survival_line(name: str, survival: Survival) -> tuple[CellValue, ...]:
    groups = [survival.groups.get(group) for group in ("low", "high")]
    per_sd = survival.cox_per_sd
    return (
        name, survival.median_follow_up,
        *(value for group in groups for value in ((group.n, group.events, group.median) if group else (None,) * 3)),
        survival.logrank.chi2, survival.logrank.p, *_ratio_cells(survival.cox), survival.cox.method,
        *_ratio_cells(survival.cox_continuous), survival.proportional_hazards.p, survival.cox.reason,
        *_ratio_cells(per_sd), per_sd.method if per_sd else None, survival.score_sd, survival.score_scale,
        *(value for group in groups for value in ((group.median_low, group.median_high) if group else (None,) * 2)),
    )  # fmt: skip


def _printed_survival(name: str, survival: Survival) -> tuple[str, ...]:
    groups = [survival.groups.get(group) for group in ("low", "high")]
    of_groups = [cell for group in groups for cell in printed_group(group)]
    tests = (p_value(survival.logrank.p), p_value(survival.proportional_hazards.p))
    per_sd = survival.cox_per_sd
    return (
        cohort_label(name),
        *of_groups,
        hazard_ratio(survival.cox),
        *tests,
        hazard_ratio(per_sd),
        p_value(per_sd.p if per_sd else None),
    )


def printed_group(group: GroupSurvival | None) -> tuple[str, str]:
    """Events of a group, and its median with limits, as printed."""
    if group is None:
        return NONE, NONE
    median, low, high = (
        NOT_REACHED if value is None else number(value, 1)
        for value in (group.median, group.median_low, group.median_high)
    )
    return f"{group.events} of {group.n}", f"{median} ({low}{DASH}{high})"


def _landmark_line(name: str, mark: Landmark) -> tuple[CellValue, ...]:
    return (
        name, mark.time, mark.auc_ipcw, *limits_of(_ipcw(mark))[1:], *limits_of(mark.auc_excluding),
        mark.auc_undetermined_benefit, mark.auc_undetermined_no_benefit, mark.undetermined, mark.rate_km, mark.reason,
        mark.auc_undetermined_lowest, mark.auc_undetermined_highest,
        *limits_of(mark.rate_km_interval or Estimate())[1:], *_ratio_cells(mark.censoring),
    )  # fmt: skip


def _printed_landmark(name: str, mark: Landmark) -> tuple[str, ...]:
    lowest, highest = mark.auc_undetermined_lowest, mark.auc_undetermined_highest
    possible = NONE if lowest is None else f"{number(lowest)} to {number(highest)}"
    censoring = mark.censoring or HazardRatio()
    return (
        cohort_label(name), estimate(_ipcw(mark)), estimate(mark.auc_excluding), str(mark.undetermined), possible,
        estimate(mark.rate_km_interval or Estimate(value=mark.rate_km)), hazard_ratio(censoring), p_value(censoring.p),
    )  # fmt: skip
