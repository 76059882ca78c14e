"""From scores of worse images to what each kind and level of artefact does to a cohort."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from autodls.analysis.images_records import CohortImages, DegradedCase, DegradedKind, ImageChange, ImageKind
from autodls.evaluation.arrays import Floats
from autodls.evaluation.delong import auc_with_ci, compare_aucs
from autodls.evaluation.intervals import printed_auc
from autodls.evaluation.results import Auc, Estimate
from autodls.evaluation.score_agreement import bland_altman, changed_calls, icc, log_odds
from autodls.evaluation.shared_folds import FEWEST_FOR_TESTS
from autodls.imaging.degradation import SCALES
from autodls.inference.image_robustness import DegradedScore
from autodls.inference.rescoring import PairedCase


def degraded_kinds() -> dict[ImageKind, DegradedKind]:
    """The kinds and their levels, as the record keeps them."""
    return {
        kind: DegradedKind(word=one.word, axis=one.axis, levels=one.levels, meaning=one.meaning)
        for kind, one in SCALES.items()
    }


def cohort_images(
    pairs: Sequence[PairedCase],
    scores: Sequence[DegradedScore],
    left_out: Mapping[str, str],
    cutoff: float,
    scored_by: str,
    *,
    out_of_fold: bool,
) -> CohortImages:
    """Every level of every kind beside the images as they are, on the cases that can be scored at both.

    A case whose images cannot be scored as they are is left out. Calls are at `cutoff`.
    """
    reasons = {one.case: str(one.reason) for one in scores if one.kind is None and one.dls is None}
    cases = [_case(pair, scores) for pair in pairs if pair.case.id not in reasons]
    labelled = [case for case in cases if case.label is not None]
    lost = {(one.case, one.kind, one.level): str(one.reason) for one in scores if one.dls is None}
    return CohortImages(
        scored_by=scored_by,
        n=len(cases),
        positives=sum(bool(case.label) for case in cases),
        auc=_auc(labelled, [case.dls for case in labelled], out_of_fold),
        changes=tuple(_changes(cases, lost, cutoff, out_of_fold)),
        cases=tuple(cases),
        left_out={**left_out, **reasons},
    )


def _case(pair: PairedCase, scores: Sequence[DegradedScore]) -> DegradedCase:
    mine = {(one.kind, one.level): one.dls for one in scores if one.case == pair.case.id}
    dls = mine[None, 0.0]
    return DegradedCase(
        case=pair.case.id,
        patient=pair.case.patient,
        label=pair.case.label,
        fold=pair.fold,
        dls=float("nan") if dls is None else dls,
        degraded={kind: tuple(mine[kind, level] for level in scale.levels) for kind, scale in SCALES.items()},
    )


def _changes(
    cases: Sequence[DegradedCase], lost: Mapping[tuple[str, ImageKind | None, float], str], cutoff: float,
    out_of_fold: bool,
) -> Iterator[ImageChange]:  # fmt: skip
    for kind, scale in SCALES.items():
        for place, level in enumerate(scale.levels):
            after = {case.case: case.degraded[kind][place] for case in cases}
            scored = [case for case in cases if after[case.case] is not None]
            values = np.array([after[case.case] for case in scored], dtype=np.float64)
            why = next((lost[case.case, kind, level] for case in cases if after[case.case] is None), None)
            yield _change(kind, level, scored, values, len(cases) - len(scored), why, cutoff, out_of_fold)


def _change(
    kind: ImageKind, level: float, scored: Sequence[DegradedCase], after: Floats, lost: int, why: str | None,
    cutoff: float, out_of_fold: bool,
) -> ImageChange:  # fmt: skip
    patients = [case.patient for case in scored]
    before = np.array([case.dls for case in scored], dtype=np.float64)
    odds = log_odds(before), log_odds(after)
    known = np.array([case.label is not None for case in scored], dtype=bool)
    labelled = [case for case in scored if case.label is not None]
    return ImageChange(
        kind=kind,
        level=level,
        said=SCALES[kind].said(level),
        cases=len(scored),
        lost=lost,
        log_odds=bland_altman(odds[0], odds[1], patients),
        mean_absolute_change=float(np.abs(after - before).mean()) if len(scored) else None,
        icc=icc(np.stack(odds, axis=1), patients),
        calls=changed_calls(before, after, (cutoff, cutoff), patients),
        auc=_auc(labelled, after[known], out_of_fold),
        delta=_delta(labelled, after[known], before[known], out_of_fold),
        lost_because=why,
    )


def _auc(cases: Sequence[DegradedCase], scores: Sequence[float] | Floats, out_of_fold: bool) -> Auc:
    labels, values = np.array([bool(case.label) for case in cases], dtype=bool), np.asarray(scores, dtype=np.float64)
    patients = [case.patient for case in cases]
    found = auc_with_ci(labels, values, patients=patients, out_of_fold=out_of_fold)
    return printed_auc(labels, values, found, patients)


def _delta(cases: Sequence[DegradedCase], after: Floats, before: Floats, out_of_fold: bool) -> Estimate:
    labels, patients = np.array([bool(case.label) for case in cases]), [case.patient for case in cases]
    found = compare_aucs(labels, after, before, patients=patients, out_of_fold=out_of_fold, fewest=FEWEST_FOR_TESTS)
    return Estimate(value=found.delta, low=found.low, high=found.high, reason=found.reason)
