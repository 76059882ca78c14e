"""The verdict on a difference of AUCs: where its interval lies beside 0 and beside the margin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodls.errors import ArgumentError
from autodls.evaluation.delong import auc, compare_aucs
from autodls.evaluation.noninferiority import cases_needed, noninferiority, verdict
from autodls.evaluation.results import Estimate

MARGIN = 0.05


def cohort(cases=60, gap=0.0, noise=0.3, seed=0):
    """Labels, a new score and a reference that share most of what they know; the new one knows `gap` more."""
    chance = np.random.default_rng(seed)
    labels = np.arange(cases) % 2 == 0
    common = chance.normal(1.2 * labels, 1)
    return labels, common + gap * labels + chance.normal(0, noise, cases), common + chance.normal(0, noise, cases)


def judge(labels, new, reference, patients=None, margin=MARGIN):
    patients = patients or [f"p{number}" for number in range(len(labels))]
    rng = np.random.default_rng(1)
    return noninferiority(labels, (new, reference), ("auto", "manual"), patients, margin, rng)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.09, "better"),
        (-0.04, 0.06, "not inferior"),
        (-0.04, -0.01, "worse"),
        (-0.20, -0.06, "worse"),
        (-0.06, 0.06, "not answerable"),
        (-0.05, 0.01, "not answerable"),
        (0.0, 0.0, "not inferior"),
        (None, None, "not answerable"),
    ],
)
def test_verdict_by_the_place_of_the_interval(low, high, expected):
    assert verdict(Estimate(value=0.0, low=low, high=high), MARGIN) == expected


@given(st.floats(-0.5, 0.5), st.floats(0.001, 0.4), st.floats(0.01, 0.3))
def test_a_wider_margin_never_takes_an_answer_back(middle, half, margin):
    delta = Estimate(value=middle, low=middle - half, high=middle + half)
    order = ("not answerable", "not inferior")
    strict, lenient = verdict(delta, margin), verdict(delta, 2 * margin)
    assert strict == lenient or (strict, lenient) == order


@pytest.mark.parametrize(
    ("cases", "gap", "noise", "expected", "words"),
    [
        (400, 1.5, 0.3, "better", "Better: an AUC difference of +0.1"),
        (400, -1.2, 0.3, "worse", "and it may be by more than the declared margin of 0.05"),
        (3000, -0.1, 0.1, "worse", "though by less than the declared margin of 0.05"),
        (3000, 0.0, 0.1, "not inferior", "lies above the declared margin of -0.05"),
        (40, 0.0, 1.0, "not answerable", "cases would be needed for a power of 80%"),
    ],
)
def test_cohorts_with_a_known_answer(cases, gap, noise, expected, words):
    found = judge(*cohort(cases, gap, noise))
    assert found.verdict == expected
    assert words in found.sentence


def test_delta_is_new_minus_reference_and_paired():
    labels, new, reference = cohort(80, 0.5)
    found = judge(labels, new, reference)
    assert found.delong.delta == pytest.approx(auc(labels, new) - auc(labels, reference))
    assert (found.delong.low, found.delong.high) == (
        pytest.approx(compare_aucs(labels, new, reference).low),
        pytest.approx(compare_aucs(labels, new, reference).high),
    )
    assert found.bootstrap.low == pytest.approx(found.delong.low, abs=0.02)


def test_several_cases_of_a_patient_are_one_piece_of_evidence():
    labels, new, reference = (np.repeat(values, 4) for values in cohort(40, 0.0, 0.5))
    patients = [f"p{number // 4}" for number in range(160)]
    alone, clustered = judge(labels, new, reference), judge(labels, new, reference, patients)
    assert (alone.decided_by, clustered.decided_by) == ("delong", "bootstrap")
    width = clustered.bootstrap.high - clustered.bootstrap.low
    assert width > 1.5 * (alone.delong.high - alone.delong.low)
    assert f"{clustered.bootstrap.low:+.3f}" in clustered.sentence
    assert clustered.decisive == clustered.bootstrap


def test_needed_cases_would_have_been_enough():
    few = judge(*cohort(40, 0.0, 0.6, seed=3))
    delta = Estimate(value=few.delong.delta, low=few.delong.low, high=few.delong.high)
    needed = cases_needed(delta, MARGIN, 40)
    many = judge(*cohort(needed, 0.0, 0.6, seed=4))
    assert (many.delong.high - many.delong.low) / 2 == pytest.approx(MARGIN * 1.96 / (1.96 + 0.84), rel=0.35)


def test_as_many_cases_as_needed_have_a_power_of_four_in_five():
    """With as many as make the half-width equal to the margin it is one half."""
    few = [judge(*cohort(60, 0.0, 0.4, seed=seed)).decisive for seed in range(5)]
    needed = int(np.median([cases_needed(delta, MARGIN, 60) for delta in few]))

    def power(cases):
        pairs = (cohort(cases, 0.0, 0.4, seed=100 + seed) for seed in range(150))
        return np.mean([compare_aucs(labels, new, old).low > -MARGIN for labels, new, old in pairs])

    assert 0.7 < power(needed) < 0.93
    assert power(round(needed / 2.04)) < 0.65


@pytest.mark.parametrize(
    ("counts", "change", "why"),
    [
        ((19, 40), lambda score: score, "19 positive, fewer than the 20 of a class"),
        ((40, 19), lambda score: -score, "19 negative, fewer than the 20 of a class"),
        ((40, 40), np.zeros_like, "the score of auto is the same for all cases"),
    ],
)
def test_few_cases_or_a_constant_score_answer_nothing(counts, change, why):
    """Neither by an interval without width nor by a narrow one."""
    labels = np.repeat([True, False], counts)
    reference = labels + np.random.default_rng(0).normal(0, 0.3, labels.size)
    found = judge(labels, change(reference), reference)
    assert found.verdict == "not answerable" and why in found.sentence
    assert found.reason in found.sentence


def test_patients_are_counted_not_their_cases():
    """The bootstrap's limits of 5 and 5 patients, 4 cases each, miss a difference of 0 in one of eight cohorts."""
    labels = np.repeat([True, False], 76)
    rng = np.random.default_rng(0)
    reference = labels + rng.normal(0, 0.3, labels.size)
    patients = [str(at // 4) for at in range(labels.size)]
    found = noninferiority(labels, (reference, reference), ("auto", "manual"), patients, MARGIN, rng)
    assert found.verdict == "not answerable" and "19 positive patients, fewer than the 20" in found.reason


def test_the_same_ranking_of_a_score_that_is_worth_something_is_not_inferior():
    labels, _, reference = cohort(60)
    assert judge(labels, 2 * reference + 1, reference).verdict == "not inferior"


@pytest.mark.parametrize("patients", [None, [f"p{number // 2}" for number in range(2000)]])
def test_a_reference_at_chance_leaves_nothing_to_lose(patients):
    """The interval is narrow and lies above the margin: two worthless scores that hardly differ."""
    chance = np.random.default_rng(1)
    labels, reference = np.arange(2000) // 2 % 2 == 0, chance.normal(size=2000)
    found = judge(labels, reference + chance.normal(0, 0.05, 2000), reference, patients)
    assert found.decisive.low > -MARGIN and found.reference.low < 0.5
    assert found.verdict == "not answerable"
    assert "manual, is itself not shown to be better than chance" in found.sentence
    assert "nothing to lose" in found.sentence


def test_a_reference_that_separates_the_classes_is_better_than_chance():
    labels = np.arange(400) % 2 == 0
    perfect = np.where(labels, 2.0, 0.0) + np.random.default_rng(0).uniform(0, 1, 400)
    found = judge(labels, perfect, perfect)
    assert (found.reference.value, found.verdict) == (1.0, "not inferior")


@given(st.integers(0, 1000), st.integers(2, 6))
def test_limits_of_a_difference_stay_within_minus_one_and_one(seed, half):
    chance = np.random.default_rng(seed)
    labels = np.arange(2 * half) % 2 == 0
    found = compare_aucs(labels, labels + chance.normal(0, 0.4, 2 * half), chance.normal(size=2 * half) - labels)
    assert found.low is None or -1 <= found.low <= found.delta <= found.high <= 1


@pytest.mark.parametrize("labels", [[], [True, True, True], [True, False, False]])
def test_no_interval_no_answer(labels):
    scores = np.linspace(0, 1, len(labels))
    found = judge(np.array(labels, dtype=bool), scores, scores)
    assert found.verdict == "not answerable"
    assert found.delong.low is None
    assert found.delong.reason in found.sentence


def test_a_margin_must_be_above_zero():
    with pytest.raises(ArgumentError, match="margin of 0"):
        judge(*cohort(), margin=0.0)
