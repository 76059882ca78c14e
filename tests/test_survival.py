"""Kaplan-Meier, log-rank and Cox against R's survival; separation; the landmark."""

import json
from pathlib import Path

import numpy as np
import pytest
from firthmodels import FirthCoxPH
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import chi2

from autodls.errors import ArgumentError
from autodls.evaluation.delong import auc
from autodls.evaluation.landmark import auc_ipcw, censoring_survival, ipcw_weights, landmark_benefit
from autodls.evaluation.survival import (
    crossing_time,
    group_survival,
    hazard_ratio,
    kaplan_meier,
    logrank,
    median_follow_up,
    proportional_hazards,
)
from autodls.evaluation.tied_times import tied

CASES = {
    case["name"]: case
    for case in json.loads((Path(__file__).parent / "reference" / "survival.json").read_text())["cases"]
}
FITTED = [name for name, case in CASES.items() if case["cox"]]


def arrays(name):
    """Times, events, score and who is high in a reference case."""
    case = CASES[name]
    score = np.array(case["score"], dtype=float)
    return np.array(case["times"], dtype=float), np.array(case["events"], dtype=bool), score, score >= case["cutoff"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("group", ["all", "high"])
def test_kaplan_meier_agrees_with_r(name, group):
    times, events, _, high = arrays(name)
    chosen = high if group == "high" else np.ones(len(times), dtype=bool)
    expected = CASES[name][group]
    curve = kaplan_meier(times[chosen], events[chosen])
    at = np.searchsorted(curve.times, expected["times"])
    np.testing.assert_allclose(curve.survival[at], expected["survival"], atol=1e-8)
    for limit, of_r in ((curve.low, expected["low"]), (curve.high, expected["high"])):
        given_by_r = np.array([value is not None for value in of_r])
        np.testing.assert_allclose(limit[at][given_by_r], np.array(of_r, dtype=float)[given_by_r], atol=1e-8)
    found = group_survival(times[chosen], events[chosen])
    assert (found.median, found.median_low, found.median_high) == tuple(
        expected[key] for key in ("median", "median_low", "median_high")
    )


@pytest.mark.parametrize("name", CASES)
def test_follow_up_and_logrank_agree_with_r(name):
    times, events, _, high = arrays(name)
    test = logrank(times, events, high)
    assert median_follow_up(times, events) == CASES[name]["follow_up"]
    if CASES[name]["p"] is None:
        assert (test.p, test.reason) == (None, "no events were seen")
    else:
        assert test.chi2 == pytest.approx(CASES[name]["chi2"], abs=1e-8)
        assert test.p == pytest.approx(CASES[name]["p"], abs=1e-9)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("kind", ["cox", "continuous"])
def test_cox_agrees_with_r(name, kind):
    times, events, score, high = arrays(name)
    expected = CASES[name][kind]
    model = hazard_ratio(times, events, high.astype(float) if kind == "cox" else score)
    assert (model.method, model.reason) == ("cox-efron", None)
    assert (model.hr, model.low, model.high) == pytest.approx(
        tuple(expected[key] for key in ("hr", "low", "high")), rel=1e-6
    )
    assert model.p == pytest.approx(expected["p"], abs=1e-9)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("kind", ["cox", "continuous"])
def test_proportional_hazards_check_is_that_of_r(name, kind):
    """cox.zph of survival 3.5.3; that of lifelines is off by up to 0.09 here and by more in months."""
    times, events, score, high = arrays(name)
    found = proportional_hazards(times, events, high.astype(float) if kind == "cox" else score)
    assert found.p == pytest.approx(CASES[name][kind]["zph"], abs=1e-8)


def test_proportional_hazards_check_is_the_score_test_written_out():
    """Months, an event at time 0 and Efron's ties, event by event: U(theta)^2 over the information left by beta."""
    rng = np.random.default_rng(5)
    events, x = rng.random(60) < 0.7, np.round(rng.normal(size=60), 1)
    times = np.ceil(rng.exponential(4 * np.exp(-0.5 * x))) - 1.0
    beta, before = np.log(hazard_ratio(times, events, x).hr), kaplan_meier(times, events)
    g, residual, variance = [], [], []
    for time in np.unique(times[events]):
        tied_events = events & (times == time)
        earlier = before.survival[before.times < time]
        for rank in range(tied_events.sum()):
            weights = np.exp(beta * x) * (times >= time) * np.where(tied_events, 1 - rank / tied_events.sum(), 1)
            mean = np.average(x, weights=weights)
            g.append(1 - (earlier[-1] if len(earlier) else 1.0))
            variance.append(np.average((x - mean) ** 2, weights=weights))
            residual.append(x[tied_events].mean() - mean)
    g, residual, variance = map(np.array, (g, residual, variance))
    information = (g**2 * variance).sum() - (g * variance).sum() ** 2 / variance.sum()
    expected = chi2.sf((g * residual).sum() ** 2 / information, 1)
    assert sum(residual) == pytest.approx(0, abs=1e-6)
    assert proportional_hazards(times, events, x).p == pytest.approx(expected, abs=1e-8)


def test_proportional_hazards_check_sees_crossing_hazards():
    rng = np.random.default_rng(3)
    group = np.arange(400) % 2
    shape = np.where(group == 1, 3.0, 0.6)
    times = rng.weibull(shape)
    assert proportional_hazards(times, np.ones(400, dtype=bool), group.astype(float)).p < 1e-6


def penalised_loglikelihood(times, events, covariate):
    """Firth's for one covariate and no tied times, written out."""

    def at(beta):
        value, information = 0.0, 0.0
        for time, x in zip(times[events], covariate[events], strict=True):
            risk = covariate[times >= time]
            weights = np.exp(beta * risk)
            mean = (weights * risk).sum() / weights.sum()
            value += beta * x - np.log(weights.sum())
            information += (weights * risk**2).sum() / weights.sum() - mean**2
        return value + np.log(information) / 2

    return at


@pytest.mark.parametrize("turn", [1, -1])
def test_separated_data_fall_back_to_firth_with_profile_interval(turn):
    times = np.arange(1.0, 13.0)
    events = np.array([1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], dtype=bool)
    high = turn * np.array([1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0], dtype=float)
    model = hazard_ratio(times, events, high)
    likelihood = penalised_loglikelihood(times, events, high)
    best = minimize_scalar(lambda beta: -likelihood(beta), bounds=(-8, 8), method="bounded", options={"xatol": 1e-9}).x
    drop = lambda beta: likelihood(best) - likelihood(beta) - 3.841458820694124 / 2  # noqa: E731
    assert model.method == "firth-profile"
    assert np.log(model.hr) == pytest.approx(best, abs=1e-5)
    assert np.log(model.low) == pytest.approx(brentq(drop, best - 12, best), abs=1e-4)
    assert np.log(model.high) == pytest.approx(brentq(drop, best, best + 12), abs=1e-4)
    assert "separated" in proportional_hazards(times, events, high).reason


def test_separation_in_a_whole_cohort():
    times, events, _, high = arrays("separated")
    model = hazard_ratio(times, events, high.astype(float))
    direct = FirthCoxPH(backend="numpy", gtol=1e-8).fit(high[:, None].astype(float), (events, times))
    assert model.method == "firth-profile"
    assert 0 < model.low < 1 < model.hr < model.high
    assert model.hr == pytest.approx(np.exp(direct.coef_[0]), rel=1e-5)


@pytest.mark.parametrize(
    ("events", "covariate", "words"),
    [
        ([0, 0, 0, 0], [0, 1, 0, 1], "no events"),
        ([1, 1, 0, 1], [1, 1, 1, 1], "same in all"),
        ([0, 0, 0, 1], [0, 1, 0, 1], "nobody with another value"),
    ],
)
def test_cox_without_information_is_null(events, covariate, words):
    model = hazard_ratio(np.arange(1.0, 5.0), np.array(events, dtype=bool), np.array(covariate, dtype=float))
    assert (model.hr, model.p) == (None, None)
    assert words in model.reason


def test_a_hazard_ratio_beyond_floating_point_is_null():
    times, events, score, _ = arrays("continuous times")
    model = hazard_ratio(times, events, score * 1e-5)
    assert model.hr is None
    assert "scale" in model.reason


def test_logrank_needs_two_groups():
    times, events, _, high = arrays("continuous times")
    assert logrank(times, events, np.ones_like(high)).reason == "all patients are in one group"


def test_the_hazard_ratio_is_high_over_low():
    rng = np.random.default_rng(0)
    high = np.arange(300) % 2 == 0
    times = rng.exponential(np.where(high, 5.0, 15.0))
    model = hazard_ratio(times, np.ones(300, dtype=bool), high.astype(float))
    assert model.low > 1.5 and model.low < 3 < model.high


@pytest.mark.parametrize(
    ("survival", "expected"),
    [
        ([1, 0.8, 0.4], 2),
        ([1, 0.5, 0.4], 1.5),
        ([1, 0.5, 0.5], 1),
        ([1, 0.8, 0.6], None),
        ([1, 0.6, float("nan")], None),
    ],
)
def test_crossing_time(survival, expected):
    assert crossing_time(np.array([0.0, 1.0, 2.0]), np.array(survival)) == expected


@pytest.mark.parametrize("time", [-1.0, float("nan"), float("inf")])
def test_impossible_times_are_refused(time):
    with pytest.raises(ArgumentError, match="survival time"):
        kaplan_meier(np.array([1.0, time]), np.array([True, False]))


def test_real_cohort_reads_as_survival(shared_data):
    rows = np.genfromtxt(shared_data / "tables" / "hn300.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    times, events = rows["Death_days"].astype(float), rows["Death_event"].astype(bool)
    age = rows["Age"].astype(float)
    model = hazard_ratio(times, events, age)
    assert len(times) == 300 and 0 < model.low < model.hr < model.high < 2
    assert logrank(times, events, age >= 60).p is not None


def test_landmark_by_hand():
    """Follow-up 2e 3c 6c 7e 8c at landmark 6: one failed, two undetermined (3c and 6c), two free of the event.

    riskRegression counts 6c as undetermined, and so G(6) = 3/4 x 2/3 of those beyond; 2e weighs 1 / G(2-) = 1.
    """
    times = np.array([2.0, 3, 6, 7, 8])
    events = np.array([1, 0, 0, 1, 0], dtype=bool)
    scores = np.array([0.65, 0.9, 0.4, 0.6, 0.7])
    found = landmark_benefit(times, events, scores, 6)
    assert found.undetermined == 2
    assert found.auc_excluding.value == found.auc_ipcw == pytest.approx(1 / 2)
    assert found.auc_undetermined_benefit == pytest.approx(2 / 4)
    assert found.auc_undetermined_no_benefit == pytest.approx(3 / 6)
    assert found.rate_km == pytest.approx(4 / 5)
    weights = ipcw_weights(times, events, 6, np.ones((1, 5)))
    np.testing.assert_allclose(weights, [[1, 0, 0, 2, 2]])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=30))
def test_weights_add_up_to_the_kaplan_meier_estimate(rows):
    """Sums of the weights over n are the Kaplan-Meier estimates of failure and of survival at the landmark.

    The identity (Satten and Datta, Am Stat 2001;55:207-210) holds only where a row that is censored exactly at the
    landmark is undetermined and those beyond it weigh 1 / G(landmark), not 1 / G(landmark-).
    """
    times, events = np.array([t for t, _ in rows], dtype=float), np.array([e for _, e in rows])
    rate = kaplan_meier(times, events).at(6)
    weights = ipcw_weights(times, events, 6, np.ones((1, len(times))))[0]
    assert weights[times <= 6].sum() / len(times) == pytest.approx(
        1 - kaplan_meier(np.minimum(times, 6.5), events & (times <= 6)).survival[-1]
    )
    if rate:
        assert weights[times > 6].sum() / len(times) == pytest.approx(rate if (times > 6).any() else 0)


def test_weighted_auc_has_an_interval_that_no_order_of_rows_moves():
    times, events, score, _ = arrays("continuous times")
    found = landmark_benefit(times, events, score, 3).auc_ipcw_interval
    turned = landmark_benefit(times[::-1], events[::-1], score[::-1], 3).auc_ipcw_interval
    assert found == turned
    assert (found.method, found.reason) == ("bootstrap-patients", None)
    assert 0 < found.low < found.value < found.high < 1


def test_interval_of_the_weighted_auc_is_that_of_a_plain_bootstrap_without_censoring():
    rng = np.random.default_rng(4)
    times, score = rng.exponential(6, 80), rng.normal(size=80)
    found = landmark_benefit(times, np.ones(80, dtype=bool), score + 0.1 * times, 6)
    assert (found.auc_ipcw_interval.low, found.auc_ipcw_interval.high) == pytest.approx(
        (found.auc_excluding.low, found.auc_excluding.high), abs=0.03
    )


@pytest.mark.parametrize(
    ("times", "events", "scores", "words"),
    [
        ([1, 2, 9, 9], [0, 0, 0, 0], [1, 2, 3, 4], "no weighted AUC"),
        ([1, 2, 9, 9], [1, 1, 0, 0], [1, 2, 3, 4], "and so in every resample"),
        ([1, 9, 9, 9], [1, 0, 0, 0], [2, 1, 3, 4], "resamples hold nobody who failed"),
    ],
)
def test_weighted_auc_without_an_interval_says_why(times, events, scores, words):
    arrays_of = (np.array(times, dtype=float), np.array(events, dtype=bool), np.array(scores, dtype=float))
    found = landmark_benefit(*arrays_of, 6).auc_ipcw_interval
    assert (found.low, found.high) == (None, None)
    assert words in found.reason


def nearly(times, seed=0):
    """The same times off by round-off, as differences of ages come out."""
    start = np.random.default_rng(seed).integers(40, 80, len(times)).astype(float)
    found = (start + times) - start
    assert (found != times).any()
    return found


def test_times_that_differ_by_round_off_are_ties_in_every_routine():
    rng = np.random.default_rng(1)
    times, events, score = np.round(rng.exponential(5, 80), 0) / 5 + 0.2, rng.random(80) < 0.7, rng.normal(size=80)
    high, off = score > 0, nearly(times)
    assert kaplan_meier(off, events).survival.tolist() == kaplan_meier(times, events).survival.tolist()
    assert logrank(off, events, high).chi2 == pytest.approx(logrank(times, events, high).chi2, rel=1e-9)
    for covariate in (score, high.astype(float)):
        found, exact = hazard_ratio(off, events, covariate), hazard_ratio(times, events, covariate)
        assert (found.hr, found.low, found.p) == pytest.approx((exact.hr, exact.low, exact.p), rel=1e-9)
        checked, right = (proportional_hazards(one, events, covariate).p for one in (off, times))
        assert checked == pytest.approx(right, rel=1e-6)
    assert median_follow_up(off, events) == pytest.approx(median_follow_up(times, events))
    assert group_survival(off, events).median == pytest.approx(group_survival(times, events).median)
    first, second = (landmark_benefit(one, events, score, 1.2) for one in (off, times))
    assert first == second
    assert (
        censoring_survival(off, events, times - 0.01).tolist()
        == censoring_survival(times, events, times - 0.01).tolist()
    )


@pytest.mark.parametrize("time", [6.000000000000007, 6.0, 5.999999999999993])
def test_a_time_is_at_the_landmark_to_round_off(time):
    times, events = np.array([time, 5.1, 9.0, 8.0]), np.array([1, 1, 0, 1], dtype=bool)
    assert landmark_benefit(times, events, np.arange(4.0), 6).rate_km == 0.5
    assert kaplan_meier(times, events).at(6) == 0.5
    assert landmark_benefit(times, np.array([0, 1, 0, 1], dtype=bool), np.arange(4.0), 6).undetermined == 1


def test_ties_are_those_of_r():
    """By the source of R's aeqSurv, 1 + 1e-9 is within sqrt(eps) = 1.5e-8 of 1 and 1 + 1e-7 is not.

    R's share is of the mean of all times, so that one absurd time would tie others; ours is of the neighbour.
    """
    assert len(set(tied(np.array([1, 1 + 1e-9, 1 + 1e-7, 3])).tolist())) == 3
    far = tied(np.array([1.0, 1.5, 2.0, 1e12]))
    assert far.tolist() == [1.0, 1.5, 2.0, 1e12]


def test_weights_of_those_who_failed_late_are_larger():
    """After 2 of 5 at risk were censored at 2, a failure at 3 stands for 1 / (1 - 2/5)."""
    times = np.array([1.0, 2, 2, 3, 9, 9])
    events = np.array([1, 0, 0, 1, 0, 0], dtype=bool)
    scores = np.array([0.2, 0.0, 0.0, 0.6, 0.5, 0.5])
    late = 1 / (1 - 2 / 5)
    assert auc_ipcw(times, events, scores, 5) == pytest.approx(1 / (1 + late))


def test_events_come_before_censoring_at_the_same_time():
    times = np.array([1.0, 1, 2, 2, 3])
    events = np.array([1, 0, 1, 0, 0], dtype=bool)
    assert censoring_survival(times, events, np.array([1.0, 2, 2.5, 3.5])) == pytest.approx([1, 3 / 4, 3 / 8, 0])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 5)), min_size=2, max_size=30))
def test_without_censoring_all_landmark_aucs_agree(rows):
    times, scores = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    found = landmark_benefit(times, np.ones(len(times), dtype=bool), scores, 6)
    expected = auc(times > 6, scores)
    values = (found.auc_ipcw, found.auc_excluding.value, found.auc_undetermined_benefit)
    assert values == ((None,) * 3 if expected is None else pytest.approx((expected,) * 3))
    assert (found.undetermined, found.rate_km) == (0, pytest.approx(np.mean(times > 6)))
    assert (found.reason is None) == (expected is not None)


def test_weighting_removes_the_bias_of_censoring():
    rng = np.random.default_rng(12)
    score = rng.normal(size=20_000)
    truth = rng.exponential(6 * np.exp(0.8 * score))
    censoring = rng.exponential(8, size=len(score))
    times, events = np.minimum(truth, censoring), truth <= censoring
    exact = auc(truth > 6, score)
    weighted, known = auc_ipcw(times, events, score, 6), events | (times > 6)
    assert weighted == pytest.approx(exact, abs=0.01)
    assert abs(auc(times[known] > 6, score[known]) - exact) > 4 * abs(weighted - exact)
    assert kaplan_meier(times, events).at(6) == pytest.approx(np.mean(truth > 6), abs=0.012)


def test_rate_past_the_end_of_follow_up_is_null():
    found = landmark_benefit(np.array([1.0, 2, 3]), np.array([1, 0, 0], dtype=bool), np.array([1.0, 2, 3]), 6)
    assert (found.rate_km, found.auc_ipcw, found.undetermined) == (None, None, 2)
    assert "free of the event" in found.reason


@pytest.mark.parametrize("landmark", [0.0, -1.0, float("nan")])
def test_landmark_must_be_a_time(landmark):
    with pytest.raises(ArgumentError, match="landmark"):
        landmark_benefit(np.array([1.0]), np.array([True]), np.array([0.5]), landmark)
