"""How many patients more: the measured curve drawn on, what label noise caps, and how many a precision takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autodls.analysis.patients_results import (
    ExpectedAuc,
    MeasuredPoint,
    NoiseCeiling,
    PatientsBenchmark,
    PlannedPrecision,
)
from autodls.evaluation.arrays import Bools
from autodls.evaluation.clusters import is_clustered
from autodls.evaluation.learning_curve import LearningCurve, extrapolate
from autodls.evaluation.results import Estimate
from autodls.evaluation.sample_size import auc_ceiling, cases_for_auc
from autodls.records.formatting import estimate, number
from autodls.seeding import generator

FACTORS = (1.0, 2.0, 4.0)
_Z_95 = 1.959963984540054
_HIGHEST = 0.995  # an AUC of 1 takes no cases to be known, says the formula
_CAUTION = (
    "Measured by fitting again on subsets of each fold's training part, scored on the same test folds, and drawn on by "
    "an inverse power law (Figueroa et al. 2012). The bands hold the scatter of the subsets and the error of these "
    "test cases. They suppose more patients of the same population, scanners and readers; of another hospital they say "
    "nothing."
)


@dataclass(frozen=True)
class Agreement:
    """How well two readers agree on the cut of the target, as published in `source`."""

    kappa: float
    source: str


def patients_benchmark(
    candidate: str,
    curve: LearningCurve,
    labels: Bools,
    patients: Sequence[str],
    *,
    repeats: int,
    agreement: Agreement | None,
    half_width: float,
    seed: int,
) -> PatientsBenchmark:
    """Everything that is said of the `curve` of a `candidate`; raises ArgumentError for an agreement that cannot be."""
    prevalence = float(labels.mean())
    last = curve.points[-1]
    ceiling = None if agreement is None else _ceiling(agreement, prevalence, last.auc)
    cap = 1.0 if ceiling is None or ceiling.passed else ceiling.auc
    expected = tuple(_expected(curve, factor, cap, seed) for factor in FACTORS)
    precision = None
    if last.auc > 0.5:
        value = min(last.auc, _HIGHEST)
        cases = cases_for_auc(value, prevalence, half_width)
        precision = PlannedPrecision(half_width=half_width, auc=value, cases=cases)
    notes = [_CAUTION]
    if is_clustered(patients):
        notes.append("Some patients have several cases: the number of new cases is for one case a patient.")
    if ceiling is not None:
        notes.append(_of_ceiling(ceiling))
    return PatientsBenchmark(
        candidate=candidate,
        n=len(labels),
        positives=int(labels.sum()),
        patients=len(set(patients)),
        repeats=repeats,
        points=tuple(_measured(point.n, point.auc, point.scatter) for point in curve.points),
        error=curve.error,
        expected=expected,
        ceiling=ceiling,
        precision=precision,
        sentence=_sentence(candidate, _now(curve, expected[0].auc), expected, len(set(patients)), precision),
        notes=tuple(notes),
    )


def _measured(n: int, auc: float, scatter: float) -> MeasuredPoint:
    low, high = np.clip([auc - _Z_95 * scatter, auc + _Z_95 * scatter], 0, 1).tolist()
    return MeasuredPoint(n=n, auc=auc, low=low, high=high)


def _expected(curve: LearningCurve, factor: float, cap: float, seed: int) -> ExpectedAuc:
    n = round(factor * curve.points[-1].n)
    found = extrapolate(curve, n, generator(seed, "benchmark", "patients", n), cap)
    return ExpectedAuc(factor=factor, n=n, auc=found)


def _ceiling(agreement: Agreement, prevalence: float, measured: float) -> NoiseCeiling:
    reached = auc_ceiling(agreement.kappa, prevalence)
    return NoiseCeiling(kappa=agreement.kappa, source=agreement.source, auc=reached, passed=measured > reached)


def _of_ceiling(found: NoiseCeiling) -> str:
    by = f"two readers who agree by kappa {found.kappa:g} ({found.source}), who err independently of each other"
    if found.passed:
        return (
            f"Labels of {by}, would let no score pass an AUC of {number(found.auc)}, and this one has: the agreement "
            "is not that of these labels, or readers and score err alike. It caps nothing here."
        )
    return f"Labels of {by}, let no score pass an AUC of {number(found.auc)}: the bands end there."


def _now(curve: LearningCurve, band: Estimate) -> Estimate:
    """The AUC of fits on all that folds learn from, as it was measured, with the `band` of the curve there."""
    value = curve.points[-1].auc
    low, high = (value if one is None else one for one in (band.low, band.high))
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _sentence(
    candidate: str, now: Estimate, expected: Sequence[ExpectedAuc], patients: int, precision: PlannedPrecision | None
) -> str:
    told = f"With the {patients} patients of this training cohort, {candidate} has a mean AUC of {estimate(now)}"
    if precision is None:
        return f"{told}, no better than chance: nothing here says that more patients would change it."
    twice, four = (estimate(one.auc) for one in expected[1:])
    return (
        f"{told}; with twice as many of the same population it may have {twice}, with four times {four}: drawn on from "
        f"subsets, and no promise. To know an AUC of {number(precision.auc)} to within {precision.half_width:g}, a "
        f"validation cohort takes {precision.cases} new patients."
    )
