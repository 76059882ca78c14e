"""Out-of-fold scores: intervals that cover, tests that err no more than they say, and words that say of what they are.

`benchmarks/intervals.py` has more sizes and signals.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import autodls

from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.delong import auc_with_ci, compare_aucs
from autodls.evaluation.intervals import printed_auc
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.results import Estimate
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.shared_folds import MEANING, OUT_OF_FOLD_VARIANCE, meaning_of
from autodls.evaluation.widened import widened_auc
from autodls.models.recalibration import fit_scale
from autodls.planning import expectation
from autodls.report.tables.study import comparison_table, performance_table

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LABELS = np.arange(60) < 24


@pytest.fixture
def simulation(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import interval_parts.out_of_fold

    return interval_parts.out_of_fold


def scores(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.random.default_rng(seed).normal(size=(2, 60))
    return first + LABELS, second + LABELS


@pytest.mark.parametrize(("cases", "positives", "strength"), [(45, 15, 0.0), (60, 20, 0.6), (60, 20, 2.0)])
def test_intervals_and_tests_hold_in_real_cross_validations(simulation, cases, positives, strength):
    """With DeLong's own variance 7 to 18 % of equal models are told apart, and the interval covers 85 to 92 %."""
    design = simulation.Design(cases, positives)
    models = simulation.simulated(design, strength, studies=300, seed=3)
    rows = [*simulation.of_interval(design, models, "", alarm=strength == 0), *simulation.of_tests(design, models, "")]
    assert [row for row in rows if not row.holds] == []
    by_name = {row.quantity: row for row in rows}
    assert by_name["interval holds the AUC of models trained so"].before < 92
    assert by_name["P < .05 between two equal scores"].before > 7


@pytest.mark.parametrize("strength", [0.0, 1.2])
def test_intervals_over_patients_hold_as_well(simulation, strength):
    design = simulation.Design(72, 24, per_patient=2)
    row = simulation.over_patients(design, strength, 150, "")
    assert row.holds and row.before < 92


def test_the_simulated_scale_is_that_of_training(simulation):
    from interval_parts.linear_study import fitted_scales

    signs = np.where(np.arange(40) < 15, 1.0, -1.0)
    raw = np.random.default_rng(1).normal(size=(5, 40)) * 2 + 0.8 * signs
    slopes, intercepts = fitted_scales(raw, signs)
    for row, slope, intercept in zip(raw, slopes, intercepts, strict=True):
        found = fit_scale(row, signs > 0)
        assert (slope, intercept) == (pytest.approx(found.slope, abs=1e-3), pytest.approx(found.intercept, abs=1e-3))


def test_the_variance_is_doubled_and_nothing_else():
    first, second = scores()
    plain, cross = (auc_with_ci(LABELS, first, out_of_fold=kind) for kind in (False, True))
    assert (cross.method, plain.method) == ("delong-logit-cv", "delong-logit")
    same = ("value", "variance", "plain_low", "plain_high")
    assert [getattr(cross, name) for name in same] == [getattr(plain, name) for name in same]
    known = Estimate(value=plain.value, low=plain.low, high=plain.high)
    assert widened_auc(known).low == pytest.approx(cross.low) and widened_auc(known).high == pytest.approx(cross.high)
    test, tested = (compare_aucs(LABELS, first, second, out_of_fold=kind) for kind in (False, True))
    assert test.z == pytest.approx(tested.z * np.sqrt(2))
    assert tested.p > test.p


def test_limits_over_patients_move_as_well():
    first, _ = scores()
    patients = [str(at // 2) for at in range(60)]
    found = {}
    for kind in (False, True):
        estimate = auc_with_ci(LABELS, first, patients=patients, out_of_fold=kind)
        found[kind] = printed_auc(LABELS, first, estimate, patients)
    assert found[True].method == "bootstrap-patients-cv"
    assert found[True].low < found[False].low < found[False].high < found[True].high < 1


@pytest.mark.parametrize("out_of_fold", [False, True])
def test_few_cases_are_not_tested_against_each_other(out_of_fold):
    """In no cohort: of 5 positives beside 50 negatives, equal AUCs of 0.6 had P < .05 in 9 %."""
    first, second = scores()
    name = "train" if out_of_fold else "external"
    for positives, tested in ((9, False), (10, True)):
        held = {name: CohortTable(60, {"a": first, "b": second}, np.arange(60) < positives, out_of_fold=out_of_fold)}
        [found] = evaluate_table(ScoreTable(("a", "b"), held), Choices({"a": 0.5, "b": 0.5})).cohorts[name].comparisons
        assert found.delta is not None and (found.p is not None, found.low is not None) == (tested, tested)
        assert tested or "9 positive" in found.reason


@pytest.mark.parametrize("cases_each", [1, 3])
def test_few_patients_are_few_however_many_their_cases(cases_each):
    first, second = (np.repeat(values, cases_each) for values in scores())
    patients = [str(at) for at in np.repeat(np.arange(60), cases_each)]
    found = compare_aucs(np.repeat(np.arange(60) < 9, cases_each), first, second, patients=patients, fewest=10)
    assert found.p is None and "9 positive" in found.reason


@pytest.mark.parametrize(("positives", "told"), [(9, True), (10, False)])
def test_an_interval_of_few_of_a_class_is_called_too_narrow(positives, told):
    first, _ = scores()
    table = ScoreTable(("dls",), {"external": CohortTable(60, {"dls": first}, np.arange(60) < positives)})
    warnings = evaluate_table(table, Choices({"dls": 0.5})).warnings
    assert any("may be too narrow" in one and "9 cases of the rarer class" in one for one in warnings) is told


def test_only_the_cohort_that_is_named_is_out_of_fold():
    first, second = scores()
    held = CohortTable(60, {"dls": first, "t1": second}, LABELS)
    table = ScoreTable(("dls", "t1"), {OUT_OF_FOLD: held, "external": held})
    metrics = evaluate_table(table, Choices({"dls": 0.5, "t1": 0.5}, out_of_fold=(OUT_OF_FOLD,)))
    inside, outside = (metrics.cohorts[name] for name in (OUT_OF_FOLD, "external"))
    assert inside.scores["dls"].auc.method == "delong-logit-cv" and inside.comparisons[0].method == "delong-cv"
    assert outside.scores["dls"].auc.method == "delong-logit" and outside.comparisons[0].method == "delong"
    assert outside.global_test.chi2 == pytest.approx(OUT_OF_FOLD_VARIANCE * inside.global_test.chi2)
    assert inside.scores["dls"].auc_delong == outside.scores["dls"].auc_delong
    assert f"{OUT_OF_FOLD}: {MEANING}" in performance_table(metrics).printed.notes
    assert any("twice DeLong's variance" in note for note in comparison_table(metrics).printed.notes)


def test_numbers_of_an_earlier_version_are_told_to_be_too_narrow():
    first, _ = scores()
    table = ScoreTable(("dls",), {OUT_OF_FOLD: CohortTable(60, {"dls": first}, LABELS)})
    notes = performance_table(evaluate_table(table, Choices({"dls": 0.5}))).printed.notes
    assert f"{OUT_OF_FOLD}: {meaning_of('delong-logit')}" in notes and "earlier version" in meaning_of("delong-logit")


def test_the_promise_before_training_is_of_the_same_variance():
    assert expectation.OUT_OF_FOLD_VARIANCE == OUT_OF_FOLD_VARIANCE


@pytest.mark.parametrize(("positives", "negatives"), [(7, 17), (22, 50), (86, 181)])
def test_the_promised_interval_is_about_the_one_that_is_printed(positives, negatives):
    error = expectation.auc_standard_error(0.75, positives, negatives)
    labels = np.arange(positives + negatives) < positives
    rng = np.random.default_rng(0)
    shift = 0.9539 * labels  # the AUC of two normal distributions so far apart is 0.75
    found = [auc_with_ci(labels, rng.normal(size=len(labels)) + shift, out_of_fold=True) for _ in range(600)]
    near = [one for one in found if abs(one.value - 0.75) < 0.02]
    printed = [np.median([getattr(one, side) for one in near]) for side in ("low", "high")]
    assert expectation.expected_interval(0.75, error) == pytest.approx(printed, abs=0.035)


class TestAnyTable:
    @pytest.fixture
    def table(self, tmp_path):
        path = tmp_path / "oof.csv"
        with path.open("w", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["case", "fold", "label", "dls"])
            writer.writerows(
                (at, at % 5, int(label), score)
                for at, (label, score) in enumerate(zip(LABELS, scores()[0], strict=True))
            )
        return ["evaluate", "--scores", str(path), "--label", "label", "--score", "dls", "--json"]

    def test_its_cohort_is_said_to_be_out_of_fold(self, table):
        found = autodls(*table, "--out-of-fold", "all")
        metrics = json.loads(found.out)
        assert metrics["cohorts"]["all"]["scores"]["dls"]["auc"]["method"] == "delong-logit-cv"
        assert "--out-of-fold" not in found.err

    def test_a_column_fold_is_asked_about(self, table):
        found = autodls(*table)
        assert json.loads(found.out)["cohorts"]["all"]["scores"]["dls"]["auc"]["method"] == "delong-logit"
        assert "say so with --out-of-fold COHORT (here 'all')" in found.err

    def test_a_cohort_that_is_not_there_is_refused(self, table):
        found = autodls(*table, "--out-of-fold", "train")
        assert found.status == 2 and "--out-of-fold train: the cohorts are ['all']" in found.err
