"""The agreement of a cohort, all of it and by the size of the tumour, with intervals from a bootstrap over patients.

The mean Dice over cases lets a small tumour weigh as much as a large one; the aggregated Dice, twice the summed overlap
over the summed volumes, lets every mm3 weigh the same, as in HECKTOR and HNTS-MRG. Both stand side by side.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from autodls.evaluation.agreement_records import (
    AgreementSummary,
    CaseAgreement,
    LesionSummary,
    MetricSummary,
    StratumSummary,
)
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.bootstrap import percentile_interval, resample_counts
from autodls.evaluation.results import Estimate

STRATA = ("small", "medium", "large")
FEWEST_CASES_FOR_STRATA = 6  # two in each
_LOST = "hold no case with a value"


def summarise_agreement(cases: Sequence[CaseAgreement], rng: np.random.Generator) -> AgreementSummary:
    """The agreement of all cases and of tertiles by manual volume; patients are resampled with `rng`.

    The bounds of the tertiles are those of these cases, as `numpy.quantile` gives them. Cases without a manual ROI are
    in no tertile.
    """
    everything = _stratum(cases, rng)
    drawn = [case for case in cases if case.manual_mm3 > 0]
    if len(drawn) < FEWEST_CASES_FOR_STRATA:
        reason = f"{len(drawn)} cases with a manual ROI, fewer than {FEWEST_CASES_FOR_STRATA}"
        return AgreementSummary(all=everything, by_volume=None, by_volume_reason=reason)
    bounds = np.quantile([case.manual_mm3 for case in drawn], [1 / 3, 2 / 3])
    members = np.searchsorted(bounds, [case.manual_mm3 for case in drawn], side="left")
    strata = {
        name: [case for case, member in zip(drawn, members, strict=True) if member == number]
        for number, name in enumerate(STRATA)
    }
    return AgreementSummary(
        all=everything, by_volume={name: _stratum(part, rng) for name, part in strata.items() if part}
    )


def metric_values(case: CaseAgreement) -> Mapping[str, float | None]:
    """Every metric of a case by name; those of planes are named "plane_error_mm.axial", "crop_iou.axial" and so on."""
    values: dict[str, float | None] = {
        "dice": case.dice,
        "surface_dice_2mm": case.surface_dice_2mm,
        "hd95_mm": case.hd95_mm,
        "volume_error_mm3": case.volume_error_mm3,
        "volume_error_percent": case.volume_error_percent,
        "centroid_error_mm": case.centroid_error_mm,
    }
    for plane, found in case.planes.items():
        values |= {f"plane_error_mm.{plane}": found.plane_error_mm, f"crop_iou.{plane}": found.crop_iou}
    return values


def _stratum(cases: Sequence[CaseAgreement], rng: np.random.Generator) -> StratumSummary:
    patients = [case.patient for case in cases]
    counts = resample_counts(patients, rng) if cases else np.zeros((1, 0))
    tables = [metric_values(case) for case in cases]
    names = list(dict.fromkeys(name for table in tables for name in table))
    volumes_ml = [case.manual_mm3 / 1000 for case in cases]
    return StratumSummary(
        cases=len(cases),
        patients=len(set(patients)),
        smallest_ml=min(volumes_ml, default=None),
        largest_ml=max(volumes_ml, default=None),
        aggregated_dice=_aggregated_dice(cases, counts),
        metrics={name: _metric([table.get(name) for table in tables], counts) for name in names},
        lesions=_lesions(cases, counts),
    )


def _aggregated_dice(cases: Sequence[CaseAgreement], counts: Floats) -> Estimate:
    overlap = np.array([2 * case.overlap_mm3 for case in cases])
    total = np.array([case.manual_mm3 + case.automatic_mm3 for case in cases])
    if not total.any():
        return Estimate(reason="no case has an ROI")
    estimate = float(overlap.sum() / total.sum())
    return _interval(estimate, _ratio(counts @ overlap, counts @ total), len(cases))


def _metric(values: Sequence[float | None], counts: Floats) -> MetricSummary:
    defined: Bools = np.array([value is not None for value in values])
    numbers = np.array([value for value in values if value is not None], dtype=np.float64)
    summary = {"cases": int(defined.sum()), "undefined": int((~defined).sum())}
    if not numbers.size:
        nothing = Estimate(reason="it is undefined in every case")
        return MetricSummary(**summary, mean=nothing, median=nothing)
    weights = counts[:, defined]
    means = _ratio(weights @ numbers, weights.sum(axis=1))
    medians = weighted_medians(numbers, weights)
    return MetricSummary(
        **summary,
        mean=_interval(float(numbers.mean()), means, numbers.size),
        median=_interval(float(np.median(numbers)), medians, numbers.size),
    )


def _interval(estimate: float, resampled: Floats, cases: int) -> Estimate:
    if cases < 2:
        return Estimate(value=estimate, reason="one case has no interval")
    return percentile_interval(estimate, resampled, lost_because=_LOST)


def weighted_medians(values: Floats, counts: Floats) -> Floats:
    """The median of each resample (resamples,), where `counts` (resamples, n) says how often it has each value.

    >>> weighted_medians(np.array([3.0, 1.0, 2.0]), np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    array([2. , 2.5, nan])
    """
    order = np.argsort(values)
    reached = np.cumsum(counts[:, order], axis=1)
    size = reached[:, -1]
    lower, upper = (values[order][_position(reached, (size + step) // 2)] for step in (-1, 0))
    return np.where(size > 0, (lower + upper) / 2, np.nan)


def _position(reached: Floats, rank: Floats) -> NDArray[np.intp]:
    """Where the value of `rank`, counted from 0, stands in each resample."""
    return np.asarray((reached > rank[:, None]).argmax(axis=1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def _lesions(cases: Sequence[CaseAgreement], counts: Floats) -> LesionSummary:
    manual, automatic, missed, wrong = (
        np.array([getattr(case, name) for case in cases], dtype=np.float64)
        for name in ("manual_lesions", "automatic_lesions", "missed_lesions", "wrong_lesions")
    )
    return LesionSummary(
        manual=int(manual.sum()),
        automatic=int(automatic.sum()),
        missed=int(missed.sum()),
        missed_share=_share(missed, manual, counts, "no lesion was drawn by hand"),
        wrong=int(wrong.sum()),
        wrong_share=_share(wrong, automatic, counts, "no lesion was found"),
        cases_without_overlap=sum(case.manual_mm3 > 0 and case.overlap_mm3 == 0 for case in cases),
        whole_field=sum(case.source == "whole-field" for case in cases),
    )


def _share(parts: Floats, of: Floats, counts: Floats, otherwise: str) -> Estimate:
    """Summed `parts` (n,) over summed `of` (n,); `otherwise` is the reason where there are none."""
    if not of.any():
        return Estimate(reason=otherwise)
    return _interval(float(parts.sum() / of.sum()), _ratio(counts @ parts, counts @ of), len(parts))
