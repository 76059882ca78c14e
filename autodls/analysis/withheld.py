"""What a sequence is worth to the locked model: the same cases scored with it and without it.

Nothing is trained anew. The model was trained with sequences left out at random, so that it copes; a model that was
trained without the sequence might do better than this one does where it is withheld.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autodls.evaluation.bootstrap import FEWEST_OF_CLASS
from autodls.evaluation.clusters import few_of_a_class
from autodls.evaluation.delong import AucComparison, auc_with_ci, compare_aucs
from autodls.evaluation.intervals import printed_auc
from autodls.evaluation.results import Auc
from autodls.records.case import Case


@dataclass(frozen=True)
class Withheld:
    """AUC of the fused score on the `n` cases of a cohort that have `sequence` and another: with it and without it.

    `gain` is the AUC with it less that without it, paired.
    """

    cohort: str
    sequence: str
    n: int
    positives: int
    with_it: Auc
    without: Auc
    gain: AucComparison


def withheld_of(
    cohort: str,
    sequence: str,
    cases: Sequence[Case],
    full: Mapping[str, float],
    without: Mapping[str, float],
    seed: int,
    *,
    out_of_fold: bool,
) -> Withheld:
    """Judge the labelled `cases` that are in `without`, scores by case id; too few of a class have no figure."""
    held = [case for case in cases if case.label is not None and case.id in without and case.id in full]
    labels, patients = np.array([bool(case.label) for case in held], dtype=bool), [case.patient for case in held]
    n, positives = len(held), int(labels.sum())
    if few := few_of_a_class(labels, patients, FEWEST_OF_CLASS):
        reason = f"{few} patients, and an AUC takes {FEWEST_OF_CLASS} of each class"
        nothing = Auc(reason=reason)
        return Withheld(cohort, sequence, n, positives, nothing, nothing, AucComparison(None, reason=reason))
    both = [np.array([scores[case.id] for case in held]) for scores in (full, without)]
    aucs = [
        printed_auc(labels, one, auc_with_ci(labels, one, patients=patients, out_of_fold=out_of_fold), patients, seed)
        for one in both
    ]
    gain = compare_aucs(labels, both[0], both[1], patients=patients, out_of_fold=out_of_fold)
    return Withheld(cohort, sequence, n, positives, aucs[0], aucs[1], gain)
