"""Folds on one scale: what the scores of several trained folds have to share before they are pooled or averaged.

A fold's own scale has a slope from ten to forty early-stopping cases, which says next to nothing: the spread of the
log-odds of folds of one study differed by factors of five to ten while their AUCs did not, and the mean of the folds
was that of the widest two. Here the scores of a fold are centred and divided by their standard deviation over its own
early-stopping cases, whatever their labels, and one slope and one intercept serve all folds. Over 41 trained studies on
phantoms (72 and 267 cases) the pooled out-of-fold AUC then falls short of the mean of the folds' own by 0.005 instead
of 0.012 (one slope for all and an intercept a fold: 0.009).

Nothing that judges a case enters its score: location and spread come from cases that are neither validated nor trained
on by the fold, without labels; the slope and the intercept, from all folds' early-stopping cases, are one increasing
map for all scores.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from autodls.models.averaged import Pair, correlation_within_class
from autodls.models.recalibration import WEAK_PRIOR_SD, fit_scale
from autodls.records.scale import LogisticScale, Vector
from autodls.records.scores import FUSED, FoldScore

Scales = Mapping[str, LogisticScale]

_LEAST_CASES = 5  # in the inner hold-out: the spread of fewer is no scale
_LEAST_SPREAD = 0.1  # of that of the other folds: a fold that scores all alike is not blown up


def common_scales(
    folds: Sequence[Sequence[FoldScore]], rows: Sequence[str], labels: Mapping[str, bool]
) -> tuple[dict[str, LogisticScale], ...]:
    """For each fold the map from its log-odds to the scale that all share, by row; from its inner hold-out's scores.

    `labels` are by case. A row that some fold has for fewer than five cases of its inner hold-out stays as it is.
    """
    by_row = {row: shared_scales([_inner(fold, row) for fold in folds], labels) for row in rows}
    return tuple({row: scales[index] for row, scales in by_row.items()} for index in range(len(folds)))


def _inner(fold: Sequence[FoldScore], row: str) -> dict[str, float]:
    return {score.case: score.log_odds[row] for score in fold if score.part == "inner" and row in score.log_odds}


def shared_scales(inner: Sequence[Mapping[str, float]], labels: Mapping[str, bool]) -> list[LogisticScale]:
    """For each fold the map to the scale that all share, from one score of its early-stopping cases, by case."""
    as_it_is = [LogisticScale(slope=1.0, intercept=0.0)] * len(inner)
    if min(len(scores) for scores in inner) < _LEAST_CASES:
        return as_it_is
    values = [np.array(list(scores.values())) for scores in inner]
    spreads = np.array([one.std(ddof=1) for one in values])
    if not (typical := float(np.median(spreads))) > 0:
        return as_it_is
    floored = np.maximum(spreads, _LEAST_SPREAD * typical)
    alike = np.concatenate([(one - one.mean()) / spread for one, spread in zip(values, floored, strict=True)])
    known = np.array([labels[case] for scores in inner for case in scores], dtype=bool)
    shared = fit_scale(alike, known, WEAK_PRIOR_SD)
    return [
        LogisticScale(
            slope=shared.slope / float(spread),
            intercept=shared.intercept - shared.slope * float(one.mean() / spread),
        )
        for one, spread in zip(values, floored, strict=True)
    ]


def on_common_scale(score: FoldScore, scales: Scales) -> FoldScore:
    """`score` with its log-odds on the scale that all folds share."""
    moved = {row: float(scales[row].log_odds(np.array([value]))[0]) for row, value in score.log_odds.items()}
    return score.model_copy(update={"log_odds": moved})


def correlation_between_folds(
    folds: Sequence[Sequence[FoldScore]], scales: Sequence[Scales], pooled: Mapping[str, FoldScore]
) -> float | None:
    """The correlation of the fused scores of two folds within a class (`correlation_within_class`).

    `pooled` holds the out-of-fold score of each case on the common scale, and its label.
    """
    return correlation_within_class(_pair(fold, of_fold, pooled) for fold, of_fold in zip(folds, scales, strict=True))


def _pair(fold: Sequence[FoldScore], scales: Scales, pooled: Mapping[str, FoldScore]) -> Pair:
    inner = _inner(fold, FUSED)
    own: Vector = scales[FUSED].log_odds(np.array(list(inner.values())))
    other = np.array([pooled[case].log_odds[FUSED] for case in inner])
    return own, other, np.array([pooled[case].label for case in inner], dtype=bool)
