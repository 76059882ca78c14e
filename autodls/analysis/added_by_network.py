"""What the networks' score adds to a simple candidate, out of fold: likelihood ratio, AUC, net benefit, a sentence.

The simple candidate enters by its out-of-fold log-odds, as the networks' score does. Its noise is then not held against
it twice, but a candidate that is poorly estimated leaves more to be added: what is found here is an upper bound.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import expit

from autodls.analysis.comparison_results import AddedValue, Difference, NetworkAdds
from autodls.analysis.shortcuts import added_value
from autodls.candidates.fold import DEEP
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.bootstrap import bootstrap
from autodls.evaluation.clusters import is_clustered
from autodls.evaluation.decision_curve import net_benefit_at
from autodls.evaluation.delong import auc, compare_aucs
from autodls.evaluation.results import Estimate
from autodls.models.recalibration import cross_fitted
from autodls.records.comparison import FoldComparison
from autodls.records.formatting import p_equation, with_limits
from autodls.seeding import generator

OVER = ("clinical", "radiomics")
CHANCE = "0.5"
_ALPHA = 0.05
_CLUSTERED = "some patients have several cases, which the likelihood-ratio test takes for independent"


def added_by_network(
    truth: Bools,
    scores: Mapping[str, Floats],
    stacks: Mapping[str, tuple[str, ...]],
    folds: Sequence[FoldComparison],
    cases: Sequence[str],
    members: Sequence[str],
    seed: int,
) -> tuple[NetworkAdds, ...]:
    """What the networks add to the clinical columns and to radiomics, of those that were compared."""
    fold_of = {case: fold.fold for fold in folds for case in fold.scores[DEEP]}
    held_by = [fold_of[case] for case in cases]
    return tuple(_beside(name, truth, scores, stacks, held_by, cases, members, seed) for name in OVER if name in scores)


def _beside(
    over: str,
    truth: Bools,
    scores: Mapping[str, Floats],
    stacks: Mapping[str, tuple[str, ...]],
    held_by: Sequence[int],
    cases: Sequence[str],
    members: Sequence[str],
    seed: int,
) -> NetworkAdds:
    both = next((name for name, parts in stacks.items() if set(parts) == {DEEP, over} and name in scores), None)
    base = {f"{over} log-odds": dict(zip(cases, scores[over].tolist(), strict=True))}
    several = is_clustered(members)
    ratio = AddedValue(reason=_CLUSTERED) if several else added_value(truth, scores[DEEP], base, cases)
    deep = _difference(DEEP, over, truth, scores, members)
    with_deep = None if both is None else _difference(both, over, truth, scores, members)
    threshold = float(np.clip(np.round(truth.mean(), 2), 0.01, 0.99))
    judged = [name for name in (over, DEEP, both) if name is not None]
    chances = {name: cross_fitted(truth, expit(scores[name]), held_by) for name in judged}
    gains = _net_benefit_gains(truth, chances, over, threshold, members, seed)
    shown = with_deep or deep
    adds = bool(
        ratio.p is not None and ratio.p < _ALPHA and ratio.sign == 1 and shown.low is not None and shown.low > 0
    )
    return NetworkAdds(
        over=over,
        with_network=both,
        likelihood_ratio=ratio,
        delta_deep=deep,
        delta_with=with_deep,
        threshold=threshold,
        net_benefit={
            name: float(net_benefit_at(truth, chances[name], threshold, np.ones((1, len(truth))))[0]) for name in judged
        },
        net_benefit_deep=gains[DEEP],
        net_benefit_with=gains.get(both) if both is not None else None,
        adds=adds,
        sentence=_sentence(over, ratio, shown, adds=adds),
    )


def _difference(a: str, b: str, truth: Bools, scores: Mapping[str, Floats], members: Sequence[str]) -> Difference:
    """The AUC of `a` less that of `b`, or less 0.5 where that of `b` is below: to be worse than chance is no merit."""
    below = (auc(truth, scores[b]) or 0.0) < 0.5
    second = np.zeros(len(truth)) if below else scores[b]
    found = compare_aucs(truth, scores[a], second, patients=members, out_of_fold=True)
    than = CHANCE if below else b
    return Difference(a=a, b=than, delta=found.delta, low=found.low, high=found.high, p=found.p, reason=found.reason)


def _sentence(over: str, ratio: AddedValue, shown: Difference, *, adds: bool) -> str:
    than = " to chance" if shown.b == CHANCE else ""
    gain = f"difference of AUC{than} {with_limits(shown.delta, shown.low, shown.high)}"
    tested = (
        f"likelihood ratio {p_equation(ratio.p)}" if ratio.p is not None else f"no likelihood ratio: {ratio.reason}"
    )
    if adds:
        return f"Beside {over}, the network adds to the score: {gain}, {tested}."
    if ratio.p is not None and ratio.p < _ALPHA and ratio.sign == 1:
        return (
            f"Beside {over}, the network's score goes with the outcome ({tested}, at its most favourable), but no gain "
            f"that this cohort can show comes of it: {gain}."
        )
    if ratio.p is None:
        return f"Beside {over}, it cannot be tested here whether the network adds to the score: {gain}, {tested}."
    return f"Beside {over}, the network adds nothing that this cohort can show: {gain}, {tested}."


def _net_benefit_gains(
    truth: Bools, chances: Mapping[str, Floats], over: str, threshold: float, members: Sequence[str], seed: int
) -> dict[str, Estimate]:
    """Net benefit of each candidate less that of `over`, with percentile limits of a bootstrap over patients."""
    names = [name for name in chances if name != over]

    def gains(counts: Floats) -> Floats:
        less = net_benefit_at(truth, chances[over], threshold, counts)
        return np.stack([net_benefit_at(truth, chances[name], threshold, counts) - less for name in names])

    once = gains(np.ones((1, len(truth))))[:, 0].tolist()
    drawn = bootstrap(gains, members, generator(seed, "compare", "net benefit", over))
    limits = np.percentile(drawn, [2.5, 97.5], axis=1).T.tolist()
    return {
        name: Estimate(value=value, low=low, high=high)
        for name, value, (low, high) in zip(names, once, limits, strict=True)
    }
