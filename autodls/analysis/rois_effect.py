"""From scores to what automatic ROIs cost, and to how far a score depends on where the ROI was drawn."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from autodls.analysis.rois_records import CellEffect, Change, CohortEffect, CohortRobustness, CrossedCase, SureCases
from autodls.evaluation.agreement_records import CELLS, KINDS, REFERENCE, STEPS_MM, PerturbedScore
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.delong import auc_with_ci
from autodls.evaluation.intervals import printed_auc
from autodls.evaluation.noninferiority import noninferiority
from autodls.evaluation.results import Auc
from autodls.evaluation.score_agreement import changed_share, log_odds, score_agreement
from autodls.records.model_folders import RoiKind


def cohort_effect(
    cases: Sequence[CrossedCase],
    left_out: Mapping[str, str],
    cutoffs: Mapping[RoiKind, float],
    margin: float,
    rng: np.random.Generator,
    fall_backs: Collection[str] = (),
) -> CohortEffect:
    """The 2 x 2 table of a cohort; `cutoffs` are those of the models, by what they were trained on.

    `fall_backs` are the cases whose automatic ROI was not found at the threshold of 0.5.

    Every cell is compared with manual/manual on the same cases: AUCs by DeLong's paired test against `margin`, scores
    by ICC and limits of agreement, calls at the cut-off of the model that makes them.
    """
    labels = np.array([case.label for case in cases], dtype=bool)
    patients, out_of_fold = [case.patient for case in cases], _is_out_of_fold(cases)
    scores = {cell: np.array([case.scores[cell] for case in cases], dtype=np.float64) for cell in CELLS}
    return CohortEffect(
        n=len(cases),
        positives=int(labels.sum()),
        auc={cell: _auc(labels, values, patients, out_of_fold) for cell, values in scores.items()},
        against_manual={
            cell: CellEffect(
                delta=noninferiority(
                    labels,
                    (scores[cell], scores[REFERENCE]),
                    (cell, REFERENCE),
                    patients,
                    margin,
                    rng,
                    out_of_fold=out_of_fold,
                ),
                scores=score_agreement(
                    scores[REFERENCE], scores[cell], (cutoffs[_trained(REFERENCE)], cutoffs[_trained(cell)]), patients
                ),
            )
            for cell in CELLS
            if cell != REFERENCE
        },
        cases=tuple(cases),
        left_out=dict(left_out),
        without_fall_backs=_without(cases, fall_backs),
    )


def cohort_robustness(
    scores: Sequence[PerturbedScore], left_out: Mapping[str, str], cutoff: float, patients: Mapping[str, str]
) -> CohortRobustness:
    """Every change of the ROI summed up over cases; calls are at `cutoff`, `patients` those of the cases."""
    changes = (_change(group, cutoff, patients) for group in _groups(scores))
    names = tuple(dict.fromkeys(score.case for score in scores))
    return CohortRobustness(cases=names, changes=tuple(changes), scores=tuple(scores), left_out=dict(left_out))


def evenly_ranked(sizes: Mapping[str, float], count: int) -> list[str]:
    """Up to `count` cases at even distances in the order of their sizes, in the order of their names.

    They represent the cohort better than a draw of so few, and need no chance.

    >>> evenly_ranked({"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.6, "e": 0.2}, 3)
    ['a', 'b', 'c']
    """
    ranked = sorted(sizes, key=lambda case: (sizes[case], case))
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked)))
    return sorted({ranked[round(float(place))] for place in places})


def _trained(cell: str) -> RoiKind:
    return "manual" if cell.startswith("manual/") else "auto"


def _without(cases: Sequence[CrossedCase], fall_backs: Collection[str]) -> SureCases | None:
    sure = [case for case in cases if case.case not in fall_backs]
    if len(sure) == len(cases):
        return None
    labels = np.array([case.label for case in sure], dtype=bool)
    patients = [case.patient for case in sure]
    scores = {cell: np.array([case.scores[cell] for case in sure], dtype=np.float64) for cell in CELLS}
    aucs = {cell: _auc(labels, values, patients, _is_out_of_fold(sure)) for cell, values in scores.items()}
    return SureCases(n=len(sure), positives=int(labels.sum()), auc=aucs)


def _is_out_of_fold(cases: Sequence[CrossedCase]) -> bool:
    """Whether the cases are of the training cohort, each scored by the fold that did not see it."""
    return any(case.fold is not None for case in cases)


def _auc(labels: Bools, scores: Floats, patients: Sequence[str], out_of_fold: bool) -> Auc:
    found = auc_with_ci(labels, scores, patients=patients, out_of_fold=out_of_fold)
    return printed_auc(labels, scores, found, patients)


def _groups(scores: Sequence[PerturbedScore]) -> Iterator[list[PerturbedScore]]:
    for kind in KINDS:
        for step_mm in STEPS_MM:
            group = [score for score in scores if (score.kind, score.nominal_mm) == (kind, step_mm)]
            if group:
                yield group


def _change(group: Sequence[PerturbedScore], cutoff: float, patients: Mapping[str, str]) -> Change:
    scored = [score for score in group if score.dls is not None]
    before = np.array([score.unperturbed_dls for score in scored], dtype=np.float64)
    after = np.array([score.dls for score in scored], dtype=np.float64)
    moved = np.array([score.moved_mm for score in scored], dtype=np.float64)
    nothing = not scored
    return Change(
        kind=group[0].kind,
        nominal_mm=group[0].nominal_mm,
        cases=len(scored),
        lost=len(group) - len(scored),
        mean_moved_mm=None if nothing else float(moved.mean()),
        mean_absolute_change=None if nothing else float(np.abs(after - before).mean()),
        mean_absolute_log_odds=None if nothing else float(np.abs(log_odds(after) - log_odds(before)).mean()),
        flipped=changed_share((before >= cutoff) != (after >= cutoff), [patients[score.case] for score in scored]),
        reason="the change leaves nothing of the ROI of any case" if nothing else None,
    )
