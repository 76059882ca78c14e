"""AUC, DeLong's variance and tests: against R's pROC, against the definition, and at the edges."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from autodls.errors import ArgumentError
from autodls.evaluation.delong import (
    auc,
    auc_with_ci,
    compare_aucs,
    delong,
    global_test,
    holm,
    logit_interval,
    placements,
)

CASES = json.loads((Path(__file__).parent / "reference" / "roc.json").read_text())["cases"]
PAIRS = [
    pytest.param(case, test, id=f"{case['name']} {test['a']}-{test['b']}") for case in CASES for test in case["tests"]
]
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
cohorts = st.lists(st.tuples(st.booleans(), st.integers(-4, 4), st.integers(-4, 4)), min_size=4, max_size=40).filter(
    lambda rows: 2 <= sum(row[0] for row in rows) <= len(rows) - 2
)


def naive(labels, scores):
    """AUC and placements by comparing every positive with every negative."""
    positives = [score for label, score in zip(labels, scores, strict=True) if label]
    negatives = [score for label, score in zip(labels, scores, strict=True) if not label]
    wins = np.array([[(p > n) + (p == n) / 2 for n in negatives] for p in positives], dtype=float)
    return wins.mean(), wins.mean(axis=1), wins.mean(axis=0)


@by_name
def test_auc_and_variance_agree_with_proc(case):
    for scores, expected, variance, limits in zip(
        case["scores"], case["auc"], case["variance"], case["interval"], strict=True
    ):
        estimate = auc_with_ci(case["labels"], scores)
        assert estimate.value == pytest.approx(expected, abs=1e-12)
        if variance is None:
            assert (estimate.variance, estimate.low, estimate.plain_low) == (None, None, None)
        else:
            assert estimate.variance == pytest.approx(variance, abs=1e-12)
            assert (estimate.plain_low, estimate.plain_high) == pytest.approx(limits, abs=1e-12)


@pytest.mark.parametrize(("case", "test"), PAIRS)
def test_comparison_agrees_with_proc(case, test):
    first, second = case["scores"][test["a"]], case["scores"][test["b"]]
    comparison = compare_aucs(case["labels"], first, second)
    _, covariance = delong(case["labels"], [first, second])
    assert covariance[0, 1] == pytest.approx(test["covariance"], abs=1e-12)
    assert comparison.z == pytest.approx(test["z"], abs=1e-9)
    assert comparison.p == pytest.approx(test["p"], abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(cohorts)
def test_placements_follow_the_definition(rows):
    labels, scores, _ = (list(column) for column in zip(*rows, strict=True))
    expected, of_positives, of_negatives = naive(labels, scores)
    placed = placements(np.array(labels), np.array(scores, dtype=float))
    assert auc(labels, scores) == pytest.approx(expected, abs=1e-14)
    np.testing.assert_allclose(placed[np.array(labels)], of_positives, atol=1e-14)
    np.testing.assert_allclose(placed[~np.array(labels)], of_negatives, atol=1e-14)


@settings(deadline=None, max_examples=50)
@given(cohorts)
def test_turning_the_score_or_the_labels_mirrors_the_auc(rows):
    labels, scores, _ = (np.array(column) for column in zip(*rows, strict=True))
    estimate, turned = auc_with_ci(labels, scores), auc_with_ci(labels, -scores)
    assert estimate.value + turned.value == pytest.approx(1, abs=1e-12)
    assert auc(~labels, scores) == pytest.approx(turned.value, abs=1e-12)
    assert estimate.variance == pytest.approx(turned.variance, abs=1e-14)


@settings(deadline=None, max_examples=50)
@given(cohorts)
def test_increasing_transformations_change_nothing(rows):
    labels, scores, other = (np.array(column) for column in zip(*rows, strict=True))
    assert auc_with_ci(labels, np.exp(scores)) == auc_with_ci(labels, scores)
    assert compare_aucs(labels, np.exp(scores), other) == compare_aucs(labels, scores, other)


@settings(deadline=None, max_examples=50)
@given(cohorts)
def test_intervals_hold_the_estimate_and_stay_in_range(rows):
    labels, scores, _ = (np.array(column) for column in zip(*rows, strict=True))
    estimate = auc_with_ci(labels, scores)
    assert 0 <= estimate.plain_low <= estimate.value <= estimate.plain_high <= 1
    assert (estimate.low is None) == (estimate.value in (0, 1))
    assert estimate.low is None or 0 <= estimate.low <= estimate.value + 1e-12 <= estimate.high + 2e-12


@settings(deadline=None, max_examples=50)
@given(cohorts)
def test_swapping_the_models_turns_the_sign(rows):
    labels, first, second = (np.array(column) for column in zip(*rows, strict=True))
    forward, backward = compare_aucs(labels, first, second), compare_aucs(labels, second, first)
    assert forward.delta == pytest.approx(-backward.delta, abs=1e-12)
    assert forward.p == pytest.approx(backward.p, abs=1e-9) if forward.p is not None else backward.p is None


@pytest.mark.parametrize(
    ("labels", "scores", "value", "words"),
    [
        ([], [], None, "no cases"),
        ([1, 1, 1], [1, 2, 3], None, "all 3 cases are positive"),
        ([0, 0], [1, 2], None, "all 2 cases are negative"),
        ([1, 0, 0], [2, 1, 3], 0.5, "only 1 case is positive"),
        ([1, 1, 0], [2, 1, 0], 1.0, "only 1 case is negative"),
        ([0, 0, 1, 1], [1, 2, 3, 4], 1.0, "fully separated"),
        ([0, 0, 1, 1], [4, 3, 2, 1], 0.0, "fully separated"),
    ],
)
def test_what_cannot_be_estimated_is_null_with_a_reason(labels, scores, value, words):
    estimate = auc_with_ci(labels, scores)
    assert (estimate.value, estimate.low, estimate.high) == (value, None, None)
    assert words in estimate.reason


def test_a_constant_score_is_worth_one_half():
    estimate = auc_with_ci([0, 0, 1, 1], [7, 7, 7, 7])
    assert (estimate.value, estimate.low, estimate.high, estimate.variance) == (0.5, 0.5, 0.5, 0.0)
    assert "constant" in estimate.reason


@pytest.mark.parametrize("scores", [[1, 2, 3, 4, 5, 6], [1, 5, 2, 2, 5, 9], [1] * 6])
def test_a_model_does_not_differ_from_itself(scores):
    comparison = compare_aucs([0, 0, 0, 1, 1, 1], scores, [10 * score for score in scores])
    assert (comparison.delta, comparison.z, comparison.p) == (0, 0, 1)


def test_a_difference_without_variance_has_no_test():
    comparison = compare_aucs([0, 0, 1, 1], [1, 2, 3, 4], [1, 1, 1, 1])
    assert (comparison.delta, comparison.z, comparison.p) == (0.5, None, None)
    assert "zero variance" in comparison.reason


def test_comparing_with_one_class_or_one_positive():
    assert compare_aucs([1, 1], [1, 2], [2, 1]).delta is None
    alone = compare_aucs([1, 0, 0], [3, 1, 2], [2, 1, 3])
    assert (alone.delta, alone.p) == (0.5, None)


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([0, 1], [0.2, float("nan")], "1 of 2 scores are missing"),
        ([0, 1, 1], [0.2, 0.3], "shape"),
        ([[0, 1]], [[0.1, 0.2]], "shape"),
        ([0, 2], [0.2, 0.3], "got 2"),
        (["low", "high"], [0.2, 0.3], "got high"),
    ],
)
def test_wrong_input_is_refused_by_name(labels, scores, words):
    with pytest.raises(ArgumentError, match=words):
        auc_with_ci(labels, scores)


def test_covariance_needs_two_of_each_class():
    with pytest.raises(ArgumentError, match="only 1 case is positive"):
        delong([1, 0, 0], [[1, 2, 3], [3, 2, 1]])


def test_logit_interval_is_symmetric_on_its_scale():
    low, high = logit_interval(0.8, 0.003)
    assert np.log(low / (1 - low)) + np.log(high / (1 - high)) == pytest.approx(2 * np.log(4))
    assert logit_interval(1.0, 0.0) == (None, None)


def test_coverage_of_the_logit_interval_at_the_papers_size():
    """37 positives of 115 at AUC 0.86: 95 % within simulation error (method.md gives .93-.95)."""
    rng = np.random.default_rng(2025)
    labels = np.arange(115) < 37
    shift = np.sqrt(2) * norm.ppf(0.86)
    estimates = [auc_with_ci(labels, rng.normal(size=115) + shift * labels) for _ in range(600)]
    covered = np.mean([estimate.low <= 0.86 <= estimate.high for estimate in estimates])
    assert 0.92 <= covered <= 0.98


def test_global_test_of_two_models_is_the_square_of_the_pair():
    case = CASES[0]
    pair = compare_aucs(case["labels"], case["scores"][0], case["scores"][2])
    both = global_test(*delong(case["labels"], [case["scores"][0], case["scores"][2]]))
    assert (both.chi2, both.df, both.p) == pytest.approx((pair.z**2, 1, pair.p))


def test_a_duplicate_takes_no_degree_of_freedom():
    case = CASES[0]
    three = global_test(*delong(case["labels"], case["scores"]))
    four = global_test(*delong(case["labels"], [*case["scores"], case["scores"][0]]))
    assert three.df == 2
    assert (four.chi2, four.df) == pytest.approx((three.chi2, three.df))


def test_global_test_without_variance():
    same = global_test(*delong([0, 0, 1, 1], [[1, 2, 3, 4], [2, 3, 4, 5]]))
    assert (same.chi2, same.df, same.p) == (0, 0, 1)
    other = global_test(*delong([0, 0, 1, 1], [[1, 2, 3, 4], [1, 1, 1, 1]]))
    assert other.p is None
    assert "zero variance" in other.reason


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.02, 0.03], [0.03, 0.04, 0.04]),
        ([0.5, 0.9, 0.6], [1.0, 1.0, 1.0]),
        ([0.03, 0.01, 0.04, 0.005], [0.06, 0.03, 0.06, 0.02]),
        ([None, 0.02, None], [None, 0.02, None]),
    ],
)
def test_holm_as_r_p_adjust(raw, adjusted):
    assert holm(raw) == pytest.approx(adjusted)
