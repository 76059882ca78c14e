"""Apparent against validated performance: how good every score looks, by how well what made it knew the cases.

Apparent (the fold was trained on them), early-stopping set (it chose when to stop), out-of-fold (the fold never saw
them) and held-out cohorts stand side by side. What falls from left to right was optimism. The training AUC is never
the headline: the out-of-fold AUC is what the training cohort can say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.delong import Patients, auc, auc_with_ci
from autodls.evaluation.intervals import printed_auc
from autodls.evaluation.results import Estimate
from autodls.evaluation.subsets import judged_by
from autodls.records.scores import FUSED, FoldScore, Part

_RANGE, _DELONG = "range of the folds", "delong-logit"
_NO_LABEL, _NO_SCORE = "no case of the cohort has a label", "no case of the cohort has this score"


@dataclass(frozen=True)
class Entry:
    """An AUC in one place: `folds` is the number of folds that it is the mean of, 1 where the scores were pooled."""

    n: int
    positives: int
    folds: int
    auc: Estimate
    interval: str


@dataclass(frozen=True)
class LedgerRow:
    """One score in all places, `by_fold` the mean of the folds' AUCs on their validation cases."""

    score: str
    apparent: Entry
    inner: Entry
    by_fold: Entry
    out_of_fold: Entry
    held_out: Mapping[str, Entry]

    @property
    def optimism(self) -> float | None:
        """Apparent less out-of-fold AUC, both means over folds: what pooling loses is no optimism."""
        seen, unseen = self.apparent.auc.value, self.by_fold.auc.value
        return None if seen is None or unseen is None else seen - unseen


def performance_ledger(
    folds: Sequence[Sequence[FoldScore]],
    held_out: Mapping[str, CohortTable],
    patients: Mapping[str, str],
    seed: int,
) -> list[LedgerRow]:
    """A row for the fused score and for each sequence, from the score tables of all folds and of the held-out cohorts.

    Apparent and inner AUC are means over folds, each within its fold, with the range of the folds: a case stands
    in several of them, so there is no honest interval. Out-of-fold scores are pooled on the folds' common scale.
    `patients` gives the patient of each case, by which `seed` draws resamples; a case that it lacks is a patient.
    """
    names = list(dict.fromkeys([FUSED, *(row for fold in folds for score in fold for row in score.log_odds)]))
    return [_ledger_row(name, folds, held_out, patients, seed) for name in names]


def _ledger_row(
    name: str,
    folds: Sequence[Sequence[FoldScore]],
    held_out: Mapping[str, CohortTable],
    patients: Mapping[str, str],
    seed: int,
) -> LedgerRow:
    pooled = sorted((score for fold in folds for score in _held(fold, "validation", name)), key=lambda one: one.case)
    labels, values = _arrays(pooled, name)
    members = [patients.get(score.case, score.case) for score in pooled]
    return LedgerRow(
        score=name,
        apparent=_mean_of_folds(folds, "train", name),
        inner=_mean_of_folds(folds, "inner", name),
        by_fold=_mean_of_folds(folds, "validation", name),
        out_of_fold=_pooled(labels, values, members, seed, out_of_fold=True),
        held_out={cohort: _in_cohort(table, name, seed) for cohort, table in held_out.items()},
    )


def _held(fold: Sequence[FoldScore], part: Part, name: str) -> list[FoldScore]:
    return [score for score in fold if score.part == part and name in score.log_odds]


def _arrays(scores: Sequence[FoldScore], name: str) -> tuple[Bools, Floats]:
    labels = np.array([score.label for score in scores], dtype=bool)
    return labels, np.array([score.log_odds[name] for score in scores], dtype=np.float64)


def _mean_of_folds(folds: Sequence[Sequence[FoldScore]], part: Part, name: str) -> Entry:
    held = [_held(fold, part, name) for fold in folds]
    measured = [auc(*_arrays(scores, name)) if scores else None for scores in held]
    values = [value for value in measured if value is not None]
    cases = {score.case: score.label for scores in held for score in scores}
    if not values:
        return Entry(len(cases), sum(cases.values()), 0, Estimate(reason="no fold holds both classes"), _RANGE)
    lost = len(folds) - len(values)
    reason = f"{lost} of {len(folds)} folds hold one class only" if lost else None
    mean = Estimate(value=float(np.mean(values)), low=min(values), high=max(values), reason=reason)
    return Entry(len(cases), sum(cases.values()), len(values), mean, _RANGE)


def _pooled(labels: Bools, values: Floats, patients: Patients, seed: int, *, out_of_fold: bool) -> Entry:
    measured = auc_with_ci(labels, values, patients=patients, out_of_fold=out_of_fold)
    found = printed_auc(labels, values, measured, patients, seed)
    return Entry(len(labels), int(labels.sum()), 1, found, found.method)


def _in_cohort(table: CohortTable, name: str, seed: int) -> Entry:
    if table.labels is None or name not in table.scores:
        reason = _NO_LABEL if table.labels is None else _NO_SCORE
        positives = 0 if table.labels is None else int(table.labels.sum())
        return Entry(table.n, positives, 0, Estimate(reason=reason), _DELONG)
    held = judged_by(table, name)
    labels = np.asarray(held.labels, dtype=bool)
    return _pooled(labels, held.scores[name], held.patients, seed, out_of_fold=False)
