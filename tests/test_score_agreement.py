"""Agreement of scores against the published examples of Shrout and Fleiss and of Bland and Altman."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from autodls.errors import ArgumentError
from autodls.evaluation.score_agreement import bland_altman, changed_calls, icc, score_agreement

# Shrout and Fleiss 1979, table 2: six targets, four judges.
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
# Bland and Altman 1986, table 1: peak flow of 17 people, first reading of both meters, in l/min.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def pairs(seed, cases=12):
    chance = np.random.default_rng(seed)
    first = chance.normal(size=cases)
    return first, first + chance.normal(0.2, 0.5, cases)


def test_icc_of_shrout_and_fleiss():
    found = icc(JUDGES)
    assert round(found.value, 2) == 0.29
    # The limits are those of R's psych::ICC on the same table.
    assert (found.low, found.high) == (pytest.approx(0.019, abs=1e-3), pytest.approx(0.761, abs=1e-3))


def test_icc_falls_by_a_constant_that_correlation_does_not_see():
    first, second = pairs(0)
    assert icc(np.stack([first, second + 3], axis=1)).value < icc(np.stack([first, second], axis=1)).value
    shifted = icc(np.stack([first, first + 1], axis=1))
    variance = first.var(ddof=1)
    # Between 2 v, judges n/2, rest 0: 2 v / (2 v + 1).
    assert shifted.value == pytest.approx(2 * variance / (2 * variance + 1))
    assert shifted.low is None
    assert "constant" in shifted.reason


def test_scores_that_are_the_same():
    found = score_agreement([0.1, 0.5, 0.9], [0.1, 0.5, 0.9], (0.5, 0.5))
    assert found.icc.value == pytest.approx(1)
    assert (found.bland_altman.bias.value, found.bland_altman.lower_limit.value) == (0, 0)
    assert (found.calls.to_high, found.calls.to_low, found.calls.share.value) == (0, 0, 0)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_icc_does_not_depend_on_order_unit_or_who_is_first(seed):
    first, second = pairs(seed)
    table = np.stack([first, second], axis=1)
    found = icc(table)
    for changed in (table[::-1], table[:, ::-1], 3 * table + 7):
        other = icc(changed)
        assert (other.value, other.low, other.high) == pytest.approx((found.value, found.low, found.high))
    assert found.low < found.value < found.high <= 1


def test_icc_is_of_log_odds_and_its_interval_holds_for_probabilities():
    chance, held = np.random.default_rng(4), {"log-odds": [], "probabilities": []}
    truth = {"log-odds": 4 / 5, "probabilities": None}
    for size in (200_000, *[25] * 300):
        log_odds = chance.normal(0, 2, (size, 1)) + 2 + chance.normal(0, 1, (size, 2))
        probabilities = 1 / (1 + np.exp(-log_odds))
        found = {
            "log-odds": score_agreement(*probabilities.T, (0.5, 0.5)).icc,
            "probabilities": icc(probabilities),
        }
        if size > 25:
            truth["probabilities"] = found["probabilities"].value
            assert found["log-odds"].value == pytest.approx(truth["log-odds"], abs=0.01)
            continue
        for name, one in found.items():
            held[name].append(one.low <= truth[name] <= one.high)
    assert 0.92 <= np.mean(held["log-odds"]) <= 0.98
    assert np.mean(held["probabilities"]) < np.mean(held["log-odds"])


def test_agreement_is_of_probabilities():
    with pytest.raises(ArgumentError, match=r"outside 0\.\.1, e\.g\. 1\.2"):
        score_agreement([0.1, 1.2, 0.3], [0.1, 0.2, 0.3], (0.5, 0.5))


def test_icc_interval_holds_the_truth_as_often_as_it_says():
    chance = np.random.default_rng(4)
    held = []
    for _ in range(300):
        truth, raters = chance.normal(0, 2, (25, 1)), chance.normal(0, 0.5, (1, 2))
        found = icc(truth + raters + chance.normal(0, 1, (25, 2)))
        held.append(found.low <= 4 / (4 + 0.25 + 1) <= found.high)
    assert 0.91 <= np.mean(held) <= 0.99


def test_peak_flow_of_bland_and_altman():
    # They print Wright minus mini: -2.1 l/min (-22.0 to 17.8), limits -79.7 and 75.5.
    found = bland_altman(MINI, WRIGHT)
    assert found.cases == 17
    assert round(found.bias.value, 1) == -2.1
    assert (found.bias.low, found.bias.high) == (pytest.approx(-22.0, abs=0.1), pytest.approx(17.8, abs=0.1))
    # The paper takes 2 SD for the limits and sqrt(3 SD^2 / n) for their error: -114.3 to -45.1.
    limits = [2 / 1.96 * (limit.value - found.bias.value) for limit in (found.lower_limit, found.upper_limit)]
    assert [found.bias.value + limit for limit in limits] == pytest.approx([-79.7, 75.5], abs=0.11)
    half = (found.lower_limit.high - found.lower_limit.low) / 2
    assert half == pytest.approx((114.3 - 45.1) / 2, rel=0.01)


def test_bland_altman_is_second_minus_first():
    assert bland_altman([0.1, 0.2, 0.3], [0.3, 0.4, 0.5]).bias.value == pytest.approx(0.2)


def test_calls_change_at_the_cut_off_of_each_score():
    first, second = [0.40, 0.50, 0.60, 0.90], [0.40, 0.50, 0.60, 0.10]
    assert changed_calls(first, second, (0.5, 0.5)).to_low == 1
    moved = changed_calls(first, second, (0.5, 0.4))
    assert (moved.to_high, moved.to_low) == (1, 1)
    assert moved.share.value == 0.5
    assert moved.share.low < 0.5 < moved.share.high


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([], [], "0 cases"),
        ([0.1, 0.2], [0.1, 0.2], "2 cases"),
        ([0.3, 0.3, 0.3], [0.3, 0.3, 0.3], "do not differ"),
    ],
)
def test_what_cannot_be_had_has_a_reason(first, second, reason):
    found = score_agreement(first, second, (0.5, 0.5))
    assert found.icc.value is None
    assert reason in found.icc.reason
    for part in (found.bland_altman.bias, found.bland_altman.lower_limit, found.calls.share):
        assert (part.value is None) == (part.reason is not None)


def test_scores_of_different_cases_are_refused():
    with pytest.raises(ArgumentError, match=r"\(3,\) and \(2,\)"):
        score_agreement([0.1, 0.2, 0.3], [0.1, 0.2], (0.5, 0.5))


def test_intervals_over_patients_are_those_of_the_patients():
    """Every case thrice says no more than once; the textbook intervals would be narrower by the root of three."""
    rng = np.random.default_rng(1)
    log_odds = rng.normal(0, 2, (40, 1)) + rng.normal(0, 0.7, (40, 2))
    first, second = expit(log_odds).T
    thrice, names = (np.repeat(first, 3), np.repeat(second, 3)), [f"p{at // 3}" for at in range(120)]
    once = score_agreement(first, second, (0.5, 0.5))
    naive, found = (score_agreement(*thrice, (0.5, 0.5), patients) for patients in (None, names))
    parts = (
        lambda one: one.icc,
        lambda one: one.bland_altman.bias,
        lambda one: one.bland_altman.lower_limit,
        lambda one: one.calls.share,
    )
    for part in parts:
        alone, copied, wrong = (part(one).high - part(one).low for one in (once, found, naive))
        assert wrong < 0.75 * alone
        assert copied == pytest.approx(alone, rel=0.35)
    same = score_agreement(first, second, (0.5, 0.5), [f"p{at}" for at in range(40)])
    assert same == once


def test_limits_over_patients_hold_the_truth():
    """Three cases of each of 30 patients, who differ in how the scores differ: 80 % as if they were independent."""
    rng, naive, clustered = np.random.default_rng(5), [], []
    names = np.repeat([f"p{at}" for at in range(30)], 3).tolist()
    for _ in range(60):
        own = np.repeat(rng.normal(size=30), 3) + 0.6 * rng.normal(size=90)
        for held, patients in ((naive, None), (clustered, names)):
            found = bland_altman(np.zeros(90), own, patients).bias
            held.append(found.low <= 0 <= found.high)
    assert np.mean(naive) < 0.85
    assert np.mean(clustered) >= 0.9


def test_few_patients_with_several_cases_have_no_interval():
    names = [f"p{at // 2}" for at in range(12)]
    found = score_agreement(np.linspace(0.1, 0.8, 12), np.linspace(0.2, 0.7, 12), (0.5, 0.5), names)
    for part in (found.icc, found.bland_altman.bias, found.bland_altman.upper_limit):
        assert part.value is not None and part.low is None
        assert "6 are fewer than the 10 of a bootstrap" in part.reason
