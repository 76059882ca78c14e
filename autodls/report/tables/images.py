"""What worse images do to the score, as CSV and as printed."""

from autodls.analysis.images_records import CohortImages, ImageBenchmark, ImageChange
from autodls.evaluation.shared_folds import MEANING, is_of_folds
from autodls.records.formatting import NONE, estimate, number, with_limits
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows, unique_reasons
from autodls.report.naming import cohort_label
from autodls.report.tables.rois import INTERVAL, limits_of

_ESTIMATES = ("change", "lower_limit", "upper_limit", "icc", "flipped", "auc", "delta")
_HEADER = (
    "cohort", "kind", "level", "cases", "lost", *(f"{name}{part}" for name in _ESTIMATES for part in INTERVAL),
    "mean_absolute_change", "to_high", "to_low", "interval", "reason",
)  # fmt: skip
_HEAD = (
    "Cohort", "Artefact", "Δ log-odds (95% limits)", "ICC (95% CI)", "Calls that flip", "AUC", "ΔAUC (95% CI)",
)  # fmt: skip
_NOTES = (
    "Images are changed as they come from the scanner, each sequence by itself; the ROI, and who scores, stay. Change "
    "of log-odds: mean of degraded minus as it is, with the limits within which 95% of cases are expected "
    "(Bland-Altman). ICC(2,1) of log-odds; calls at the locked cut-off; ΔAUC by DeLong's paired test, same cases, "
    "not adjusted for the number of levels. Simulated artefacts are no scans: they say where a model is sensitive, not "
    "how often it meets such images."
)


def images_table(found: ImageBenchmark) -> ReportTable:
    """Every level of every kind in every cohort."""
    pairs = [(name, cohort, one) for name, cohort in found.cohorts.items() for one in cohort.changes]
    lines = tuple(_line(name, one) for name, _, one in pairs)
    printed = tuple(_printed(found, name, one) for name, _, one in pairs)
    notes = [_NOTES, *(_about(name, cohort) for name, cohort in found.cohorts.items())]
    notes += [MEANING] if any(is_of_folds(cohort.auc.method) for cohort in found.cohorts.values()) else []
    notes += [f"{kind.word}: {kind.meaning}." for kind in found.kinds.values()]
    notes += [
        f"{cohort_label(name)}, {one.said}: {one.lost} lost, one as: {one.lost_because}"
        for name, _, one in pairs
        if one.lost
    ]
    notes += [f"{cohort_label(name)}, ΔAUC: {one.delta.reason}" for name, _, one in pairs if one.delta.reason]
    title = "The score on worse images"
    return ReportTable(Rows(_HEADER, lines), Printed(title, _HEAD, printed, unique_reasons(notes)))


def degraded_cases_table(found: ImageBenchmark) -> ReportTable:
    """The score of every case at every level."""
    header = ("cohort", "case", "label", "fold", "kind", "level", "dls_as_it_is", "dls")
    lines = tuple(
        (name, case.case, None if case.label is None else int(case.label), case.fold, kind, level, case.dls, dls)
        for name, cohort in found.cohorts.items()
        for case in cohort.cases
        for kind, values in case.degraded.items()
        for level, dls in zip(found.kinds[kind].levels, values, strict=True)
    )
    return ReportTable(Rows(header, lines), Printed("Scores on worse images by case", header, ()))


def _about(name: str, cohort: CohortImages) -> str:
    left = f"; {len(cohort.left_out)} left out" if cohort.left_out else ""
    auc = f"; AUC of the images as they are {estimate(cohort.auc)}" if cohort.auc.value is not None else ""
    return (
        f"{cohort_label(name)}: {cohort.n} cases, {cohort.positives} positive, scored by {cohort.scored_by}{left}{auc}."
    )


def _line(name: str, one: ImageChange) -> tuple[CellValue, ...]:
    limits, calls = one.log_odds, one.calls
    estimates = (limits.bias, limits.lower_limit, limits.upper_limit, one.icc, calls.share, one.auc, one.delta)
    reasons = [found.reason for found in estimates if found.reason] + ([one.lost_because] if one.lost_because else [])
    return (
        name, one.kind, one.level, one.cases, one.lost, *(cell for found in estimates for cell in limits_of(found)),
        one.mean_absolute_change, calls.to_high, calls.to_low, one.auc.method,
        "; ".join(dict.fromkeys(reasons)) or None,
    )  # fmt: skip


def _printed(found: ImageBenchmark, name: str, one: ImageChange) -> tuple[str, ...]:
    kind, limits = found.kinds[one.kind], one.log_odds
    change = with_limits(limits.bias.value, limits.lower_limit.value, limits.upper_limit.value, 2)
    share = 100 * (one.calls.share.value or 0.0)
    flipped = f"{one.calls.to_high + one.calls.to_low} of {one.cases} ({share:.1f}%)" if one.cases else NONE
    return (
        cohort_label(name), f"{kind.word} {one.said}", change, estimate(one.icc, 2), flipped, number(one.auc.value),
        estimate(one.delta),
    )  # fmt: skip
