"""`autodls.stats`: lists in, R's numbers out, the same figures as `evaluate`; one line for what cannot be meant."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autodls import stats
from autodls.errors import ArgumentError
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.scores_table import ScoreTable

REFERENCE = Path(__file__).parent / "reference"
ROC = next(case for case in json.loads((REFERENCE / "roc.json").read_text())["cases"] if case["name"] == "continuous")
SURVIVAL = {case["name"]: case for case in json.loads((REFERENCE / "survival.json").read_text())["cases"]}
CALIBRATED = json.loads((REFERENCE / "tables.json").read_text())["cases"]["calibration"][0]
FOLLOWED = SURVIVAL["continuous times"]
HIGH = [score >= FOLLOWED["cutoff"] for score in FOLLOWED["score"]]


def test_aucs_are_those_of_proc():
    found = stats.delong(ROC["labels"], ROC["scores"])
    assert found.aucs == pytest.approx(ROC["auc"], abs=1e-12)
    assert np.diag(found.covariance) == pytest.approx(ROC["variance"], abs=1e-12)
    for test in ROC["tests"]:
        compared = stats.compare_aucs(ROC["labels"], ROC["scores"][test["a"]], ROC["scores"][test["b"]])
        assert (compared.z, compared.p) == pytest.approx((test["z"], test["p"]), abs=1e-9)
    assert stats.auc(ROC["labels"], ROC["scores"][0]).value == pytest.approx(ROC["auc"][0], abs=1e-12)


def test_survival_is_that_of_r():
    times, events = FOLLOWED["times"], FOLLOWED["events"]
    curve = stats.kaplan_meier(times, events)
    assert curve.survival[np.searchsorted(curve.times, FOLLOWED["all"]["times"])] == pytest.approx(
        FOLLOWED["all"]["survival"], abs=1e-8
    )
    assert (curve.median, stats.median_follow_up(times, events)) == (FOLLOWED["all"]["median"], FOLLOWED["follow_up"])
    assert stats.logrank(times, events, HIGH).p == pytest.approx(FOLLOWED["p"], abs=1e-9)
    fitted, expected = stats.cox(times, events, HIGH), FOLLOWED["cox"]
    assert (fitted.hr, fitted.low, fitted.high) == pytest.approx(
        (expected["hr"], expected["low"], expected["high"]), rel=1e-6
    )
    assert stats.proportional_hazards(times, events, HIGH).p == pytest.approx(expected["zph"], abs=1e-6)


def test_calibration_is_that_of_r():
    fitted = stats.calibration(CALIBRATED["labels"], CALIBRATED["probability"])
    assert (fitted.slope, fitted.intercept, fitted.intercept_large) == pytest.approx(
        (CALIBRATED["slope"], CALIBRATED["intercept"], CALIBRATED["intercept_large"]), abs=1e-9
    )
    assert stats.brier(CALIBRATED["labels"], CALIBRATED["probability"]).value == pytest.approx(CALIBRATED["brier"])


@pytest.mark.parametrize("repeats", [1, 2], ids=["one case a patient", "two cases of some"])
@pytest.mark.parametrize("out_of_fold", [False, True])
def test_figures_are_those_of_evaluate(repeats, out_of_fold):
    """One question has one answer, whoever asks: intervals of clustered and of out-of-fold scores too."""
    chance = np.random.default_rng(0)
    labels = np.arange(60) % 3 == 0
    first, second = (1 / (1 + np.exp(-chance.normal(gain * labels - 0.5))) for gain in (1.5, 0.7))
    patients = [f"p{row // repeats if row < 20 else row}" for row in range(60)]
    held = CohortTable(60, {"a": first, "b": second}, labels, patients=tuple(patients), out_of_fold=out_of_fold)
    cohort = evaluate_table(ScoreTable(("a", "b"), {"all": held}), Choices()).cohorts["all"]
    judged = cohort.scores["a"]
    assert stats.auc(labels, first, patients, out_of_fold=out_of_fold) == judged.auc
    assert stats.calibration(labels, first, patients) == judged.calibration
    assert stats.brier(labels, first, patients) == judged.brier_interval
    assert stats.net_benefit(labels, first) == judged.net_benefit
    cutoff = stats.youden_cutoff(labels, first)
    rates = stats.rates_at_cutoff(labels, first, cutoff, patients, chosen_here=True)
    assert (cutoff, rates.confusion, rates.sensitivity, rates.npv, rates.youden) == (
        judged.cutoff.value, judged.confusion, judged.sensitivity, judged.npv, judged.youden
    )  # fmt: skip
    compared = stats.compare_aucs(labels, first, second, patients, out_of_fold=out_of_fold)
    of_table = cohort.comparisons[0]
    assert (compared.delta, compared.low, compared.p) == (of_table.delta, of_table.low, of_table.p)


LABELS, SCORES = [0, 1, 0, 1], [0.1, 0.6, 0.4, 0.8]
WRONG = {
    "labels: expected 0 or 1, got 2": lambda: stats.auc([0, 1, 2, 1], SCORES),
    "labels: expected numbers": lambda: stats.auc(["yes", "no", "no", "no"], SCORES),
    "labels: 1 of 4 values are missing": lambda: stats.auc([0, 1, None, 1], SCORES),
    "labels: expected an array": lambda: stats.auc([[0, 1], [1, 0]], SCORES),
    r"scores: shape \(2,\), expected \(4,\)": lambda: stats.auc(LABELS, [0.1, 0.2]),
    "scores: 1 of 4 values are missing": lambda: stats.youden_cutoff(LABELS, [0.1, float("nan"), 0.2, 0.3]),
    r"scores: expected an array \(k, n\)": lambda: stats.delong(LABELS, SCORES),
    r"scores: shape \(1, 2\), expected \(k, 4\)": lambda: stats.delong(LABELS, [[1, 2]]),
    "two cases of each class are needed": lambda: stats.delong([0, 0, 0, 1], [SCORES]),
    r"second: shape \(1,\)": lambda: stats.compare_aucs(LABELS, SCORES, [1]),
    "patients: 2 names, expected 4": lambda: stats.auc(LABELS, SCORES, ["a", "b"]),
    "patients: the name of case 2 is missing": lambda: stats.icc([[1, 2]] * 4, ["a", "b", None, "c"]),
    "probabilities: 1.5 lies outside 0..1": lambda: stats.net_benefit(LABELS, [0.1, 1.5, 0.2, 0.3]),
    "probabilities: there are no cases": lambda: stats.calibration([], []),
    "groups 0": lambda: stats.calibration_groups(LABELS, SCORES, groups=0),
    "cutoff nan": lambda: stats.rates_at_cutoff(LABELS, SCORES, float("nan")),
    "times: -1, expected": lambda: stats.kaplan_meier([1, -1], [1, 1]),
    "times: inf, expected": lambda: stats.cox([1, float("inf")], [1, 1], [0, 1]),
    "times: there are no patients": lambda: stats.median_follow_up([], []),
    "events: expected 0 or 1, got 3": lambda: stats.kaplan_meier([1, 2], [1, 3]),
    r"group: shape \(3,\)": lambda: stats.logrank([1, 2], [1, 1], [0, 1, 1]),
    "covariate: 1 of 2 values are missing": lambda: stats.cox([1, 2], [1, 1], [None, 1]),
    "landmark 0: expected": lambda: stats.landmark_benefit([1, 2], [1, 1], [1, 2], 0),
    "table: .*two raters": lambda: stats.icc([[1], [2], [3]]),
    "p_values: 2 is no p value": lambda: stats.holm([0.1, 2]),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_cannot_be_meant_is_one_line(said):
    with pytest.raises(ArgumentError, match=said) as failure:
        WRONG[said]()
    assert "\n" not in str(failure.value)


def test_columns_of_pandas_are_arrays():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"label": LABELS, "score": SCORES, "patient": ["a", "a", "b", "c"]})
    plain = stats.auc(LABELS, SCORES, ["a", "a", "b", "c"])
    assert stats.auc(table["label"], table["score"], table["patient"]) == plain
    assert stats.auc(table["label"].astype("Int64"), table["score"]) == stats.auc(LABELS, SCORES)


def test_stats_is_light():
    heavy = "{'torch', 'pandas', 'lifelines', 'statsmodels', 'matplotlib', 'SimpleITK', 'monai'} & set(sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys, autodls.stats; print({heavy})"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"
