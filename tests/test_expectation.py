"""What a cohort can show, against simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_records import fingerprint

from autodls.planning.expectation import ASSUMED_AUC, auc_standard_error, expect


@pytest.mark.parametrize(("auc", "positives", "negatives"), [(0.75, 27, 7), (0.75, 86, 181), (0.893, 51, 58)])
def test_standard_error_against_simulation(auc: float, positives: int, negatives: int) -> None:
    """The formula is exact for exponential scores, whose means have the ratio AUC / (1 - AUC)."""
    chance = np.random.default_rng(0)
    high = chance.exponential(auc / (1 - auc), (3000, positives, 1))
    low = chance.exponential(1.0, (3000, 1, negatives))
    aucs = (high > low).mean(axis=(1, 2))
    assert aucs.mean() == pytest.approx(auc, abs=0.005)
    assert auc_standard_error(auc, positives, negatives) == pytest.approx(aucs.std(), rel=0.04)


@given(auc=st.floats(0.5, 0.99), positives=st.integers(1, 500), negatives=st.integers(1, 500))
def test_more_cases_are_never_less_precise(auc: float, positives: int, negatives: int) -> None:
    error = auc_standard_error(auc, positives, negatives)
    assert auc_standard_error(auc, 2 * positives, 2 * negatives) < error
    assert error <= 0.5


def test_a_small_cohort_is_told_what_it_cannot_show() -> None:
    small = expect(fingerprint(cases=16, positives=4), folds=2)
    assert small.rarer_class_per_fold == 2.0
    assert small.auc_ci_half_width > ASSUMED_AUC - 0.5
    assert "could not be told from chance" in small.statement
    assert "could hardly be told apart, whatever their AUCs" in small.statement


def test_the_paper_s_training_cohort() -> None:
    """267 patients, 86 with high PD-L1."""
    large = expect(fingerprint(cases=267, positives=86), folds=5)
    assert (large.positives, large.negatives) == (86, 181)
    assert large.rarer_class_per_fold == 17.2
    assert large.auc_ci_half_width == pytest.approx(0.0933, abs=0.001)
    assert "it could be told from chance" in large.statement
    assert "86 positive and 181 negative" in large.statement
