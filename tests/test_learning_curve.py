"""How many patients more: what is measured on subsets, what goes on from there, and what sizes and labels allow."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit, logit

from autodls import stats
from autodls.errors import ArgumentError
from autodls.evaluation.delong import auc
from autodls.evaluation.learning_curve import SHARES, CurvePoint, LearningCurve, extrapolate, measure_curve
from autodls.evaluation.sample_size import auc_variance
from autodls.planning.expectation import auc_standard_error

SIZES = (20, 32, 48, 64, 80)


def curve(a, b, c, *, scatter=0.001, error=0.0):
    return LearningCurve(tuple(CurvePoint(n, a - b * n**-c, scatter) for n in SIZES), error)


def at(found, n, **settings):
    return extrapolate(found, n, np.random.default_rng(0), **settings)


@pytest.mark.parametrize(("a", "b", "c"), [(0.9, 0.8, 0.5), (0.85, 2.0, 1.0), (0.95, 0.6, 0.3), (0.7, 0.0, 1.0)])
def test_points_of_a_power_law_go_on_by_it(a, b, c):
    for n in (160, 320):
        found, truth = at(curve(a, b, c), n), a - b * n**-c
        assert found.low <= truth <= found.high
        assert found.value == pytest.approx(truth, abs=0.02)


def test_the_farther_and_the_more_scattered_the_wider():
    near, far = (at(curve(0.9, 0.8, 0.5, scatter=0.01), n) for n in (100, 2000))
    steady, common = at(curve(0.9, 0.8, 0.5), 2000), at(curve(0.9, 0.8, 0.5, error=0.05), 2000)
    width = [one.high - one.low for one in (near, far, steady, common)]
    assert width[0] < width[1] and width[2] < width[1] and width[3] > 0.1


def test_nothing_passes_the_ceiling():
    found = at(curve(0.9, 0.8, 0.5, scatter=0.01, error=0.05), 2000, ceiling=0.88)
    assert found.high <= 0.88


def cohort(patients=50, rows_of=2):
    """Labels and names; every patient has some rows of one class."""
    labels = np.repeat(np.arange(patients) % 2 == 0, rows_of)
    return labels, np.repeat([f"p{number}" for number in range(patients)], rows_of)


def test_what_is_scored_is_never_fitted_to_and_subsets_lie_in_each_other():
    labels, names = cohort()
    calls = []

    def refit(fitted, scored):
        calls.append((set(fitted), set(scored)))
        assert not set(names[fitted]) & set(names[scored])
        assert labels[fitted].mean() == pytest.approx(0.5, abs=0.1)
        return np.random.default_rng(len(calls)).normal(size=len(scored))

    found = measure_curve(labels, list(names), refit, np.random.default_rng(0), repeats=2)
    assert len(calls) == 2 * 5 * len(SHARES)
    for start in range(0, len(calls), len(SHARES)):
        chain = calls[start : start + len(SHARES)]
        assert all(small[0] < large[0] for small, large in pairwise(chain))
        assert chain[-1][0] | chain[-1][1] == set(range(len(labels)))
    assert [point.n for point in found.points] == pytest.approx([80 * share for share in SHARES], abs=3)


def test_noise_promises_nothing():
    labels, names = cohort(80, 1)
    chance = np.random.default_rng(3)
    found = stats.learning_curve(labels, lambda _, scored: chance.normal(size=len(scored)), [320], list(names))
    assert found.at[320].low < 0.5 < found.at[320].high


def test_the_same_seed_gives_the_same_curve():
    labels, names = cohort(60, 1)
    values = np.random.default_rng(0).normal(size=60) + labels
    one, two = (stats.learning_curve(labels, lambda _, scored: values[scored], [200], list(names)) for _ in range(2))
    assert one == two
    assert one.points[0].auc == one.points[-1].auc == pytest.approx(auc(labels, values), abs=0.05)


def test_sizes_are_those_of_the_interval_on_the_logit_scale():
    for value, prevalence, half_width in ((0.8, 0.4, 0.05), (0.7, 0.2, 0.08), (0.9, 0.5, 0.03)):
        n = stats.cases_for_auc(value, prevalence, half_width)
        for size, fits in ((n, True), (n - 1, False)):
            error = np.sqrt(auc_variance(value, size * prevalence, size * (1 - prevalence))) / (value * (1 - value))
            low, high = (expit(logit(value) + sign * 1.959964 * error) for sign in (-1, 1))
            assert ((high - low) / 2 <= half_width) == fits


def test_the_variance_is_that_of_the_plan():
    assert np.sqrt(auc_variance(0.75, 100, 100)) == pytest.approx(auc_standard_error(0.75, 100, 100))
    assert auc_standard_error(0.75, 100, 100) == pytest.approx(0.0344, abs=5e-5)  # Hanley and McNeil


@pytest.mark.parametrize(("kappa", "prevalence", "value"), [(0.7, 0.4, 1.0), (0.5, 0.3, 0.9), (0.85, 0.5, 0.8)])
def test_the_ceiling_is_that_of_two_readers_who_err(kappa, prevalence, value):
    chance, n = np.random.default_rng(0), 400_000
    error = (1 - np.sqrt(1 - 4 * prevalence * (1 - prevalence) * (1 - kappa))) / 2
    truth = chance.random(n) < (prevalence - error) / (1 - 2 * error)
    first, second = (truth ^ (chance.random(n) < error) for _ in range(2))
    by_chance = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
    assert ((first == second).mean() - by_chance) / (1 - by_chance) == pytest.approx(kappa, abs=0.01)
    assert first.mean() == pytest.approx(prevalence, abs=0.005)
    scores = truth.astype(float) if value == 1 else truth * _apart(value) + chance.normal(size=n)
    assert auc(first, scores) == pytest.approx(stats.auc_ceiling(kappa, prevalence, value), abs=0.005)


def _apart(value):
    from scipy.special import ndtri

    return np.sqrt(2) * ndtri(value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.cases_for_auc(1.0, 0.4, 0.05),
        lambda: stats.cases_for_auc(0.8, 0.0, 0.05),
        lambda: stats.auc_ceiling(0.0, 0.4),
        lambda: stats.auc_ceiling(0.7, 0.4, 0.3),
        lambda: stats.learning_curve([0, 1] * 19, lambda _, scored: scored, [100]),
        lambda: stats.learning_curve([0, 1] * 30, lambda _, scored: scored, [100], repeats=1),
        lambda: stats.learning_curve([0, 1] * 30, lambda _, scored: scored[1:], [100]),
    ],
)
def test_what_cannot_be_meant_is_refused(call):
    with pytest.raises(ArgumentError):
        call()
