"""Youden's cut-off, the confusion table and its proportions, Brier score, net benefit."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodls.errors import ArgumentError
from autodls.evaluation.binary import brier, confusion_at, proportions, wilson, youden_cutoff, youden_index
from autodls.evaluation.bootstrap import resample_counts
from autodls.evaluation.decision_curve import THRESHOLDS, net_benefit, net_benefit_band
from autodls.evaluation.results import Confusion

WILSON = json.loads((Path(__file__).parent / "reference" / "tables.json").read_text())["cases"]["wilson"]
cohorts = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=30).filter(
    lambda rows: 0 < sum(row[0] for row in rows) < len(rows)
)


@settings(deadline=None, max_examples=50)
@given(cohorts)
def test_youden_is_the_best_observed_score_and_the_lowest_of_ties(rows):
    labels, scores = (list(column) for column in zip(*rows, strict=True))

    def index(cutoff):
        counts = confusion_at(labels, scores, cutoff)
        return counts.tp * (counts.fp + counts.tn) - counts.fp * (counts.tp + counts.fn)

    best = max(index(score) for score in scores)
    assert youden_cutoff(labels, scores) == min(score for score in scores if index(score) == best)


@pytest.mark.parametrize(
    ("labels", "scores", "cutoff"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 0.3),
        ([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], 0.1),
        ([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], 0.5),
        ([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], 0.2),
        ([1, 1], [0.1, 0.2], None),
        ([], [], None),
    ],
)
def test_youden_cutoff(labels, scores, cutoff):
    assert youden_cutoff(labels, scores) == cutoff


def test_a_score_at_the_cutoff_is_called_positive():
    assert confusion_at([1, 0], [0.5, 0.5], 0.5) == Confusion(tp=1, fp=1, fn=0, tn=0)
    assert confusion_at([1, 0], [0.5, 0.5], np.nextafter(0.5, 1)) == Confusion(tp=0, fp=0, fn=1, tn=1)


@pytest.mark.parametrize("case", WILSON, ids=lambda case: f"{case['successes']} of {case['total']}")
def test_wilson_agrees_with_r(case):
    estimate = wilson(case["successes"], case["total"])
    assert (estimate.low, estimate.high) == pytest.approx((case["low"], case["high"]), abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_holds_its_estimate(successes, more):
    estimate = wilson(successes, successes + more)
    assert 0 <= estimate.low <= estimate.value + 1e-12
    assert estimate.value - 1e-12 <= estimate.high <= 1


def test_wilson_refuses_impossible_counts():
    with pytest.raises(ArgumentError, match="5 successes of 4"):
        wilson(5, 4)


@pytest.mark.parametrize(
    ("confusion", "null"),
    [
        (Confusion(tp=0, fp=0, fn=3, tn=4), {"ppv"}),
        (Confusion(tp=3, fp=4, fn=0, tn=0), {"npv"}),
        (Confusion(tp=0, fp=1, fn=0, tn=4), {"sensitivity"}),
        (Confusion(tp=2, fp=0, fn=1, tn=0), {"specificity"}),
        (Confusion(tp=0, fp=0, fn=0, tn=0), {"sensitivity", "specificity", "ppv", "npv", "accuracy"}),
    ],
)
def test_ratios_without_a_denominator_are_null(confusion, null):
    rates = proportions(confusion)
    assert {name for name, rate in rates.items() if rate.value is None} == null
    assert all(rates[name].reason and rates[name].low is None for name in null)
    assert (youden_index(confusion).value is None) == bool(null & {"sensitivity", "specificity"})


def test_youden_index_has_no_interval():
    index = youden_index(Confusion(tp=30, fp=19, fn=7, tn=59))
    assert index.value == pytest.approx(30 / 37 + 59 / 78 - 1)
    assert (index.low, index.high) == (None, None)


def test_brier_score():
    assert brier([1, 0, 1], [1.0, 0.0, 0.5]).value == pytest.approx(0.25 / 3)
    assert brier([1, 0], [1.2, 0.5]).value is None
    assert "1.2" in brier([1, 0], [1.2, 0.5]).reason


def test_net_benefit_by_hand():
    """Vickers and Elkin's formula at t = 0.2: TP 2, FP 1 of 5."""
    points = net_benefit([1, 1, 1, 0, 0], [0.9, 0.2, 0.1, 0.3, 0.05])
    point = points[19]
    assert (len(points), point.threshold) == (99, 0.2)
    assert point.model == pytest.approx(2 / 5 - 1 / 5 * 0.25)
    assert point.all == pytest.approx(3 / 5 - 2 / 5 * 0.25)
    assert point.none == 0


def test_net_benefit_equals_treat_all_where_everybody_is_called():
    points = net_benefit([1, 0, 1, 0], [0.6, 0.7, 0.8, 0.9])
    for point in points[:60]:
        assert point.model == pytest.approx(point.all)


def test_net_benefit_wants_probabilities():
    assert net_benefit([1, 0], [-0.1, 0.4]) is None
    assert net_benefit_band([1, 0], [-0.1, 0.4], np.ones((3, 2))) is None


def test_net_benefit_band_surrounds_the_curve():
    rng = np.random.default_rng(4)
    labels = rng.random(200) < 0.3
    scores = np.clip(0.3 + 0.2 * labels + 0.15 * rng.normal(size=200), 0, 1)
    band = net_benefit_band(labels, scores, resample_counts(200, rng, 500))
    curve = np.array([point.model for point in net_benefit(labels, scores)])
    assert band.low.shape == THRESHOLDS.shape
    drawn = np.isfinite(band.low)
    assert drawn[:40].all() and not drawn[-20:].any()  # none where fewer than ten are called
    assert np.all((band.low <= curve + 1e-12)[drawn] & (curve <= band.high + 1e-12)[drawn])
    assert (band.high - band.low)[20] > 0.05
