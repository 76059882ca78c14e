"""Both models on the cases of the second site: the first one as it came, the updated one by cross-fitting."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autodls.analysis.updating import (
    CrossFitted,
    Update,
    choose_method,
    cross_fit,
    fit_update,
    has_enough_for_slope,
    log_odds_of,
)
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.bootstrap import bootstrap, percentile_interval
from autodls.evaluation.calibration import calibration
from autodls.evaluation.delong import auc_with_ci
from autodls.evaluation.intervals import brier_interval, printed_rates
from autodls.evaluation.results import Estimate
from autodls.evaluation.widened import widened_difference
from autodls.records.update import Figure, Method, ModelUpdate, UpdateFigures
from autodls.seeding import generator


@dataclass(frozen=True)
class Site:
    """Cases of a second site: label, probability by the first model, and fold of each, all (n,)."""

    dataset: str
    labels: Bools
    scores: Floats
    folds: Sequence[int]


@dataclass(frozen=True)
class FirstModel:
    """The SHA-256 of its model.json, its cut-off and the rule that chose it, and its seed."""

    sha256: str
    cutoff: float
    rule: str
    seed: int


def update_of(site: Site, first: FirstModel, asked: Method | None = None) -> tuple[Update, ModelUpdate]:
    """The update that all cases of the site give, and what is told of it; a method that is `asked` for is not chosen.

    Both classes must be there, also without any one of the folds.
    """
    labels, log_odds = site.labels, log_odds_of(site.scores)
    choice = choose_method(labels, log_odds, slope=has_enough_for_slope(labels))
    update = fit_update(labels, log_odds, asked or choice.method, first.cutoff)
    judged = cross_fit(labels, log_odds, site.folds, first.rule, first.cutoff, asked)
    if update.method == "none":  # it is the first model, which needs no folds
        judged = CrossFitted(site.scores, site.scores >= first.cutoff, judged.methods)
    return update, ModelUpdate(
        model_sha256=first.sha256,
        dataset=site.dataset,
        cases=len(labels),
        positives=int(labels.sum()),
        method=update.method,
        asked=asked is not None,
        p_any=choice.p_any,
        p_slope=choice.p_slope,
        slope=update.scale.slope,
        intercept=update.scale.intercept,
        cutoff=update.cutoffs[first.rule],
        cutoff_before=first.cutoff,
        folds=len(set(site.folds)),
        fold_methods=judged.methods,
        auc=_auc(labels, site.scores),
        before=_figures(labels, site.scores, site.scores >= first.cutoff, first.seed),
        after=_figures(labels, judged.probabilities, judged.called, first.seed),
        brier_gain=_brier_gain(labels, site.scores, judged.probabilities, first.seed),
    )


def _figures(labels: Bools, scores: Floats, called: Bools, seed: int) -> UpdateFigures:
    found = calibration(labels, scores)
    rates = printed_rates(labels, np.asarray(called, dtype=np.float64), 0.5)
    large, low, high = found.intercept_large, found.intercept_large_low, found.intercept_large_high
    return UpdateFigures(
        intercept_large=Figure(value=large, low=low, high=high, reason=found.reason if large is None else None),
        slope=Figure(value=found.slope, low=found.slope_low, high=found.slope_high, reason=found.reason),
        brier=_figure(brier_interval(labels, scores, None, seed)),
        sensitivity=_figure(rates["sensitivity"]),
        specificity=_figure(rates["specificity"]),
    )


def _brier_gain(labels: Bools, before: Floats, after: Floats, seed: int) -> Figure:
    """Brier score of `before` (n,) less that of `after` (n,) on the same cases; percentile limits over patients.

    `after` is cross-fitted: each case teaches the folds that score the others, and the resamples take all scores for
    fixed. So the variance is doubled, as that of any out-of-fold difference (`shared_folds`). By simulation the plain
    limits hold the gain of the updated model in 84 to 93 %.
    """
    gains = (before - labels) ** 2 - (after - labels) ** 2
    if not gains.any():
        return Figure(value=0.0, reason="both score alike")
    drawn = bootstrap(lambda counts: counts @ gains / len(gains), len(gains), generator(seed, "update", "brier"))
    return _figure(widened_difference(percentile_interval(float(gains.mean()), drawn)))


def _figure(found: Estimate) -> Figure:
    return Figure(value=found.value, low=found.low, high=found.high, reason=found.reason)


def _auc(labels: Bools, scores: Floats) -> Figure:
    found = auc_with_ci(labels, scores)
    return Figure(value=found.value, low=found.low, high=found.high, reason=found.reason)
