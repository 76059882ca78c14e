"""How the score does by the sequences that were there: cases that lack one have a score from the others.

Groups differ in more than their sequences: who lacks one may be of another scanner, or another sort of patient. So the
groups are set side by side and not tested against each other.
"""

from collections.abc import Sequence

import numpy as np

from autodls.analysis.scored_study import ScoredCase, ScoredCohort, ScoredStudy
from autodls.evaluation.bootstrap import FEWEST_OF_CLASS
from autodls.evaluation.clusters import few_of_a_class
from autodls.evaluation.delong import auc_with_ci
from autodls.evaluation.intervals import printed_auc
from autodls.evaluation.metrics_record import PatternAuc
from autodls.records.scores import FUSED


def sequence_patterns(study: ScoredStudy, cohort: ScoredCohort, *, out_of_fold: bool = False) -> tuple[PatternAuc, ...]:
    """The labelled cases of `cohort` by the sequences that they have, the most frequent first; none where all have all.

    A group with fewer than `FEWEST_OF_CLASS` patients of a class has no AUC, and says so.
    """
    groups: dict[tuple[str, ...], list[ScoredCase]] = {}
    for one in cohort.cases:
        if one.case.label is not None:
            there = tuple(name for name in study.sequences if name in one.scores)
            groups.setdefault(there, []).append(one)
    if set(groups) <= {study.sequences}:
        return ()
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return tuple(_judged(there, members, study.seed, out_of_fold) for there, members in ordered)


def _judged(there: tuple[str, ...], members: Sequence[ScoredCase], seed: int, out_of_fold: bool) -> PatternAuc:
    labels = np.array([bool(one.case.label) for one in members])
    patients = [one.case.patient for one in members]
    counts = PatternAuc(sequences=there, n=len(members), positives=int(labels.sum()))
    if few := few_of_a_class(labels, patients, FEWEST_OF_CLASS):
        return counts.model_copy(update={"reason": f"{few} patients, and an AUC takes {FEWEST_OF_CLASS} of each class"})
    scores = np.array([one.scores[FUSED] for one in members])
    estimate = auc_with_ci(labels, scores, patients=patients, out_of_fold=out_of_fold)
    return counts.model_copy(update=printed_auc(labels, scores, estimate, patients, seed).model_dump())
