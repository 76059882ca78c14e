"""Candidates beside each other, out of fold: how good each is, what choosing cost, and what the network adds.

The AUC of "whatever was chosen" pools, over the folds, the score of the candidate that each fold chose in its training
part. To take the candidate that looks best out of fold, and to quote its AUC, is to choose on the test cases: that
figure is shown beside it, as what it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from autodls.analysis.added_by_network import added_by_network
from autodls.analysis.comparison_results import (
    CHOSEN,
    NESTED,
    NOT_NESTED,
    CandidateFold,
    CandidateResult,
    Chosen,
    Comparison,
    DecisionCurves,
    Difference,
)
from autodls.candidates.fold import DEEP
from autodls.errors import ArgumentError
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.clusters import is_clustered
from autodls.evaluation.decision_curve import net_benefit
from autodls.evaluation.delong import auc, auc_with_ci, compare_aucs, holm
from autodls.evaluation.intervals import printed_auc
from autodls.evaluation.results import Auc
from autodls.models.recalibration import cross_fitted
from autodls.records.comparison import FoldComparison
from autodls.records.scale import LogisticScale
from autodls.training.common_scale import shared_scales

_AS_IT_IS = LogisticScale(slope=1.0, intercept=0.0)


@dataclass(frozen=True)
class Compared:
    """What is judged: the folds' comparisons with the labels and the patients of the training cases.

    `pooled` holds scores that replace a candidate's for its own row: the networks', on the scale that folds share.
    `stacks` says which candidates each integrated one is made of.
    """

    folds: Sequence[FoldComparison]
    labels: Mapping[str, bool]
    patients: Mapping[str, str]
    stacks: Mapping[str, tuple[str, ...]]
    pooled: Mapping[str, Mapping[str, float]]
    left_out: Mapping[str, str]
    seed: int


def comparison(given: Compared) -> Comparison:
    """Everything that is said of the candidates; raises ArgumentError where the folds do not hold the same ones."""
    names = _names(given.folds)
    cases = [case for fold in given.folds for case in fold.scores[names[0]]]
    truth = np.array([given.labels[case] for case in cases], dtype=bool)
    members = [given.patients[case] for case in cases]
    scores = {name: _pooled(given, name, cases) for name in names}
    chosen_by = {case: fold.chosen for fold in given.folds for case in fold.scores[names[0]]}
    nested = np.array([scores[chosen_by[case]][at] for at, case in enumerate(cases)])
    judged = {name: _auc(truth, values, members, given.seed) for name, values in scores.items()}
    best = max(names, key=lambda name: _or_less(judged[name].value))
    chosen = Chosen(
        name=best, auc=_auc(truth, nested, members, given.seed), by_fold=tuple(f.chosen for f in given.folds)
    )
    return Comparison(
        n=len(cases),
        positives=int(truth.sum()),
        candidates={name: _candidate(given, name, judged[name]) for name in names},
        chosen=chosen,
        naive=judged[best],
        cost=_difference(best, CHOSEN, truth, scores[best], nested, members),
        differences=_differences(truth, scores, nested, members),
        adds=added_by_network(truth, scores, given.stacks, given.folds, cases, members, given.seed)
        if DEEP in names
        else (),
        decision=_decision(given, truth, scores, cases),
        left_out=dict(given.left_out),
        clustered=is_clustered(members),
        nested=NESTED,
        not_nested=NOT_NESTED if DEEP in names else "",
    )


def _names(folds: Sequence[FoldComparison]) -> list[str]:
    if not folds or not folds[0].scores:
        raise ArgumentError("no candidate can be compared: there is no clinical column, no volume, no model")
    names = list(folds[0].scores)
    for fold in folds:
        if list(fold.scores) != names:
            raise ArgumentError(f"fold {fold.fold} compares {list(fold.scores)}, fold {folds[0].fold} {names}")
    return names


def _pooled(given: Compared, name: str, cases: Sequence[str]) -> Floats:
    """Log-odds of `cases`; of integrated candidates on one scale, by the rule that the networks' are put on one by.

    Their own weights and intercepts, from ten to fifty cases a fold, part the folds as much as a network's would.
    """
    maps = [_AS_IT_IS] * len(given.folds)
    if name in given.stacks:
        maps = shared_scales([fold.early.get(name, {}) for fold in given.folds], given.labels)
    held = given.pooled.get(name) or {
        case: float(scale.log_odds(np.array([score]))[0])
        for fold, scale in zip(given.folds, maps, strict=True)
        for case, score in fold.scores[name].items()
    }
    return np.array([held[case] for case in cases], dtype=np.float64)


def _auc(truth: Bools, values: Floats, members: Sequence[str], seed: int) -> Auc:
    return printed_auc(truth, values, auc_with_ci(truth, values, patients=members, out_of_fold=True), members, seed)


def _or_less(value: float | None) -> float:
    return -1.0 if value is None else value


def _decision(
    given: Compared, truth: Bools, scores: Mapping[str, Floats], cases: Sequence[str]
) -> DecisionCurves | None:
    """Net benefit of the integrated candidate that is made of most, beside its parts."""
    made = {name: parts for name, parts in given.stacks.items() if name in scores}
    if not made:
        return None
    whole = max(made, key=lambda name: len(made[name]))
    fold_of = {case: fold.fold for fold in given.folds for case in fold.scores[whole]}
    held_by = [fold_of[case] for case in cases]
    curves = {
        name: net_benefit(truth, cross_fitted(truth, expit(scores[name]), held_by)) or ()
        for name in (whole, *made[whole])
    }
    first = curves[whole]
    return DecisionCurves(
        thresholds=tuple(point.threshold for point in first),
        treat_all=tuple(point.all for point in first),
        net_benefit={name: tuple(point.model for point in curve) for name, curve in curves.items()},
    )


def _candidate(given: Compared, name: str, found: Auc) -> CandidateResult:
    folds = []
    for fold in given.folds:
        truth = np.array([given.labels[case] for case in fold.scores[name]], dtype=bool)
        values = np.array(list(fold.scores[name].values()))
        folds.append(
            CandidateFold(
                fold=fold.fold,
                auc=auc(truth, values),
                setting=fold.settings.get(name),
                inner_auc=fold.inner.get(name),
                stopping_auc=fold.stopping.get(name),
            )
        )
    chosen_in = tuple(fold.fold for fold in given.folds if fold.chosen == name)
    return CandidateResult(auc=found, folds=tuple(folds), chosen_in=chosen_in, made_of=given.stacks.get(name, ()))


def _difference(a: str, b: str, truth: Bools, first: Floats, second: Floats, members: Sequence[str]) -> Difference:
    found = compare_aucs(truth, first, second, patients=members, out_of_fold=True)
    return Difference(
        a=a, b=b, delta=found.delta, low=found.low, high=found.high, p=found.p, reason=found.reason
    )  # fmt: skip


def _differences(
    truth: Bools, scores: Mapping[str, Floats], nested: Floats, members: Sequence[str]
) -> tuple[Difference, ...]:
    """Every pair of candidates, and what was chosen less each of them; P adjusted over the pairs of candidates."""
    names = list(scores)
    pairs = [
        _difference(a, b, truth, scores[a], scores[b], members) for at, a in enumerate(names) for b in names[at + 1 :]
    ]
    adjusted = holm([pair.p for pair in pairs])
    told = tuple(pair.model_copy(update={"p_holm": p}) for pair, p in zip(pairs, adjusted, strict=True))
    return (*told, *(_difference(CHOSEN, name, truth, nested, scores[name], members) for name in names))
