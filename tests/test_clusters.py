"""Several rows of one patient: Obuchowski's covariance, bootstraps over patients, one record a patient in survival."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import autodls
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from tiny_models import tiny_model

from autodls.errors import ArgumentError
from autodls.evaluation.binary import wilson
from autodls.evaluation.calibration import calibration_curve
from autodls.evaluation.clusters import clustered_covariance
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.delong import auc_with_ci, compare_aucs, delong, placements
from autodls.evaluation.intervals import brier_interval, printed_auc, printed_rate
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.subsets import contradictions, followed_by
from autodls.records import formatting
from autodls.report.artefacts import Artefacts, ReportedCase
from autodls.report.html.cases import explorer


def cohort(n=60, seed=0):
    """Labels, two scores, times and events of n patients."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3 == 0
    first, second = (1 / (1 + np.exp(-rng.normal(strength * labels - 0.5))) for strength in (1.5, 0.7))
    times, events = np.round(rng.exponential(10 + 8 * first), 2), rng.random(n) < 0.6
    return labels, first, second, times, events


def table(rows, patients, *, noise=0.0):
    """The cohort with its patients in `rows` (indices), named by `patients`; `noise` moves the scores of each row."""
    labels, first, second, times, events = cohort()
    rng = np.random.default_rng(1)
    scores = {name: np.clip(one[rows] + rng.normal(0, noise, len(rows)), 0.01, 0.99) if noise else one[rows]
              for name, one in (("dls", first), ("t1", second))}  # fmt: skip
    held = CohortTable(len(rows), scores, labels[rows], times[rows], events[rows], patients=patients)
    return ScoreTable(("dls", "t1"), {"all": held})


def names_of(rows):
    return tuple(f"p{at:02d}" for at in rows)


ONCE, THRICE = np.arange(60), np.repeat(np.arange(60), 3)


def obuchowski(labels, scores, patients):
    """The variance of an AUC written out from Obuchowski 1997, formulas 3 to 6, pair by pair."""
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=float)
    positives, negatives = np.flatnonzero(labels), np.flatnonzero(~labels)
    wins = np.array([[(scores[p] > scores[n]) + (scores[p] == scores[n]) / 2 for n in negatives] for p in positives])
    area, clusters = wins.mean(), sorted(set(patients))
    of_positive, of_negative = (
        dict(zip(positives, wins.mean(axis=1), strict=True)),
        dict(zip(negatives, wins.mean(axis=0), strict=True)),
    )
    ten, one = [], []
    for name in clusters:
        rows = [at for at in range(len(labels)) if patients[at] == name]
        ten.append(sum(of_positive[at] - area for at in rows if labels[at]))
        one.append(sum(of_negative[at] - area for at in rows if not labels[at]))
    i10 = len({patients[at] for at in positives})
    i01 = len({patients[at] for at in negatives})
    m, n, total = len(positives), len(negatives), len(clusters)
    s10 = i10 / ((i10 - 1) * m) * sum(value**2 for value in ten)
    s01 = i01 / ((i01 - 1) * n) * sum(value**2 for value in one)
    s11 = total / (total - 1) * sum(a * b for a, b in zip(ten, one, strict=True))
    return s10 / m + s01 / n + 2 * s11 / (m * n)


clustered_rows = st.lists(
    st.tuples(st.booleans(), st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 6)), min_size=6, max_size=30
).filter(lambda rows: all(len({row[3] for row in rows if row[0] is side}) > 1 for side in (True, False)))


@settings(deadline=None, max_examples=60)
@given(clustered_rows)
def test_covariance_is_that_of_obuchowskis_formulas(rows):
    labels, first, second, members = (list(column) for column in zip(*rows, strict=True))
    patients = [f"p{member}" for member in members]
    placed = np.stack([placements(np.array(labels), np.array(one, dtype=float)) for one in (first, second)])
    found = clustered_covariance(np.array(labels), placed, patients)
    assert found[0, 0] == pytest.approx(obuchowski(labels, first, patients), abs=1e-12)
    assert found[1, 1] == pytest.approx(obuchowski(labels, second, patients), abs=1e-12)
    assert found[0, 1] == pytest.approx(found[1, 0], abs=1e-15)


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(24)), st.integers(1, 4))
def test_with_one_row_a_patient_it_is_delong_and_copies_of_rows_change_nothing(order, copies):
    labels, first, second, *_ = (one[:24] for one in cohort())
    plain, covariance = auc_with_ci(labels, first), delong(labels, [first, second])[1]
    rows = np.repeat(np.array(order), copies)
    patients = names_of(rows)
    found = auc_with_ci(labels[rows], first[rows], patients=patients)
    assert (found.value, found.variance) == pytest.approx((plain.value, plain.variance), abs=1e-13)
    np.testing.assert_allclose(delong(labels[rows], [first[rows], second[rows]], patients)[1], covariance, atol=1e-13)
    placed = np.stack([placements(labels, first), placements(labels, second)])
    np.testing.assert_allclose(clustered_covariance(labels, placed, names_of(range(24))), covariance, atol=1e-13)
    test, right = (
        compare_aucs(labels[rows], first[rows], second[rows], patients=patients),
        compare_aucs(labels, first, second),
    )
    assert (test.z, test.p, test.low) == pytest.approx((right.z, right.p, right.low), abs=1e-9)


def test_rows_of_one_patient_with_both_classes_and_too_few_patients():
    assert (
        "only 1 patient has a row that is positive"
        in auc_with_ci([1, 1, 0, 0], [4, 3, 1, 2], patients=list("aabc")).reason
    )
    with pytest.raises(ArgumentError, match="only 1 patient has a row that is negative"):
        delong([1, 1, 0, 0], [[4, 3, 1, 2]], patients=list("abcc"))


def test_intervals_over_patients_cover_where_those_over_rows_do_not():
    """Three rows a patient at a correlation of 0.8, AUC 0.76: of 95 % intervals, the share that holds it."""
    rng = np.random.default_rng(0)
    labels, patients = np.repeat(np.arange(60) < 24, 3), names_of(THRICE)
    truth, held = norm.cdf(1 / np.sqrt(2)), {"rows": 0, "patients": 0}
    for _ in range(250):
        common, own = np.repeat(rng.normal(size=60), 3), rng.normal(size=180)
        scores = labels + np.sqrt(0.8) * common + np.sqrt(0.2) * own
        for name, estimate in (
            ("rows", auc_with_ci(labels, scores)),
            ("patients", auc_with_ci(labels, scores, patients=patients)),
        ):
            held[name] += estimate.low <= truth <= estimate.high
    assert held["rows"] / 250 < 0.87
    assert 0.91 <= held["patients"] / 250 <= 0.99


def test_copies_of_every_row_leave_every_interval_and_test_as_wide():
    alone = evaluate_table(table(ONCE, names_of(ONCE)), Choices({"dls": 0.4, "t1": 0.4}, None, 6)).cohorts["all"]
    copied = evaluate_table(table(THRICE, names_of(THRICE)), Choices({"dls": 0.4, "t1": 0.4}, None, 6)).cohorts["all"]
    assert (alone.patients, copied.patients, copied.n) == (60, 60, 180)
    for pair, right in zip(copied.comparisons, alone.comparisons, strict=True):
        assert (pair.z, pair.p, pair.low, pair.high) == pytest.approx(
            (right.z, right.p, right.low, right.high), abs=1e-9
        )
        assert (pair.method, right.method) == ("delong-obuchowski", "delong")
    assert copied.global_test.p == pytest.approx(alone.global_test.p, abs=1e-9)
    for name in ("dls", "t1"):
        found, right = copied.scores[name], alone.scores[name]
        assert (found.auc.method, right.auc.method) == ("bootstrap-patients", "delong-logit")
        assert (found.auc.low, found.auc.high) == pytest.approx((right.auc.low, right.auc.high), abs=0.03)
        assert found.auc_delong.variance == pytest.approx(right.auc_delong.variance, abs=1e-12)
        assert found.sensitivity.method in {"wilson-effective", "wilson-patients"}
        assert right.sensitivity.method == "wilson"
        assert (found.sensitivity.low, found.sensitivity.high) == pytest.approx(
            (right.sensitivity.low, right.sensitivity.high), abs=0.01
        )
        assert found.brier == pytest.approx(right.brier)
        assert (found.brier_interval.low, found.brier_interval.high) == pytest.approx(
            (right.brier_interval.low, right.brier_interval.high), abs=0.01
        )
    assert copied.survival == alone.survival
    assert copied.landmark == alone.landmark


def test_a_patient_with_one_row_is_judged_as_without_the_column():
    named, unnamed = table(ONCE, names_of(ONCE)), table(ONCE, None)
    found, right = (evaluate_table(one, Choices(landmark=6)).cohorts["all"] for one in (named, unnamed))
    assert found.scores["dls"].auc == right.scores["dls"].auc
    assert found.comparisons == right.comparisons
    assert (found.survival, found.landmark) == (right.survival, right.landmark)


def test_the_order_of_the_rows_moves_nothing():
    order = np.random.default_rng(3).permutation(THRICE)
    one, other = (
        evaluate_table(table(rows, names_of(rows)), Choices(landmark=6)).cohorts["all"] for rows in (THRICE, order)
    )
    for name in ("dls", "t1"):
        found, right = one.scores[name], other.scores[name]
        for rate in ("auc", "sensitivity", "ppv", "brier_interval"):
            limits = [(getattr(held, rate).low, getattr(held, rate).high) for held in (found, right)]
            assert limits[0] == pytest.approx(limits[1], abs=1e-12)
    assert one.survival.cox.hr == pytest.approx(other.survival.cox.hr)
    assert one.landmark.auc_ipcw_interval.low == pytest.approx(other.landmark.auc_ipcw_interval.low)


def test_a_rate_of_one_has_the_interval_of_as_many_patients():
    right, among = np.ones(12, dtype=bool), np.ones(12, dtype=bool)
    found = printed_rate(right, among, names_of(np.repeat(np.arange(4), 3)))
    assert (found.value, found.low, found.high) == (1.0, wilson(4, 4).low, 1.0)
    assert found.method == "wilson-patients"


def test_full_separation_has_no_interval_over_patients_either():
    labels, scores, patients = np.repeat([True, False], 6), np.arange(12.0)[::-1], names_of(np.repeat(np.arange(6), 2))
    found = printed_auc(labels, scores, auc_with_ci(labels, scores, patients=patients), patients)
    assert (found.value, found.low, found.method) == (1.0, None, "bootstrap-patients")
    assert "fully separated" in found.reason


def test_one_row_has_no_interval_of_its_error():
    few = brier_interval(np.arange(30) < 9, np.linspace(0.9, 0.1, 30))
    assert (few.low, few.value is None) == (None, False) and few.reason.startswith("9 positive patients, fewer than")
    assert brier_interval(np.arange(30) < 10, np.linspace(0.9, 0.1, 30)).low is not None


def test_survival_takes_the_mean_score_of_a_patient_and_leaves_out_who_contradicts():
    times = np.array([5.0, 5.000000000000001, 7.0, 9.0, 3.0, 3.0])
    events = np.array([1, 1, 0, 1, 1, 0], dtype=bool)
    held = CohortTable(6, {"dls": np.array([0.2, 0.6, 0.5, 0.7, 0.1, 0.1])}, None, times, events,
                       patients=("a", "a", "b", "c", "d", "d"))  # fmt: skip
    found = followed_by(held, "dls")
    assert found.patients == ("a", "b", "c")
    np.testing.assert_allclose(found.scores["dls"], [0.4, 0.5, 0.7])
    assert (found.times.tolist(), found.events.tolist()) == ([5.0, 7.0, 9.0], [True, False, True])
    assert contradictions(held, "dls") == {"d": "time 3 with event and time 3 without event"}
    metrics = evaluate_table(ScoreTable(("dls",), {"all": held}), Choices({"dls": 0.45}))
    assert sum(group.n for group in metrics.cohorts["all"].survival.groups.values()) == 3
    assert metrics.cohorts["all"].contradicting == {"d": "time 3 with event and time 3 without event"}
    [told] = [text for text in metrics.warnings if "patient d" in text]
    assert "left out of survival" in told


@pytest.mark.parametrize(
    ("rows", "choices", "value"),
    [
        (ONCE, Choices({"dls": 0.4}), "Value (95% CI, Wilson)"),
        (ONCE, Choices({}, OUT_OF_FOLD), "Value (no interval: the locked cut-off was chosen on these scores; see"),
        (THRICE, Choices({"dls": 0.4}), "Value (no interval: several cases"),
        (THRICE, Choices({}, OUT_OF_FOLD), "Value (no interval: several cases"),
    ],
)
def test_the_page_counts_intervals_only_where_those_of_the_metrics_are_the_same(rows, choices, value):
    held = table(rows, names_of(rows)).cohorts["all"]
    metrics = evaluate_table(ScoreTable(("dls",), {OUT_OF_FOLD: replace(held, out_of_fold=True)}), choices)
    cases = tuple(
        ReportedCase(str(at), "0", bool(held.labels[at]), float(held.scores["dls"][at])) for at in range(held.n)
    )
    found = metrics.cohorts[OUT_OF_FOLD].scores["dls"]
    model = tiny_model().record.model_copy(update={"cutoff": found.cutoff.value})
    body = explorer(Artefacts(metrics=metrics, out_of_fold=cases, model=model)).body
    assert value in body
    counted = all(getattr(found, rate).method == "wilson" for rate in ("sensitivity", "specificity", "ppv", "npv"))
    assert ("data-plain" in body) == (not counted)
    shown = formatting.estimate(found.sensitivity) if counted else formatting.number(found.sensitivity.value)
    assert f'data-show="sensitivity">{shown}<' in body


@pytest.mark.parametrize(("patients", "said"), [(None, "Wilson: of independent cases, at a cut-off"), (2, "several")])
def test_before_evaluate_the_page_says_what_its_intervals_hold_for(patients, said):
    cases = tuple(ReportedCase(str(at), "0", at % 2 == 0, at / 9) for at in range(9))
    model = tiny_model().record.model_copy(update={"training_patients": patients})
    body = explorer(Artefacts(out_of_fold=cases, model=model)).body
    assert said in body and ("data-plain" in body) == (patients is not None)


def test_groups_of_the_calibration_curve_have_intervals_over_patients():
    held = table(THRICE, names_of(THRICE)).cohorts["all"]
    rows, patients = (calibration_curve(held.labels, held.scores["dls"], 4, names) for names in (None, held.patients))
    widths = [np.mean([one.observed.high - one.observed.low for one in curve]) for curve in (rows, patients)]
    assert [one.observed.value for one in rows] == [one.observed.value for one in patients]
    assert widths[1] > 1.4 * widths[0]


@pytest.fixture
def scores_csv(tmp_path):
    """Three rows of each of 60 patients."""
    held = table(THRICE, names_of(THRICE), noise=0.05).cohorts["all"]
    path = tmp_path / "scores.csv"
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["who", "y", "dls", "t1", "t", "e"])
        for at in range(held.n):
            numbers = (held.scores["dls"][at], held.scores["t1"][at], held.times[at])
            writer.writerow(
                [held.patients[at], int(held.labels[at]), *(f"{one:.4f}" for one in numbers), int(held.events[at])]
            )
    return path


WORDS = ("--label", "y", "--score", "dls", "--score", "t1", "--time", "t", "--event", "e", "--landmark", "6")


def test_evaluate_reads_the_patient_column(scores_csv, tmp_path):
    rows, patients = (
        json.loads(autodls("evaluate", "--scores", scores_csv, *WORDS, *more, "--json").out)["cohorts"]["all"]
        for more in ((), ("--patient", "who"))
    )
    assert (rows["patients"], patients["patients"], patients["n"]) == (None, 60, 180)
    width = [held["scores"]["dls"]["auc"]["high"] - held["scores"]["dls"]["auc"]["low"] for held in (rows, patients)]
    assert width[1] > 1.4 * width[0]
    assert patients["scores"]["dls"]["auc"]["method"] == "bootstrap-patients"
    assert sum(group["n"] for group in patients["survival"]["groups"].values()) == 60
    assert patients["survival"]["cox_per_sd"]["p"] > rows["survival"]["cox_per_sd"]["p"]
    answer = autodls("evaluate", "--scores", scores_csv, *WORDS, "--patient", "who", "-o", tmp_path / "out")
    assert answer.status == 0
    assert "bootstrap over patients" in answer.out
    assert "the 180 cases are of 60 patients" in answer.err
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["cohorts"]["all"] == patients


def test_patients_that_are_not_named_or_look_alike_are_told(scores_csv):
    text = scores_csv.read_text().replace("p00,", "P01,", 1).replace("p02,", ",", 1)
    scores_csv.write_text(text)
    said = autodls("evaluate", "--scores", scores_csv, *WORDS, "--patient", "who", "--json").err
    assert "row 8 names no patient in column 'who' and counts as a patient of its own" in said
    assert "column 'who' holds 'P01' and 'p01', which look alike" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--patient", "whom"), "no column 'whom'; did you mean 'who'?"),
        (("--patient", "y"), "column 'y' is named twice"),
    ],
)
def test_a_patient_column_that_cannot_be_read(scores_csv, words, said):
    answer = autodls("evaluate", "--scores", scores_csv, *WORDS, *words, "--json")
    assert answer.status == 2
    assert said in answer.complaint


def test_a_patient_column_needs_a_table():
    answer = autodls("evaluate", "--patient", "who")
    assert answer.status == 2
    assert "--patient: said of a table of scores" in answer.complaint


def test_a_patient_in_two_cohorts_is_told(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("who,set,y,dls\n" + "".join(f"p{n % 7},{'ab'[n > 8]},{n % 2},0.{n + 1}\n" for n in range(18)))
    said = autodls(
        "evaluate", "--scores", path, "--label", "y", "--score", "dls", "--cohort", "set", "--patient", "who", "--json"
    )
    assert "patient 'p0' stands in the cohorts a and b: they are not independent" in said.err
