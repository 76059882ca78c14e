"""What a reader must hear first is told first, and what is alike is told once."""

import numpy as np
import pytest

from autodls.analysis.findings import KINDS, NEWS, OPTIMISTIC, OTHER, UNSURE, by_kind, kind_of, merged
from autodls.analysis.news import Gain, difference, news
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.randomisation import weights_verdict
from autodls.evaluation.results import Calibration, Estimate
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.scores_table import ScoreTable


def study(lost: int, sequence: float = 0.0) -> Metrics:
    """Twenty of either class, all called right out of fold; externally `lost` positives score as low as negatives."""
    labels = np.arange(40) < 20
    right = np.where(labels, 0.8, 0.2) + np.linspace(0, 0.01, 40)
    wrong = np.where(np.arange(40) < lost, 0.2, right)
    scores = {"dls": wrong, "T1WI": wrong + sequence * labels}
    cohorts = {
        OUT_OF_FOLD: CohortTable(40, {"dls": right, "T1WI": right}, labels),
        "external": CohortTable(40, scores, labels),
    }
    return evaluate_table(ScoreTable(("dls", "T1WI"), cohorts), Choices(cutoffs={"dls": 0.5, "T1WI": 0.5}))


def test_sensitivity_that_is_lost_at_another_site_is_told_with_its_interval() -> None:
    told = news(study(lost=8))
    # Newcombe's method 10 of 20/20 and 12/20, from Wilson's limits (0.8389, 1) and (0.3866, 0.7812)
    assert told[0] == "cohort external: sensitivity fell from 1.00 out of fold to 0.60, by 0.40 (95% CI 0.16 to 0.61)"
    assert not any("specificity" in text for text in told)
    assert news(study(lost=0)) == []
    assert "chance alone may explain it" in news(study(lost=2))[0]


@pytest.mark.parametrize(
    ("counts", "expected"),  # Newcombe 1998, Table II, method 10
    [
        ((56, 70, 48, 80), (0.2, 0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.6, 0.1705, 0.8090)),
        ((5, 56, 0, 29), (0.0893, -0.0381, 0.1926)),
        ((10, 10, 0, 10), (1.0, 0.6075, 1.0)),
    ],
)
def test_difference_of_rates_is_that_of_newcombe(counts: tuple[int, ...], expected: tuple[float, ...]) -> None:
    def wilson(hits: int, n: int) -> Estimate:
        z2, p = 1.959963984540054**2, hits / n
        half = (z2 * p * (1 - p) / n + (z2 / (2 * n)) ** 2) ** 0.5
        return Estimate(
            value=p, low=(p + z2 / (2 * n) - half) / (1 + z2 / n), high=(p + z2 / (2 * n) + half) / (1 + z2 / n)
        )

    first, n_first, second, n_second = counts
    assert difference(wilson(first, n_first), wilson(second, n_second)) == pytest.approx(expected, abs=5e-5)


def test_a_sequence_or_a_baseline_above_the_model_is_told() -> None:
    told = news(study(lost=8, sequence=0.7), [Gain("age", 0.9, -0.02, -0.1, 0.06), Gain("site", 0.5, 0.3, 0.2, 0.4)])
    assert any(text.startswith("cohort external: T1WI alone reaches an AUC of 1.000, dls 0.") for text in told)
    [baseline] = [text for text in told if "baseline" in text]
    assert "'age' reaches an out-of-fold AUC of 0.900 without the images, more than the model" in baseline
    assert "not shown to be better (gain 0.050" in news(study(0), [Gain("age", 0.8, 0.05, -0.03, 0.13)])[0]
    below_chance = Gain("age", 0.443, 0.136, -0.2, 0.5, over_chance=True)
    assert "better (gain over chance 0.136" in news(study(0), [below_chance])[0]


def test_calibration_far_off_is_told_of_held_out_cohorts_alone() -> None:
    metrics = study(lost=0)
    for name, half, said in ((OUT_OF_FOLD, 0.5, 0), ("external", 0.5, 2), ("external", 2.5, 0)):
        held = metrics.cohorts[name].scores["dls"]
        limits = {"slope_low": 3.11 - half, "slope_high": 3.11 + half, "intercept_large_low": -0.9 - half}
        found = Calibration(slope=3.11, intercept=0.0, intercept_large=-0.9, intercept_large_high=-0.9 + half, **limits)
        off = held.model_copy(update={"calibration": found})
        scores = {**metrics.cohorts[name].scores, "dls": off}
        changed = metrics.model_copy(
            update={"cohorts": {**metrics.cohorts, name: metrics.cohorts[name].model_copy(update={"scores": scores})}}
        )
        told = news(changed)
        assert len(told) == said
        assert not said or ("slope 3.11" in told[0] and "calibration-in-the-large \u22120.90" in told[1])


def test_warnings_that_are_alike_are_one_and_the_news_comes_first() -> None:
    warnings = [
        f"cohort a: {score}: the cut-off was chosen here, so the rates are optimistic" for score in ("dls", "T1: x")
    ]
    warnings += [
        "cohort a: dls: the 95% interval of the AUC is wide (0.1 to 0.9)",
        "cohort b: odd",
        "cohort b: dls fell from 1",
    ]
    warnings += ["cohort a: T1: x: the AUC is below chance (up to 0.4): are the labels inverted?", warnings[0]]
    found = by_kind(merged(warnings, ("a", "b"), ("dls", "T1: x")))
    assert list(found) == [kind for kind in KINDS if kind in {NEWS, OPTIMISTIC, UNSURE, OTHER}]
    assert found[OPTIMISTIC] == ["The cut-off was chosen here, so the rates are optimistic: a: dls, T1: x."]
    assert found[UNSURE] == ["The 95% interval of the AUC is wide: a: dls (0.1 to 0.9)."]
    assert found[NEWS][-1] == "The AUC is below chance: are the labels inverted? \u2013 a: T1: x (up to 0.4)."
    assert kind_of("nobody knows this one") == OTHER


@pytest.mark.parametrize(
    ("correlations", "verdict"),
    [
        ((0.299, -0.299), "passed"),
        ((0.3,), "unclear"),
        ((-0.499,), "unclear"),
        ((0.57,), "not passed"),
        ((0.9, -0.9), "not passed"),
    ],
)
def test_the_check_of_the_weights_has_a_verdict(correlations: tuple[float, ...], verdict: str) -> None:
    found = weights_verdict(correlations)
    assert found is not None
    assert found.verdict == verdict
    assert found.text.startswith(f"weight randomisation {verdict}: ")
