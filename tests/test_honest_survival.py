"""What is said of follow-up holds: bounds of the landmark AUC, tests that are withheld, hazard ratios one can read."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from autodls.evaluation.caveats import caveats
from autodls.evaluation.cohort_survival import cohort_landmark, cohort_survival, expected_events, labels_follow_time
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.delong import auc
from autodls.evaluation.landmark import landmark_benefit
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.results import Cutoff
from autodls.evaluation.score_auc import CHOSEN_HERE, FOLDS_SHARE, OUT_OF_FOLD
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.survival import hazard_ratio, logrank
from autodls.evaluation.undetermined import auc_bounds
from autodls.report.tables.survival import landmark_table, survival_table

GIVEN = Cutoff(value=0.0, source="given")


def followed(rng, n, hazard=1.0):
    """Times of which some are censored, and events; `hazard` (n,) is that of each patient."""
    times, censored = rng.exponential(4.2 / hazard, n), rng.uniform(3, 30, n)
    return np.minimum(times, censored), times <= censored


def benefit_study(seed, n=72):
    """A score without information, and the label that is benefit beyond 6 months of the same follow-up."""
    rng = np.random.default_rng(seed)
    times, events = followed(rng, n)
    known = events | (times > 6)
    return CohortTable(n, {"dls": rng.normal(size=n)}, times > 6, times, events, labelled=known)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([True, False, None])), min_size=1, max_size=8))
def test_bounds_are_those_of_all_outcomes_of_the_undetermined(rows):
    scores = np.array([score for score, _ in rows], dtype=float)
    known = np.array([outcome is not None for _, outcome in rows])
    benefit = np.array([bool(outcome) for _, outcome in rows])
    found = []
    for outcomes in product((False, True), repeat=int((~known).sum())):
        tried = benefit.copy()
        tried[~known] = outcomes
        found.append(auc(tried, scores))
    there = [value for value in found if value is not None]
    bounds = auc_bounds(benefit, known, scores)
    assert bounds == (pytest.approx((min(there), max(there))) if there else None)


def test_the_auc_without_censoring_lies_within_the_bounds_and_not_within_the_pair_of_extremes():
    rng, inside, between = np.random.default_rng(2), [], []
    for _ in range(60):
        score = rng.normal(size=60)
        truth = rng.exponential(8 * np.exp(0.5 * score))
        censored = rng.exponential(8, 60)
        found = landmark_benefit(np.minimum(truth, censored), truth <= censored, score, 6)
        pair = sorted((found.auc_undetermined_benefit, found.auc_undetermined_no_benefit))
        complete = auc(truth > 6, score)
        inside.append(found.auc_undetermined_lowest <= complete <= found.auc_undetermined_highest)
        between.append(pair[0] <= complete <= pair[1])
    assert all(inside)
    assert np.mean(between) < 0.6


def test_a_cutoff_chosen_on_labels_of_the_same_follow_up_tests_nothing():
    """Of empty scores the log-rank test would call 17 to 22 % significant; here it is made, and then not printed."""
    would, printed = [], []
    for seed in range(40):
        cohort = benefit_study(seed)
        found = evaluate_table(ScoreTable(("dls",), {"all": cohort})).cohorts["all"]
        cutoff = found.scores["dls"].cutoff.value
        would.append((logrank(cohort.times, cohort.events, cohort.scores["dls"] >= cutoff).p or 1) < 0.05)
        printed.append((found.survival.logrank.p, found.survival.cox.p, found.survival.proportional_hazards.p))
        if found.survival.groups["low"].n:
            assert found.survival.logrank.reason == found.survival.cox.reason == CHOSEN_HERE
        assert found.survival.groups["high"].n + found.survival.groups["low"].n == cohort.n
    assert np.mean(would) > 0.1
    assert set(printed) == {(None, None, None)}


@pytest.mark.parametrize(
    ("source", "own", "from_time", "tested"),
    [
        ("youden:train", True, False, False),
        ("youden:train", True, True, False),
        ("youden:train", False, True, True),
        ("given", False, True, True),
        (f"class_medians:{OUT_OF_FOLD}", True, False, True),
        (f"class_medians:{OUT_OF_FOLD}", True, True, False),
        (f"class_medians:{OUT_OF_FOLD}", False, True, True),
    ],
)
def test_tests_of_the_groups_are_withheld_where_their_labels_chose_the_cutoff(source, own, from_time, tested):
    cohort = replace(benefit_study(1), out_of_fold=own and source.endswith(OUT_OF_FOLD))
    if not from_time:
        cohort = replace(cohort, labels=np.arange(72) % 3 == 0, labelled=None)
    found = cohort_survival(cohort, "dls", Cutoff(value=0.0, source=source, own=own))
    assert found.label_from_time == from_time
    assert (found.logrank.p is not None) == (found.cox.hr is not None) == tested
    learnt = from_time and cohort.out_of_fold
    assert (found.cox_per_sd.reason, found.cox_continuous.reason) == ((FOLDS_SHARE,) * 2 if learnt else (None, None))
    assert (found.cox_per_sd.p is None) == learnt and found.cox_per_sd.hr is not None


def test_landmark_aucs_out_of_fold_have_the_wider_limits_of_shared_folds():
    cohort = benefit_study(1)
    plain, wide = (cohort_landmark(replace(cohort, out_of_fold=folds), "dls", 6, 0) for folds in (False, True))
    for one, other in ((plain.auc_excluding, wide.auc_excluding), (plain.auc_ipcw_interval, wide.auc_ipcw_interval)):
        assert other.low < one.low < one.value == other.value < one.high < other.high


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(1, 12), st.booleans())
def test_labels_that_are_made_from_the_time_are_known(seed, landmark, turned):
    """Also where what the label says of patients who were censored too early is noise."""
    rng = np.random.default_rng(seed)
    times, events = followed(rng, 40)
    labels = np.where(events | (times > landmark), times > landmark, rng.random(40) < 0.5)
    both = (events & (times <= landmark)).any() and (times > landmark).any()
    both = both and 2 * (events | (times > landmark)).sum() >= 40
    cohort = CohortTable(40, {}, labels ^ turned, times, events)
    assert labels_follow_time(cohort) or not both


@pytest.mark.parametrize("hazard", [1.0, 2.5, 0.4])
def test_labels_that_only_predict_the_time_are_not_taken_for_it(hazard):
    rng = np.random.default_rng(9)
    for _ in range(40):
        labels = np.arange(40) % 3 == 0
        times, events = followed(rng, 40, np.where(labels, hazard, 1.0))
        assert not labels_follow_time(CohortTable(40, {}, labels, times, events))


def test_groups_that_expect_too_few_events_have_curves_and_no_tests():
    rng = np.random.default_rng(4)
    times, events = followed(rng, 60)
    score = np.where(np.arange(60) < 2, 1.0, -1.0)
    high = score > 0
    expected = expected_events(events, high)
    assert expected == pytest.approx(events.sum() * 2 / 60)
    assert expected < 3
    found = cohort_survival(CohortTable(60, {"dls": score}, None, times, events), "dls", GIVEN)
    assert (found.logrank.p, found.cox.hr, found.proportional_hazards.p) == (None, None, None)
    assert found.cox.reason == f"{expected:.1f} events expected in a group, fewer than 3"
    assert found.groups["high"].n == 2


def test_the_log_rank_test_of_a_tiny_group_errs_and_is_not_printed():
    """Two of 24 patients: nominal 5 %, 11 % by simulation."""
    rng, would, high = np.random.default_rng(6), [], np.arange(24) < 2
    for _ in range(100):
        times, events = followed(rng, 24)
        would.append(logrank(times, events, high).p < 0.05)
        assert expected_events(events, high) < 3
    assert np.mean(would) > 0.07


def test_hazard_ratio_per_standard_deviation_of_the_log_odds():
    rng = np.random.default_rng(3)
    log_odds = rng.normal(0, 1.5, 120)
    times, events = followed(rng, 120, np.exp(0.4 * log_odds))
    of = {"dls": expit(log_odds), "raw": log_odds}
    found = {
        name: cohort_survival(CohortTable(120, {name: values}, None, times, events), name, GIVEN)
        for name, values in of.items()
    }
    direct = hazard_ratio(times, events, log_odds)
    assert (found["dls"].score_scale, found["raw"].score_scale) == ("log-odds", "score")
    assert found["dls"].score_sd == pytest.approx(log_odds.std(ddof=1))
    for one in found.values():
        assert one.cox_per_sd.hr == pytest.approx(direct.hr ** log_odds.std(ddof=1), rel=1e-6)
        assert one.cox_per_sd.p == pytest.approx(direct.p, rel=1e-4)
    assert logit(of["dls"]).std(ddof=1) == pytest.approx(found["raw"].score_sd)


def test_rate_of_benefit_has_the_log_log_interval():
    """By hand: S(6) = 3/4 of 4, Greenwood's sum 1 / (4 x 3), limits S^exp(+-1.96 sqrt(1/12) / log S)."""
    times, events = np.array([2.0, 7, 8, 9]), np.array([1, 1, 0, 0], dtype=bool)
    found = landmark_benefit(times, events, np.arange(4.0), 6).rate_km_interval
    half = 1.959963984540054 * np.sqrt(1 / 12) / np.log(0.75)
    assert (found.low, found.high) == pytest.approx((0.75 ** np.exp(-half), 0.75 ** np.exp(half)))
    nobody = landmark_benefit(times, np.zeros(4, dtype=bool), np.arange(4.0), 6).rate_km_interval
    assert (nobody.value, nobody.low) == (1.0, None) and "no log-log interval" in nobody.reason


@pytest.mark.parametrize(("depends", "said"), [(0.0, False), (1.0, True)])
def test_censoring_that_depends_on_the_score_is_told(depends, said):
    rng = np.random.default_rng(8)
    score = rng.normal(size=150)
    truth, censored = rng.exponential(10, 150), rng.exponential(8 * np.exp(depends * score))
    cohort = CohortTable(150, {"dls": score}, None, np.minimum(truth, censored), truth <= censored)
    metrics = evaluate_table(ScoreTable(("dls",), {"all": cohort}), Choices(cutoffs={"dls": 0.0}, landmark=6))
    found = metrics.cohorts["all"].landmark.censoring
    assert (found.p < 0.05) == said
    assert any("who was censored by 6 depends on the score" in text for text in caveats(metrics.cohorts)) == said


def test_tables_print_the_score_beside_the_groups_and_what_the_weights_suppose():
    metrics = evaluate_table(ScoreTable(("dls",), {"all": benefit_study(3)}), Choices(landmark=6))
    of_survival, of_landmark = (table(metrics).printed for table in (survival_table, landmark_table))
    line = dict(zip(of_survival.header, of_survival.lines[0], strict=True))
    assert "(" in line["HR per SD (95% CI)"] and line["P (log-rank)"] == "\N{EN DASH}"
    assert line["Median, low (95% CI)"].count("\N{EN DASH}") == 1
    assert any("makes part of the difference" in note for note in of_survival.notes)
    line = dict(zip(of_landmark.header, of_landmark.lines[0], strict=True))
    assert "(" in line["Rate (95% CI)"] and " to " in line["AUC, least to greatest possible"]
    assert any("depends neither on the score nor on the outcome" in note for note in of_landmark.notes)
