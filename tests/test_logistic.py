"""Logistic regressions that are at their maximum, or say that there is none."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from autodls.errors import TrainingError
from autodls.evaluation.calibration import calibration
from autodls.evaluation.logistic import fit_logistic, intercept_at_slope_one, log_likelihood
from autodls.models import recalibration as scale_module
from autodls.models.recalibration import fit_scale


def with_intercept(*columns):
    return np.column_stack([np.ones(len(columns[0])), *columns])


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_statsmodels_where_that_converges(seed):
    chance = np.random.default_rng(seed)
    design = with_intercept(chance.normal(size=80), chance.normal(5, 300, 80))
    positive = chance.random(80) < expit(design[:, 1])
    model = sm.GLM(positive.astype(float), design, family=sm.families.Binomial()).fit(tol=1e-13, maxiter=300)
    found = fit_logistic(positive, design)
    np.testing.assert_allclose(found, model.params, rtol=1e-7)
    assert log_likelihood(positive, design @ found) == pytest.approx(model.llf)


def test_data_on_which_full_newton_steps_run_away():
    """statsmodels issue 1604, turned round to be a probability: -5.296 and 4.603 by R's glm with control."""
    labels = np.repeat([1, 0, 1, 1, 1, 0], [50, 1, 50, 1, 5, 10])
    log_odds = np.repeat([0, 0, -0.001, -100, 1, 1], [50, 1, 50, 1, 5, 10])
    fit = calibration(labels, expit(log_odds))
    assert (fit.slope, fit.intercept) == pytest.approx((-5.296345, 4.603050), abs=1e-5)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.5, 300))
def test_calibration_in_the_large_is_the_root_however_sure_the_score_is(seed, spread):
    chance = np.random.default_rng(seed)
    log_odds = chance.normal(0, spread, 40)
    positive = chance.random(40) < 0.4
    positive[:2] = True, False
    found = intercept_at_slope_one(positive, log_odds)
    assert expit(found + log_odds).sum() == pytest.approx(positive.sum(), abs=1e-8)


@pytest.mark.parametrize(
    "design",
    [
        with_intercept(np.arange(6.0)),
        with_intercept(np.array([0.0, 1, 2, 2, 3, 4])),
        with_intercept(np.ones(6)),
    ],
    ids=["separated", "separated but for a tie", "columns that depend"],
)
def test_no_maximum_is_no_number(design):
    assert fit_logistic(np.arange(6) >= 3, design) is None


def test_a_calibration_without_maximum_has_a_reason(monkeypatch):
    monkeypatch.setattr("autodls.evaluation.calibration.fit_logistic", lambda *_: None)
    labels, scores = np.array([0, 1, 0, 1], dtype=bool), [0.2, 0.4, 0.6, 0.7]
    fit = calibration(labels, scores)
    assert (fit.slope, fit.intercept) == (None, None)
    assert fit.intercept_large == pytest.approx(
        intercept_at_slope_one(np.array([0, 1, 0, 1], bool), logit([0.2, 0.4, 0.6, 0.7]))
    )
    assert "does not converge" in fit.reason


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("prior_sd", [0.1, 1.0, 10.0])
def test_scale_of_a_fold_is_where_the_posterior_is_highest(size, prior_sd):
    chance = np.random.default_rng(3)
    logits = size * chance.normal(0.5, 1, 30)
    labels = chance.random(30) < 0.4
    scale = fit_scale(logits, labels, prior_sd)

    def loss(log_slope, intercept):
        odds = np.exp(log_slope) * logits + intercept
        return np.logaddexp(0, np.where(labels, -odds, odds)).sum() + (log_slope**2 + intercept**2) / (2 * prior_sd**2)

    best = loss(np.log(scale.slope), scale.intercept)
    for step in (-1e-3, 1e-3):
        assert loss(np.clip(np.log(scale.slope) + step, -5, 5), scale.intercept) >= best - 1e-7
        assert loss(np.log(scale.slope), scale.intercept + step) >= best - 1e-7


def test_a_scale_that_does_not_converge_is_no_scale(monkeypatch):
    monkeypatch.setattr(scale_module, "_OPTIONS", {"maxiter": 1})
    with pytest.raises(TrainingError, match=r"scale of 9 scores does not converge \(gradient .*-4 to 4"):
        fit_scale(np.linspace(-4, 4, 9), np.arange(9) % 4 == 0, 10.0)
