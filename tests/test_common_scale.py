"""Folds on one scale, and a probability of their mean that is one."""

from pathlib import Path

import numpy as np
import pytest

from autodls.models.averaged import LEAST_PAIRS, correlation_within_class, scale_of_mean, steepening
from autodls.records.scale import LogisticScale
from autodls.records.scores import FUSED, FoldScore
from autodls.training.common_scale import common_scales, on_common_scale

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ROWS = (FUSED, "T1WI")


@pytest.mark.parametrize(("cases", "folds", "correlation"), [(72, 5, 0.5), (267, 5, 0.7), (72, 3, 0.5)])
def test_slope_of_the_ensemble_on_new_cases_is_one(cases, folds, correlation, monkeypatch):
    """`benchmarks/ensemble_slope.py` has every size, and prints it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from ensemble_slope import trial

    found = [trial(seed, cases, folds, correlation) for seed in range(40 if cases < 100 else 15)]
    before, after, large = (np.mean([getattr(one, name) for one in found]) for name in ("before", "after", "large"))
    assert before > 1.2
    assert 0.9 < after < 1.1
    assert abs(large) < 0.15


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.85])
def test_steepening_is_the_ratio_of_the_slopes_of_the_linear_discriminant(correlation):
    chance, folds, cases = np.random.default_rng(0), 5, 100_000
    scores = correlation**0.5 * chance.normal(size=cases) + (1 - correlation) ** 0.5 * chance.normal(size=(5, cases))
    ratio = scores[0].var() / scores.mean(axis=0).var()  # the distance of the class means is that of both
    assert steepening(correlation, folds) == pytest.approx(ratio, rel=0.03)


def test_mean_and_single_score_agree_where_they_cross():
    single, crossing = LogisticScale(slope=0.8, intercept=-0.3), 0.7
    of_mean = scale_of_mean(single, 0.6, 4, crossing)
    assert of_mean.probability(crossing) == pytest.approx(single.probability(crossing))
    assert of_mean.slope == pytest.approx(0.8 * 4 / (1 + 3 * 0.6))
    assert scale_of_mean(single, 1.2, 4, crossing) == scale_of_mean(single, 1.0, 4, crossing)
    assert scale_of_mean(single, 1.0, 4, crossing).slope == single.slope


def test_correlation_is_taken_within_class_and_fold():
    chance = np.random.default_rng(1)
    labels = np.arange(4000) % 3 == 0
    shared = 0.6**0.5 * chance.normal(size=4000)
    own, other = (shared + 0.4**0.5 * chance.normal(size=4000) + 9 * labels for _ in range(2))
    apart = [(own[:2000] + 5, other[:2000], labels[:2000]), (own[2000:] - 5, other[2000:], labels[2000:])]
    assert correlation_within_class(apart) == pytest.approx(0.6, abs=0.03)


def test_too_few_pairs_say_nothing():
    labels = np.arange(LEAST_PAIRS + 2) % 2 == 0
    values = np.random.default_rng(0).normal(size=len(labels))
    assert correlation_within_class([(values, values, labels)]) == pytest.approx(1.0)
    assert correlation_within_class([(values[:-1], values[:-1], labels[:-1])]) is None
    assert correlation_within_class([(np.zeros(len(labels)), values, labels)]) is None


def fold(chance, slope, shift, cases=range(24), inner=range(12)):
    scores = []
    for case in cases:
        odds = {row: slope * (chance.normal() + (case % 2)) + shift for row in ROWS}
        part = "inner" if case in inner else "validation"
        scores.append(FoldScore(case=str(case), part=part, label=case % 2 == 1, logits=odds, log_odds=odds))
    return scores


LABELS = {str(case): case % 2 == 1 for case in range(24)}


def inner_of(scores, scales, row=FUSED):
    return np.array([on_common_scale(one, scales).log_odds[row] for one in scores if one.part == "inner"])


def test_every_fold_has_the_same_place_and_spread_on_its_inner_hold_out():
    chance = np.random.default_rng(0)
    folds = [fold(chance, slope, shift) for slope, shift in ((0.2, 0.0), (1.0, 3.0), (5.0, -20.0))]
    scales = common_scales(folds, ROWS, LABELS)
    for row in ROWS:
        moved = [inner_of(scores, of_fold, row) for scores, of_fold in zip(folds, scales, strict=True)]
        assert np.ptp([one.mean() for one in moved]) < 1e-9
        assert np.ptp([one.std() for one in moved]) < 1e-9


def test_a_fold_is_scaled_without_the_labels_of_its_cases_and_without_those_it_is_judged_on():
    """Turning a label moves the map that all folds share, never one fold against another."""
    chance = np.random.default_rng(0)
    folds = [fold(chance, slope, 0.0) for slope in (0.2, 1.0, 5.0)]
    turned = common_scales(folds, ROWS, LABELS | {"3": False})
    for before, after in zip(common_scales(folds, ROWS, LABELS), turned, strict=True):
        ratio, shift = after[FUSED].slope / before[FUSED].slope, after[FUSED].intercept
        assert ratio == pytest.approx(turned[0][FUSED].slope / common_scales(folds, ROWS, LABELS)[0][FUSED].slope)
        assert shift - ratio * before[FUSED].intercept == pytest.approx(
            turned[0][FUSED].intercept - ratio * common_scales(folds, ROWS, LABELS)[0][FUSED].intercept
        )
    moved = dict.fromkeys(ROWS, 99.0)
    other = [
        [one if one.part == "inner" else one.model_copy(update={"log_odds": moved}) for one in fold_] for fold_ in folds
    ]
    assert common_scales(other, ROWS, LABELS) == common_scales(folds, ROWS, LABELS)


def test_a_fold_that_scores_all_alike_is_not_blown_up():
    chance = np.random.default_rng(0)
    folds = [fold(chance, slope, 0.0) for slope in (1.0, 1.0, 1e-9)]
    scales = common_scales(folds, ROWS, LABELS)
    assert inner_of(folds[2], scales[2]).std() < 1e-6 * inner_of(folds[0], scales[0]).std()


def test_few_cases_or_one_score_for_all_leave_the_folds_as_they_are():
    chance = np.random.default_rng(0)
    as_it_is = {row: LogisticScale(slope=1.0, intercept=0.0) for row in ROWS}
    few = [fold(chance, 1.0, 0.0, inner=range(4)), fold(chance, 3.0, 0.0)]
    alike = [fold(chance, 1e-300, 1.0) for _ in range(2)]
    for folds in (few, alike):
        assert common_scales(folds, ROWS, LABELS) == (as_it_is, as_it_is)
