"""How well automatic ROIs agree with manual ones, as tables: all digits for programs, and printed for people."""

from collections.abc import Iterator

from autodls.analysis.rois_records import RoiBenchmark
from autodls.evaluation.agreement_records import MetricSummary, StratumSummary
from autodls.evaluation.agreement_summary import metric_values
from autodls.evaluation.results import Estimate
from autodls.records.automatic_roi import AutomaticRoi
from autodls.records.formatting import NONE, counted, estimate, number
from autodls.records.segmentation import doubts
from autodls.report.drawn import CellValue, Printed, ReportTable, Rows, unique_reasons
from autodls.report.naming import cohort_label

INTERVAL = ("", "_low", "_high")
_MEANS = {"dice": ("Dice", 2), "surface_dice_2mm": ("Surface Dice, 2 mm", 2)}
_MEDIANS = {
    "hd95_mm": ("HD95, mm", 1),
    "volume_error_percent": ("Volume error, %", 1),
    "centroid_error_mm": ("Centroid error, mm", 1),
}
_WHOLE_FIELD = (
    "Where nothing was found, the classifier is given the whole field: all parts of such a case count as missed, its "
    "Dice as 0, and it has no volume error and no distance."
)
_PLANES = ("axial", "sagittal", "coronal")
OTHER_COHORTS = (
    "Published figures are of other cohorts, sequences and readers: they say what is usual, not what is to be beaten."
)


def agreement_table(benchmark: RoiBenchmark) -> ReportTable:
    """Metrics of every cohort, all of it and by tumour volume; the rows hold every metric, the print the usual ones."""
    header = (
        "cohort", "stratum", "metric", "cases", "undefined",
        *(f"{name}{part}" for name in ("mean", "median") for part in INTERVAL), "reason",
    )  # fmt: skip
    lines: list[tuple[CellValue, ...]] = []
    printed = []
    for cohort, stratum, found in _strata(benchmark):
        total = found.aggregated_dice
        lines.append(
            (cohort, stratum, "aggregated_dice", found.cases, 0, *limits_of(total), *(None,) * 3, total.reason)
        )
        lines += [(cohort, stratum, name, *_metric(held)) for name, held in found.metrics.items()]
        means = [_mean(found, name, digits) for name, (_, digits) in _MEANS.items()]
        medians = [_median(found, name, digits) for name, (_, digits) in _MEDIANS.items()]
        printed.append(
            (cohort_label(cohort), _named(stratum, found), str(found.cases), *means, estimate(total, 2), *medians)
        )
    head = (
        "Cohort", "Tumours", "Cases", *(f"{title}, mean" for title, _ in _MEANS.values()), "Aggregated Dice",
        *(f"{title}, median" for title, _ in _MEDIANS.values()),
    )  # fmt: skip
    notes = [
        f"{cohort_label(cohort)}: automatic ROIs by {held.drawn_by}; bootstrap intervals over patients. "
        f"{_capital(doubts(held.drawn.values()) or 'no automatic ROI is doubtful')}."
        for cohort, held in benchmark.agreement.items()
    ]
    notes += [
        f"{cohort_label(cohort)}: {len(held.left_out)} not compared, such as case {case}: {reason}"
        for cohort, held in benchmark.agreement.items()
        for case, reason in list(held.left_out.items())[:1]
    ]
    notes += [f"{cohort_label(cohort)}: not by volume, {held.summary.by_volume_reason}"
              for cohort, held in benchmark.agreement.items() if held.summary.by_volume_reason]  # fmt: skip
    return ReportTable(
        Rows(header, tuple(lines)), Printed("Agreement of ROIs", head, tuple(printed), unique_reasons(notes))
    )


def planes_table(benchmark: RoiBenchmark) -> ReportTable:
    """What a 2.5D classifier feels: how far its planes lie apart, and how much of its crops is shared."""
    lines: list[tuple[CellValue, ...]] = []
    printed = []
    for cohort, stratum, found in _strata(benchmark):
        for plane in _PLANES:
            apart, shared = (found.metrics.get(f"{name}.{plane}") for name in ("plane_error_mm", "crop_iou"))
            if apart is None or shared is None:
                continue
            line = (*limits_of(apart.median), *limits_of(shared.median))
            lines.append((cohort, stratum, plane, apart.cases, *line))
            name = _named(stratum, found)
            printed.append((cohort_label(cohort), name, plane, estimate(apart.median, 1), estimate(shared.median, 2)))
    header = (
        "cohort",
        "stratum",
        "plane",
        "cases",
        *(f"{n}{p}" for n in ("plane_error_mm", "crop_iou") for p in INTERVAL),
    )
    head = ("Cohort", "Tumours", "Plane", "Distance of planes, mm, median", "IoU of crops, median")
    return ReportTable(Rows(header, tuple(lines)), Printed("Planes and crops of the classifier", head, tuple(printed)))


def lesions_table(benchmark: RoiBenchmark) -> ReportTable:
    """Connected parts that were missed, and parts where there is nothing."""
    header = ("cohort", "stratum", "cases", "smallest_ml", "largest_ml", "manual", "automatic", "missed", "wrong",
              "cases_without_overlap", "whole_field",
              *(f"{name}_share{part}" for name in ("missed", "wrong") for part in INTERVAL))  # fmt: skip
    lines: list[tuple[CellValue, ...]] = []
    printed = []
    for cohort, stratum, found in _strata(benchmark):
        held = found.lesions
        counts = (held.manual, held.automatic, held.missed, held.wrong, held.cases_without_overlap, held.whole_field)
        limits = (*limits_of(held.missed_share), *limits_of(held.wrong_share))
        lines.append((cohort, stratum, found.cases, found.smallest_ml, found.largest_ml, *counts, *limits))
        shares = [
            f"{count} of {of}: {estimate(share, 2)}"
            for count, of, share in (
                (held.missed, held.manual, held.missed_share), (held.wrong, held.automatic, held.wrong_share)
            )
        ]  # fmt: skip
        cases = (counted(held.cases_without_overlap, found.cases), counted(held.whole_field, found.cases))
        printed.append((cohort_label(cohort), _named(stratum, found), *shares, *cases))
    head = ("Cohort", "Tumours", "Missed, of parts drawn by hand (95% CI)", "Wrong, of automatic parts (95% CI)",
            "Cases without overlap", "Nothing found, whole field")  # fmt: skip
    return ReportTable(Rows(header, tuple(lines)), Printed("Lesions", head, tuple(printed), (_WHOLE_FIELD,)))


def published_table(benchmark: RoiBenchmark) -> ReportTable:
    """The Dice of every cohort above what is published of other cohorts."""
    ours = []
    for cohort, held in benchmark.agreement.items():
        found = held.summary.all
        dice = found.metrics["dice"].mean if "dice" in found.metrics else Estimate(reason="no case is compared")
        ours += [(cohort, "mean Dice", dice), (cohort, "mean aggregated Dice", found.aggregated_dice)]
    lines: list[tuple[CellValue, ...]] = [
        ("this study", cohort, name, *limits_of(value), None, value.reason) for cohort, name, value in ours
    ]
    lines += [
        (one.source, one.cohort, one.metric, one.value, None, None, one.spread, None) for one in benchmark.published
    ]
    printed = [("this study", cohort_label(cohort), name, estimate(value, 2)) for cohort, name, value in ours]
    printed += [
        (f"{one.source} (another cohort)", one.cohort, one.metric,
         number(one.value, 2 if one.metric == "mean Dice" else 3)
         + (f" \N{PLUS-MINUS SIGN} {number(one.spread, 2)}" if one.spread else ""))
        for one in benchmark.published
    ]  # fmt: skip
    header = ("source", "cohort", "metric", *(f"value{part}" for part in INTERVAL), "sd", "reason")
    head = ("Source", "Cohort", "Metric", "Value (95% CI)")
    return ReportTable(
        Rows(header, tuple(lines)), Printed("Beside published figures", head, tuple(printed), (OTHER_COHORTS,))
    )


def cases_table(benchmark: RoiBenchmark) -> ReportTable:
    """Every metric of every case."""
    values = [
        (cohort, case, metric_values(case)) for cohort, held in benchmark.agreement.items() for case in held.cases
    ]  # fmt: skip
    names = list(dict.fromkeys(name for _, _, table in values for name in table))
    lesions = ("manual_lesions", "automatic_lesions", "missed_lesions", "wrong_lesions")
    trust = ("source", "confidence", "disagreement", "flags")
    header = ("cohort", "case", "manual_ml", "automatic_ml", *names, *lesions, *trust)
    lines = tuple(
        (cohort, case.case, case.manual_mm3 / 1000, case.automatic_mm3 / 1000, *(table.get(name) for name in names),
         *(getattr(case, name) for name in lesions), *_trust(benchmark.agreement[cohort].drawn[case.case]))
        for cohort, case, table in values
    )  # fmt: skip
    return ReportTable(Rows(header, lines), Printed("Agreement by case", header, ()))


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _trust(mask: AutomaticRoi) -> tuple[CellValue, ...]:
    return mask.source, mask.confidence, mask.disagreement, "; ".join(mask.flags)


def _strata(benchmark: RoiBenchmark) -> Iterator[tuple[str, str, StratumSummary]]:
    for cohort, held in benchmark.agreement.items():
        yield cohort, "all", held.summary.all
        for name, found in (held.summary.by_volume or {}).items():
            yield cohort, name, found


def _named(stratum: str, found: StratumSummary) -> str:
    if found.smallest_ml is None or stratum == "all":
        return stratum
    return f"{stratum}, {number(found.smallest_ml, 1)} to {number(found.largest_ml, 1)} ml"


def _metric(held: MetricSummary) -> tuple[CellValue, ...]:
    return held.cases, held.undefined, *limits_of(held.mean), *limits_of(held.median), held.mean.reason


def _mean(found: StratumSummary, name: str, digits: int) -> str:
    return estimate(found.metrics[name].mean, digits) if name in found.metrics else NONE


def _median(found: StratumSummary, name: str, digits: int) -> str:
    return estimate(found.metrics[name].median, digits) if name in found.metrics else NONE


def limits_of(interval: Estimate) -> tuple[float | None, float | None, float | None]:
    """Value, lower and upper limit, as cells of a table."""
    return interval.value, interval.low, interval.high
