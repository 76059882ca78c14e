"""Bootstrap over patients: weights, ties, clusters, and its interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodls.evaluation.bootstrap import bootstrap_aucs, percentile_interval, resample_counts
from autodls.evaluation.delong import auc, auc_with_ci


def drawn_cases(counts):
    return np.repeat(np.arange(len(counts)), counts.astype(int))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.floats(-1, 1)), min_size=2, max_size=20), st.integers(0, 99)
)
def test_weighted_auc_is_the_auc_of_the_drawn_cases(rows, seed):
    labels, first, second = (np.array(column) for column in zip(*rows, strict=True))
    counts = resample_counts(len(rows), np.random.default_rng(seed), resamples=5)
    found = bootstrap_aucs(labels, [first, second], counts)
    for resample, row in enumerate(counts):
        cases = drawn_cases(row)
        for model, scores in enumerate((first, second)):
            expected = auc(labels[cases], scores[cases])
            assert found[model, resample] == pytest.approx(np.nan if expected is None else expected, nan_ok=True)


def test_every_resample_has_as_many_patients_as_the_cohort():
    counts = resample_counts(30, np.random.default_rng(0), resamples=200)
    assert counts.shape == (200, 30)
    assert (counts.sum(axis=1) == 30).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(30), abs=0.35)


def test_all_cases_of_a_patient_are_drawn_together():
    counts = resample_counts(["b", "a", "b", "c"], np.random.default_rng(0), resamples=100)
    np.testing.assert_array_equal(counts[:, 0], counts[:, 2])
    assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_the_generator_decides():
    first, again, other = (resample_counts(9, np.random.default_rng(seed), 4) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_interval_is_near_that_of_delong():
    rng = np.random.default_rng(8)
    labels = np.arange(300) < 100
    scores = rng.normal(size=300) + 1.2 * labels
    estimate = auc_with_ci(labels, scores)
    interval = percentile_interval(estimate.value, bootstrap_aucs(labels, scores, resample_counts(300, rng))[0])
    assert (interval.low, interval.high) == pytest.approx((estimate.low, estimate.high), abs=0.01)


def test_no_interval_from_resamples_of_one_class():
    counts = resample_counts(4, np.random.default_rng(0), 100)
    interval = percentile_interval(1.0, bootstrap_aucs([0, 0, 0, 1], [1, 2, 3, 4], counts)[0])
    assert (interval.value, interval.low) == (1.0, None)
    assert "of 100 resamples hold one class only" in interval.reason
