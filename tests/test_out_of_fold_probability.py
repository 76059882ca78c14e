"""Calibration of the out-of-fold cohort is not that of the scores which the recalibration was fitted on."""

import numpy as np
import pytest
from scipy.special import logit

from autodls.analysis.out_of_fold import fold_caveats, fold_metrics
from autodls.evaluation.calibration import calibration
from autodls.evaluation.results import Estimate, FoldMetrics
from autodls.models.recalibration import cross_fitted, fit_scale
from autodls.records.scores import FUSED, FoldScore


def pooled(cases=120, folds=3, seed=0):
    """Labels, scores that were recalibrated on themselves, and the fold of each case."""
    chance = np.random.default_rng(seed)
    labels, fold_of = np.arange(cases) % 2 == 0, np.arange(cases) % folds
    log_odds = chance.normal(np.where(labels, 1, -1), 1.5)
    return labels, fit_scale(log_odds, labels, 10.0).probability(log_odds), fold_of


def test_slope_and_intercept_are_no_longer_one_and_zero_by_construction():
    slopes = []
    for seed in range(20):
        labels, scores, fold_of = pooled(seed=seed)
        apparent, honest = calibration(labels, scores), calibration(labels, cross_fitted(labels, scores, fold_of))
        assert apparent.slope == pytest.approx(1, abs=0.01)
        slopes.append(honest.slope)
    assert np.std(slopes) > 0.005
    assert 0.85 < np.mean(slopes) < 1


def test_no_label_of_a_fold_touches_its_own_probabilities():
    labels, scores, fold_of = pooled()
    held = fold_of == 1
    turned = cross_fitted(np.where(held, ~labels, labels), scores, fold_of)
    before = cross_fitted(labels, scores, fold_of)
    np.testing.assert_array_equal(turned[held], before[held])
    assert (turned[~held] != before[~held]).all()


def test_ranks_within_a_fold_stay_and_certainty_has_log_odds():
    labels, scores, fold_of = pooled()
    scores[0], scores[1] = 1.0, 0.0
    found = cross_fitted(labels, scores, fold_of)
    for fold in range(3):
        assert (np.argsort(found[fold_of == fold]) == np.argsort(scores[fold_of == fold])).all()
    assert np.isfinite(logit(found[2:])).all()


def of_fold(spread, auc=0.9, high=0.99, index=0):
    found = Estimate(value=auc, low=0.5, high=high)
    return FoldMetrics(fold=index, n=15, positives=5, auc=found, spread=spread, spread_own=spread, mean=0.0)


def test_a_fold_that_differs_markedly_is_told():
    alike = [of_fold(spread, index=index) for index, spread in enumerate((0.7, 1.0, 1.3))]
    assert not list(fold_caveats(alike))
    (told,) = fold_caveats([*alike, of_fold(2.78, index=3)])
    assert told.startswith("fold 3: its log-odds spread by 2.78")
    (told,) = fold_caveats([*alike, of_fold(1.0, 0.6, 0.8, index=3)])
    assert told.startswith("fold 3: its AUC, 0.60")
    assert not list(fold_caveats([of_fold(None), of_fold(None)]))


def test_a_fold_on_its_own_cases():
    scores = [
        FoldScore(case=str(i), part=part, label=i % 2 == 1, logits={FUSED: 10 * value}, log_odds={FUSED: value})
        for i, (part, value) in enumerate([("validation", v) for v in (-1.0, 0.0, 1.0, 2.0)] + [("train", 99.0)])
    ]
    found = fold_metrics(4, scores)
    assert (found.fold, found.n, found.positives, found.auc.value, found.mean) == (4, 4, 2, 0.75, 0.5)
    assert found.spread_own == pytest.approx(10 * found.spread) == pytest.approx(10 * np.std([-1, 0, 1, 2], ddof=1))
