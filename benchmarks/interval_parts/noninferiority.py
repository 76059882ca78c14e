"""Non-inferiority: the error at the margin, and the power at as many cases as the sentence says are needed."""

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri

from autodls.evaluation.delong import compare_aucs
from autodls.evaluation.noninferiority import FEWEST_FOR_NONINFERIORITY, cases_needed
from autodls.evaluation.results import Estimate
from interval_parts import Row
from interval_parts.linear_study import Bools, Design, Floats, cross_validated

Pair = tuple[Floats, Floats]
MARGIN = 0.05
_FEATURES, _INFORMATIVE = 30, 5
_FORMER_FEWEST = 10


def rows(studies: int) -> Iterator[Row]:
    """Out of fold, held out, and power."""
    for design in (Design(36, 11), Design(72, 22), Design(150, 50)):
        for kept in (1.0, 0.7):
            setting = f"{design.cases} cases, {design.positives} positive, {kept:.0%} of signal"
            yield error_out_of_fold(design, kept, studies, setting)
    for cases, positives, auc in ((36, 11, 0.8), (72, 22, 0.8), (72, 22, 0.92), (150, 50, 0.92)):
        yield _error_held_out(cases, positives, auc, studies)
    for auc, correlation in ((0.8, 0.8), (0.75, 0.5)):
        yield _power(auc, correlation, max(studies // 8, 20))


def error_out_of_fold(design: Design, kept: float, studies: int, setting: str) -> Row:
    """The verdict at a margin that is the true loss: two noisy views of the same patients, one with `kept` signal."""
    rng = np.random.default_rng(design.cases)
    gap = np.zeros(_FEATURES)
    gap[:_INFORMATIVE] = 1.6 / np.sqrt(_INFORMATIVE)
    sides = np.where(design.labels, 0.5, -0.5)[:, None]
    shape = (studies, design.cases, _FEATURES)
    common = np.sqrt(0.6) * rng.normal(size=shape)
    views = [common + np.sqrt(0.4) * rng.normal(size=shape) + sides * part for part in (gap * kept, gap)]
    new, reference = (cross_validated(design, view, part) for view, part in zip(views, (gap * kept, gap), strict=True))
    true_loss = float(new.truth.mean() - reference.truth.mean())
    pairs = list(zip(new.scores, reference.scores, strict=True))
    before, after = (
        _share_above(design.labels, pairs, true_loss, fewest, out_of_fold=kind)
        for fewest, kind in ((_FORMER_FEWEST, False), (FEWEST_FOR_NONINFERIORITY, True))
    )
    return Row("'not inferior' out of fold, at the margin", setting, before, after, most=3.5)


def _error_held_out(cases: int, positives: int, auc: float, studies: int) -> Row:
    rng = np.random.default_rng(cases)
    labels = np.arange(cases) < positives
    pairs = [two_scores(labels, (auc - MARGIN, auc), 0.8, rng) for _ in range(studies)]
    before, after = (
        _share_above(labels, pairs, -MARGIN, fewest) for fewest in (_FORMER_FEWEST, FEWEST_FOR_NONINFERIORITY)
    )
    setting = f"{cases} cases, {positives} positive, AUC {auc:g}"
    return Row("'not inferior' held out, at the margin", setting, before, after, most=5)


def _power(auc: float, correlation: float, studies: int) -> Row:
    rng = np.random.default_rng(3)
    labels = np.arange(72) < 22
    first = [_difference(labels, two_scores(labels, (auc, auc), correlation, rng)) for _ in range(studies)]
    needed = int(np.median([cases_needed(one, MARGIN, 72) or 0 for one in first]))
    shares = []
    for cases in (round(needed / 2.0427), needed):
        held = np.arange(cases) < round(cases * 22 / 72)
        pairs = [two_scores(held, (auc, auc), correlation, rng) for _ in range(studies)]
        shares.append(_share_above(held, pairs, -MARGIN, 0))
    setting = f"AUC {auc:g}, correlation {correlation:g}: {needed} cases"
    before, after = shares
    return Row("'not inferior' of equal scores at 'cases needed'", setting, before, after, least=74, most=87)


def two_scores(labels: Bools, aucs: tuple[float, float], correlation: float, rng: np.random.Generator) -> Pair:
    """Two normal scores [case] of known AUCs."""
    common, *own = rng.normal(size=(3, len(labels)))
    first, second = (
        np.sqrt(correlation) * common + np.sqrt(1 - correlation) * noise + np.sqrt(2) * ndtri(auc) * labels
        for noise, auc in zip(own, aucs, strict=True)
    )
    return first, second


def _difference(labels: Bools, pair: Pair) -> Estimate:
    found = compare_aucs(labels, *pair)
    return Estimate(value=found.delta, low=found.low, high=found.high)


def _share_above(
    labels: Bools, pairs: list[Pair], limit: float, fewest: int, *, out_of_fold: bool = False
) -> float | None:
    """Percentage of pairs whose interval lies above `limit`; None where a class is too small for an answer."""
    if min(labels.sum(), (~labels).sum()) < fewest:
        return None
    lows = [compare_aucs(labels, *pair, out_of_fold=out_of_fold).low for pair in pairs]
    return float(100 * np.mean([low is not None and low > limit for low in lows]))
