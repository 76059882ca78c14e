"""The logistic scale of a fold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from autodls.models.recalibration import fit_scale
from autodls.records.scale import LogisticScale, sigmoid

QUICK = hypothesis_settings(deadline=None, max_examples=60)
ROWS = st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=0, max_size=30)


def simulated(slope, intercept, cases=20_000, seed=0):
    chance = np.random.default_rng(seed)
    logits = chance.normal(0.3, 1.5, cases)
    return logits, chance.random(cases) < sigmoid(slope * logits + intercept)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.3, -1.0), (2.5, 0.7), (1.7, 2.0)])
def test_slope_and_intercept_are_recovered(slope, intercept):
    scale = fit_scale(*simulated(slope, intercept))
    assert scale.slope == pytest.approx(slope, rel=0.06)
    assert scale.intercept == pytest.approx(intercept, abs=0.06)


def test_weak_prior_gives_plain_logistic_regression():
    logits, labels = simulated(1.4, -0.5, cases=500)
    plain = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], labels)
    scale = fit_scale(logits, labels, prior_sd=1e3)
    assert scale.slope == pytest.approx(plain.coef_[0, 0], rel=1e-3)
    assert scale.intercept == pytest.approx(plain.intercept_[0], abs=1e-3)


@pytest.mark.parametrize("prior_sd", [1.0, 10.0])
@pytest.mark.parametrize("gap", [1e-3, 1.0, 1e3])
def test_separable_cases_give_a_finite_scale(gap, prior_sd):
    labels = np.arange(20) % 2 == 0
    scale = fit_scale(np.where(labels, gap, -gap), labels, prior_sd)
    assert np.isfinite(scale.log_odds(np.array([-gap, gap]))).all()
    assert scale.slope <= np.exp(5)
    assert scale.probability(np.array([gap]))[0] > 0.5


@pytest.mark.parametrize("label", [True, False])
def test_one_class_alone_moves_the_intercept_its_way_and_stays_finite(label):
    scale = fit_scale(np.linspace(-1, 1, 12), np.full(12, label))
    assert np.sign(scale.intercept) == (1 if label else -1)
    assert abs(scale.intercept) < 5


def test_without_cases_it_is_the_identity():
    scale = fit_scale(np.array([]), np.array([], dtype=bool))
    assert (scale.slope, scale.intercept) == (1.0, 0.0)


def test_few_cases_stay_nearer_to_the_identity_than_many():
    logits, labels = simulated(4.0, 0.0)
    few, many = fit_scale(logits[:10], labels[:10]), fit_scale(logits, labels)
    assert abs(np.log(few.slope)) < abs(np.log(many.slope))


def test_focal_scores_are_spread_out_again():
    """Scores of a focal loss (gamma 2) put a true 0.1 at 0.31 (docs/method.md, section 5); the scale undoes it."""
    chance = np.random.default_rng(1)
    true = chance.choice([0.1, 0.5, 0.9], 30_000)
    focal = np.select([true == 0.1, true == 0.9], [0.31, 0.69], 0.5)
    scale = fit_scale(np.log(focal / (1 - focal)), chance.random(30_000) < true)
    np.testing.assert_allclose(scale.probability(np.log(np.array([0.31, 0.5, 0.69]) / [0.69, 0.5, 0.31])),
                               [0.1, 0.5, 0.9], atol=0.01)  # fmt: skip


@QUICK
@given(ROWS)
def test_any_fit_is_finite_and_keeps_the_ranks(rows):
    logits, labels = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], bool)
    scale = fit_scale(logits, labels)
    assert scale.slope > 0
    assert np.isfinite([scale.slope, scale.intercept]).all()
    ordered = np.sort(logits)
    assert (np.diff(scale.log_odds(ordered)) >= 0).all()
    assert ((scale.probability(ordered) >= 0) & (scale.probability(ordered) <= 1)).all()


@QUICK
@given(st.floats(0.01, 100), st.floats(-10, 10), st.integers(0, 1000))
def test_auc_is_unchanged(slope, intercept, seed):
    logits, labels = simulated(1.0, 0.0, cases=60, seed=seed)
    scaled = LogisticScale(slope=slope, intercept=intercept).log_odds(logits)
    assert roc_auc_score(labels, scaled) == roc_auc_score(labels, logits)


@QUICK
@given(ROWS)
def test_fit_does_not_depend_on_the_order_of_the_cases(rows):
    logits, labels = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], bool)
    forth, back = fit_scale(logits, labels), fit_scale(logits[::-1], labels[::-1])
    probe = np.array([-2.0, 0.0, 2.0])
    np.testing.assert_allclose(forth.probability(probe), back.probability(probe), atol=2e-3)


@pytest.mark.parametrize("slope", [0.0, -1.0, np.inf, np.nan])
def test_scale_that_would_turn_or_lose_the_ranks_is_refused(slope):
    with pytest.raises(ValidationError):
        LogisticScale(slope=slope, intercept=0.0)


def test_sigmoid_neither_overflows_nor_loses_its_symmetry():
    logits = np.array([-1e4, -30.0, 0.0, 30.0, 1e4])
    with np.errstate(all="raise"):
        found = sigmoid(logits)
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1], atol=1e-12)
    np.testing.assert_array_equal(found + found[::-1], 1.0)
