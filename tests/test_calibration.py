"""Calibration slope and intercepts against R's glm, and the calibration curve."""

import json
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm

from autodls.evaluation.binary import brier
from autodls.evaluation.calibration import calibration, calibration_curve

CASES = json.loads((Path(__file__).parent / "reference" / "tables.json").read_text())["cases"]["calibration"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_agrees_with_r(case):
    fit = calibration(case["labels"], case["probability"])
    found = (fit.slope, fit.intercept, fit.intercept_large)
    assert found == pytest.approx((case["slope"], case["intercept"], case["intercept_large"]), abs=1e-9)
    assert brier(case["labels"], case["probability"]).value == pytest.approx(case["brier"], abs=1e-14)
    assert fit.reason is None


def test_recalibrating_by_its_own_fit_is_perfect():
    case = CASES[0]
    fit = calibration(case["labels"], case["probability"])
    again = calibration(case["labels"], expit(fit.intercept + fit.slope * logit(np.array(case["probability"]))))
    assert (again.slope, again.intercept, again.intercept_large) == pytest.approx((1, 0, 0), abs=1e-8)


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([0, 1, 1], [0.1, 1.5, 0.4], "outside 0..1"),
        ([0, 1, 1], [0.0, 0.5, 0.4], "exactly 0 or 1"),
        ([1, 1, 1], [0.1, 0.5, 0.4], "all 3 cases are positive"),
        ([], [], "no cases"),
    ],
)
def test_null_with_a_reason(labels, scores, words):
    fit = calibration(labels, scores)
    assert (fit.slope, fit.intercept, fit.intercept_large) == (None, None, None)
    assert words in fit.reason


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([0.4, 0.4, 0.4, 0.4], "constant"),
        ([0.1, 0.2, 0.8, 0.9], "separated"),
        ([0.9, 0.8, 0.2, 0.1], "separated"),
        ([0.1, 0.5, 0.5, 0.9], "separated"),
    ],
)
def test_only_the_intercept_in_the_large_survives(scores, words):
    fit = calibration([0, 0, 1, 1], scores)
    assert (fit.slope, fit.intercept) == (None, None)
    assert np.isfinite(fit.intercept_large)
    assert words in fit.reason


def test_intercept_in_the_large_of_a_constant_is_the_difference_of_logits():
    assert calibration([0, 0, 0, 1], [0.5] * 4).intercept_large == pytest.approx(logit(0.25))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 0.99)), min_size=1, max_size=60))
def test_curve_counts_every_case_once_in_rising_order(rows):
    labels, scores = (list(column) for column in zip(*rows, strict=True))
    groups = calibration_curve(labels, scores)
    means = [group.mean_probability for group in groups]
    assert sum(group.n for group in groups) == len(rows)
    assert sum(group.n * group.observed.value for group in groups) == pytest.approx(sum(labels))
    assert len(groups) <= 10 and means == sorted(means)


def test_equal_scores_stay_together():
    assert [group.n for group in calibration_curve([0, 1, 0, 1, 1, 1], [0.2, 0.2, 0.2, 0.2, 0.2, 0.9])] == [5, 1]
    assert calibration_curve([], []) == []


@pytest.mark.parametrize("too_extreme", [1.0, 3.0])
def test_limits_in_the_large_hold_also_where_the_slope_is_wrong(too_extreme):
    """By the model's own variance they held in four of five cohorts of probabilities that are three times too extreme.

    Truth: the classes are alike in number and the log-odds symmetric, so the intercept at slope 1 is 0.
    """
    rng, held = np.random.default_rng(0), []
    for _ in range(300):
        log_odds = 1.3 * rng.normal(size=100)
        found = calibration(rng.random(100) < expit(log_odds), expit(too_extreme * log_odds))
        held.append(found.intercept_large_low <= 0 <= found.intercept_large_high)
    assert 0.915 <= np.mean(held) <= 0.985


def test_limits_in_the_large_are_those_of_the_robust_variance_of_statsmodels():
    case = CASES[0]
    labels, log_odds = np.array(case["labels"], dtype=float), logit(np.array(case["probability"]))
    family = sm.families.Binomial()
    fitted = sm.GLM(labels, np.ones((len(labels), 1)), family, offset=log_odds).fit(cov_type="HC0")
    width = 2 * norm.ppf(0.975) * fitted.bse[0] * np.sqrt(len(labels) / (len(labels) - 1))
    found = calibration(case["labels"], case["probability"])
    assert found.intercept_large_high - found.intercept_large_low == pytest.approx(width, rel=1e-6)
