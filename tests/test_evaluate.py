"""metrics.json from a table: its fields, its conventions, and every way a table can disappoint."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autodls.errors import ArgumentError, InputError
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.own_cutoff import parse_cutoffs
from autodls.evaluation.scores_table import Columns, read_scores, table_from_rows
from autodls.records.cells import TableRow

EVERYTHING = Columns(scores=("dls", "t1"), label="y", cohort="cohort", time="t", event="e")


def study(n=60, seed=0):
    """Rows of two cohorts with labels, two scores and follow-up, cells as text."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(n):
        label = index % 3 == 0
        score = 1 / (1 + np.exp(-rng.normal(1.5 * label - 0.5)))
        time, end = rng.exponential(12 * np.exp(score)), rng.exponential(20)
        cells = (label, score, rng.random(), min(time, end), time <= end)
        cohort = "train" if index < 2 * n // 3 else "test"
        rows.append({"cohort": cohort, **dict(zip(("y", "dls", "t1", "t", "e"), map(text_of, cells), strict=True))})
    return rows


def text_of(value):
    return f"{value:.4f}" if isinstance(value, float) else str(int(value))


def numbered(rows):
    return [TableRow(cells, number) for number, cells in enumerate(rows, start=2)]


def evaluated(rows, columns=EVERYTHING, **choices):
    return evaluate_table(table_from_rows(numbered(rows), columns, "scores.csv"), Choices(**choices))


def with_cells(rows, column, text, where=lambda row: True):
    return [{**row, column: text} if where(row) else row for row in rows]


def test_the_fields_of_the_contract():
    written = json.loads(evaluated(study(), cutoff_from="train", landmark=6).to_bytes())
    cohort = written["cohorts"]["test"]
    score = cohort["scores"]["dls"]
    assert list(written["cohorts"]) == ["train", "test"]
    assert set(cohort) >= {"n", "positives", "prevalence", "excluded", "scores", "comparisons", "survival", "landmark"}
    assert {"value", "low", "high", "method"} <= set(score["auc"]) and score["auc"]["method"] == "delong-logit"
    assert {"value", "low", "high", "variance"} <= set(score["auc_delong"])
    assert {"value", "source"} <= set(score["cutoff"]) and set(score["confusion"]) == {"tp", "fp", "fn", "tn"}
    for rate in ("sensitivity", "specificity", "ppv", "npv", "accuracy", "youden"):
        assert {"value", "low", "high"} <= set(score[rate])
    assert {"slope", "intercept", "intercept_large"} <= set(score["calibration"]) and score["brier"] > 0
    assert set(score["net_benefit"][0]) == {"threshold", "model", "all", "none"} and len(score["net_benefit"]) == 99
    assert {"a", "b", "delta", "z", "p", "p_holm"} <= set(cohort["comparisons"][0])
    survival = cohort["survival"]
    assert set(survival) >= {"median_follow_up", "logrank", "cox", "cox_continuous", "proportional_hazards", "groups"}
    assert {"chi2", "p"} <= set(survival["logrank"]) and "p" in survival["proportional_hazards"]
    assert {"hr", "low", "high", "p", "method"} <= set(survival["cox"]) & set(survival["cox_continuous"])
    assert set(survival["groups"]["high"]) == {"n", "events", "median", "median_low", "median_high"}
    assert {"time", "auc_ipcw", "auc_excluding", "undetermined", "rate_km"} <= set(cohort["landmark"])
    assert all(isinstance(text, str) for text in written["warnings"])


def test_the_cutoff_is_given_borrowed_or_the_cohorts_own():
    rows = study()
    own, borrowed = evaluated(rows), evaluated(rows, cutoff_from="train", cutoffs={"t1": 0.5})
    train, test = own.cohorts["train"].scores["dls"].cutoff, own.cohorts["test"].scores["dls"].cutoff
    assert (train.source, test.source) == ("youden:train", "youden:test")
    assert borrowed.cohorts["test"].scores["dls"].cutoff.value == train.value != test.value
    assert (train.own, test.own, borrowed.cohorts["test"].scores["dls"].cutoff.own) == (True, True, False)
    assert borrowed.cohorts["test"].scores["t1"].cutoff.source == "given"
    assert any("train: dls: the cut-off was chosen on these very scores" in text for text in borrowed.warnings)
    assert not any("test: dls: the cut-off" in text for text in borrowed.warnings)


def test_comparisons_start_with_the_reference():
    rows = [{**row, "t2": row["t1"], "ce": row["y"]} for row in study()]
    columns = Columns(scores=("dls", "t1", "t2", "ce"), label="y")
    comparisons = evaluated(rows, columns).cohorts["all"].comparisons
    assert [(pair.a, pair.b) for pair in comparisons[:4]] == [("dls", "t1"), ("dls", "t2"), ("dls", "ce"), ("t1", "t2")]
    assert (comparisons[3].z, comparisons[3].p) == (0, 1)
    assert all(pair.p_holm >= pair.p for pair in comparisons)


def left_out(cohort):
    return [(one.row, one.reason, one.left_out_of, one.score) for one in cohort.excluded]


def test_rows_with_a_missing_value_are_listed_by_what_they_are_left_out_of():
    rows = study()
    rows[3]["dls"], rows[4]["y"], rows[5] = "NaN", "", {**rows[5], "dls": "", "t1": "", "t": ""}
    rows[50]["t"], rows[51]["cohort"] = "", ""
    metrics = evaluated(rows)
    assert left_out(metrics.cohorts["train"]) == [
        (5, "missing dls", "score", "dls"),
        (6, "missing y", "labels", None),
        (7, "missing dls, t1, t", "everything", None),
    ]
    assert left_out(metrics.cohorts["test"]) == [(52, "missing t", "survival", None)]
    assert (metrics.cohorts["train"].n, metrics.cohorts["test"].n) == (38, 19)
    assert [metrics.cohorts["train"].scores[name].n for name in ("dls", "t1")] == [37, 38]
    assert "row 53 names no cohort and is left out" in metrics.warnings
    assert "cohort train: dls: judged on the 37 of 38 cases that have it" in metrics.warnings


def test_a_score_is_judged_on_all_rows_that_have_it_and_a_pair_on_those_that_have_both():
    rows = study()
    bare = evaluated(rows)
    for row in rows[::4]:
        row["t1"] = ""
    metrics, both = evaluated(rows), [row for row in rows if row["t1"]]
    alone = evaluated(rows, Columns(scores=("dls",), label="y", cohort="cohort", time="t", event="e"))
    for name, cohort in metrics.cohorts.items():
        assert cohort.scores["dls"] == alone.cohorts[name].scores["dls"] == bare.cohorts[name].scores["dls"]
        assert cohort.survival == alone.cohorts[name].survival
        of_pair = evaluated(both).cohorts[name]
        assert cohort.comparisons == of_pair.comparisons
        assert cohort.scores["t1"] == of_pair.scores["t1"]
        assert cohort.comparisons[0].n == of_pair.n < cohort.n


def test_a_column_that_some_rows_lack_leaves_the_auc_of_another_alone():
    """The AUC of `a` on its six rows is 8/9 by hand; without the row that lacks `b` it would be 1."""
    cells = [
        ("0", "0.1", "1"),
        ("0", "0.2", "2"),
        ("0", "0.6", ""),
        ("1", "0.5", "3"),
        ("1", "0.8", "4"),
        ("1", "0.9", "5"),
    ]
    rows = [dict(zip(("y", "a", "b"), row, strict=True)) for row in cells]
    for names in (("a",), ("a", "b"), ("b", "a")):
        found = evaluated(rows, Columns(scores=names, label="y")).cohorts["all"].scores["a"]
        assert (found.n, found.positives, found.auc.value) == (6, 3, pytest.approx(8 / 9))


def test_missing_values_score_by_score_agree_with_r():
    """R's pROC on the rows that have a score, or both of a pair, whatever other rows of the table lack."""
    cases = json.loads((Path(__file__).parent / "reference" / "roc.json").read_text())["cases"]
    case = next(one for one in cases if one["name"] == "continuous")
    names = ("a", "b", "c")
    rows = [
        dict(zip(("y", *names), map(str, cells), strict=True))
        for cells in zip(case["labels"], *case["scores"], strict=True)
    ]
    rows += [{"y": str(at % 2), "a": "", "b": "", "c": f"{at / 7}"} for at in range(12)]
    rows += [{"y": "", "a": "0.5", "b": "0.1", "c": "0.2"}, {"y": "1", "a": "", "b": "", "c": ""}]
    found = evaluated(rows, Columns(scores=names, label="y")).cohorts["all"]
    for name, value, variance, limits in zip(names, case["auc"], case["variance"], case["interval"], strict=True):
        held = found.scores[name]
        assert (held.auc_delong.value == pytest.approx(value, abs=1e-12)) == (name != "c")
        if name != "c":
            assert (held.n, held.auc_delong.variance) == (80, pytest.approx(variance, abs=1e-12))
            assert (held.auc_delong.low, held.auc_delong.high) == pytest.approx(limits, abs=1e-12)
    for pair, test in zip(found.comparisons, case["tests"], strict=True):
        assert (pair.a, pair.b, pair.n) == (names[test["a"]], names[test["b"]], 80)
        assert (pair.z, pair.p) == pytest.approx((test["z"], test["p"]), abs=1e-9)


def test_scores_that_are_cut_by_different_rules_are_told():
    rows = study()
    told = "the cut-offs are not chosen by one rule (dls given, t1 youden:train)"
    assert any(told in text for text in evaluated(rows, cutoffs={"dls": 0.5}, cutoff_from="train").warnings)
    assert not any("one rule" in text for text in evaluated(rows, cutoff_from="train").warnings)


def test_a_cohort_without_labels_keeps_its_survival():
    rows = with_cells(study(), "y", "", where=lambda row: row["cohort"] == "test")
    cohort = evaluated(rows, cutoff_from="train", landmark=6).cohorts["test"]
    assert (cohort.n, cohort.positives, cohort.excluded) == (20, None, ())
    assert cohort.scores["dls"].auc.reason == "no case of the cohort has a label"
    assert cohort.survival.cox_per_sd.hr is not None and cohort.landmark.auc_ipcw is not None


def test_survival_alone_needs_a_cutoff_for_groups():
    columns = Columns(scores=("dls",), time="t", event="e")
    rows = study()
    without, given_one = evaluated(rows, columns), evaluated(rows, columns, cutoffs={"dls": 0.5})
    assert without.cohorts["all"].survival.cox.hr is None
    assert "no cut-off" in without.cohorts["all"].survival.logrank.reason
    assert without.cohorts["all"].survival.cox_continuous.hr is not None
    assert given_one.cohorts["all"].survival.cox.hr is not None


@pytest.mark.parametrize("score", ["dls", "t1"])
def test_an_empty_score_column_is_null_in_that_cohort_only(score):
    rows = with_cells(study(), score, "", where=lambda row: row["cohort"] == "test")
    metrics = evaluated(rows, landmark=6)
    assert metrics.cohorts["test"].scores[score].auc.value is None
    assert metrics.cohorts["train"].scores[score].auc.value is not None
    assert metrics.cohorts["test"].comparisons[0].reason == "no case of the cohort has this score"
    assert metrics.cohorts["test"].n == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: with_cells(rows, "y", "1"), "all 20 cases are positive"),
        (lambda rows: with_cells(rows, "y", "0"), "all 20 cases are negative"),
    ],
)
def test_one_class_is_null_with_a_warning(change, words):
    rows = study()
    metrics = evaluated(
        [row for row in rows if row["cohort"] == "train"] + change([row for row in rows if row["cohort"] == "test"])
    )
    score = metrics.cohorts["test"].scores["dls"]
    assert (score.auc.value, score.auc_delong.variance, score.cutoff.value, score.confusion) == (None, None, None, None)
    assert words in score.auc.reason
    assert any("test: dls: AUC" in text for text in metrics.warnings)


def test_one_positive_has_an_auc_without_an_interval():
    rows = with_cells(study(), "y", "0")
    rows[0]["y"], rows[45]["y"] = "1", "1"
    score = evaluated(rows).cohorts["test"].scores["dls"]
    assert score.auc.value is not None
    assert (score.auc.low, score.auc_delong.low, score.auc_delong.variance) == (None, None, None)
    assert "only 1 case is positive" in score.auc.reason


def test_no_events():
    survival = evaluated(with_cells(study(), "e", "0"), landmark=6).cohorts["train"].survival
    assert (survival.cox.hr, survival.cox_continuous.hr, survival.logrank.p) == (None, None, None)
    assert survival.groups["high"].median is None and survival.groups["high"].events == 0


def test_scores_that_are_no_probabilities():
    rows = with_cells(study(), "dls", "-3.5", where=lambda row: row["y"] == "0")
    score = evaluated(rows).cohorts["train"].scores["dls"]
    assert (score.brier, score.net_benefit, score.calibration.slope) == (None, None, None)
    assert "outside 0..1" in score.calibration.reason and "outside 0..1" in score.reasons["brier"]
    assert score.auc.value == 1.0 and score.auc.low is None and score.auc_delong.low == 1.0


def test_separated_survival_falls_back_and_says_so():
    rows = with_cells(study(120), "e", "0", where=lambda row: float(row["dls"]) < 0.5)
    metrics = evaluated(rows, cutoffs={"dls": 0.5})
    assert metrics.cohorts["train"].survival.cox.method == "firth-profile"
    assert any("Firth" in text for text in metrics.warnings)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_handful_of_patients(n):
    metrics = evaluated(study()[:n], landmark=6)
    assert metrics.cohorts["train"].n == n
    assert json.loads(metrics.to_bytes())["cohorts"]["train"]["n"] == n


cells = st.sampled_from(["", "0", "1", "0.5", "0.5", "0.25", "NA", "1e3"])
binary = st.sampled_from(["", "0", "1"])
rows_of_anything = st.lists(
    st.fixed_dictionaries(
        {
            "cohort": st.sampled_from(["a", "<b>&'\"", "=1+1", ""]),
            "y": binary,
            "e": binary,
            "dls": cells,
            "t1": cells,
            "t": cells,
        }
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows_of_anything)
@example(
    [
        {"cohort": "a", "y": "", "e": "", "dls": "", "t1": "0", "t": ""},
        {"cohort": "a", "y": "", "e": "0", "dls": "", "t1": "", "t": "0"},  # followed, by a score that nobody has
    ]
)
def test_no_table_crashes_the_evaluation(rows):
    table = table_from_rows(numbered(rows), EVERYTHING, "scores.csv")
    metrics = evaluate_table(
        table,
        Choices(
            cutoffs={"dls": 0.5}, landmark=0.4 if any(c.times is not None for c in table.cohorts.values()) else None
        ),
    )
    json.loads(metrics.to_bytes(), parse_constant=lambda text: pytest.fail(f"{text} in metrics.json"))
    judged = sum(cohort.n for cohort in metrics.cohorts.values())
    lost = [one for cohort in metrics.cohorts.values() for one in cohort.excluded]
    assert judged + sum(one.left_out_of in ("everything", "labels") for one in lost) == sum(
        row["cohort"] != "" for row in rows
    )


def test_a_csv_file_is_read_as_written(tmp_path):
    path = tmp_path / "scores.csv"
    rows = study()
    with path.open("w", newline="", encoding="utf-8-sig") as handle:
        writer = csv.DictWriter(handle, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert evaluate_table(read_scores(path, EVERYTHING)) == evaluated(rows)


@pytest.mark.parametrize(
    ("column", "text", "words"),
    [
        ("dls", "high", "row 2, column 'dls': 'high' is not a finite number"),
        ("dls", "inf", "row 2, column 'dls': 'inf' is not a finite number"),
        ("y", "2", "row 2, column 'y': '2' is not 0 or 1"),
        ("e", "dead", "row 2, column 'e': 'dead' is not 0 or 1"),
        ("t", "-3", "row 2, column 't': '-3' is a negative time"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(column, text, words):
    rows = study()
    rows[0][column] = text
    with pytest.raises(ArgumentError, match=words) as caught:
        evaluated(rows)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"scores": ()}, "no score column"),
        ({"scores": ("dls",)}, "nothing to be judged by"),
        ({"scores": ("dls",), "time": "t"}, "without --event"),
        ({"scores": ("dls",), "event": "e"}, "without --time"),
        ({"scores": ("dls", "dls"), "label": "y"}, "'dls' is named twice"),
        ({"scores": ("dls",), "label": "dls"}, "'dls' is named twice"),
        ({"scores": ("dsl",), "label": "y"}, "did you mean 'dls'"),
        ({"scores": ("zzz",), "label": "y"}, "its columns are"),
    ],
)
def test_columns_that_cannot_be_evaluated(columns, words):
    with pytest.raises(ArgumentError, match=words):
        evaluated(study(), Columns(**columns))


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"cutoffs": {"x": 0.5}}, "'x', which is not one of the scores"),
        ({"cutoff_from": "training"}, "the cohorts are"),
        ({"landmark": 0}, "landmark 0"),
    ],
)
def test_choices_that_do_not_fit(choices, words):
    with pytest.raises(ArgumentError, match=words):
        evaluated(study(), **choices)


def test_a_landmark_needs_follow_up():
    with pytest.raises(ArgumentError, match="no cohort has follow-up"):
        evaluated(study(), Columns(scores=("dls",), label="y"), landmark=6)


@pytest.mark.parametrize("texts", [["dls"], ["dls=high"], ["x=1"], ["=1"], ["dls=nan"], ["dls=0.1", "dls=0.2"]])
def test_cutoffs_that_cannot_be_read(texts):
    with pytest.raises(ArgumentError, match="--cutoff"):
        parse_cutoffs(texts, ["dls"])


def test_a_score_name_may_hold_an_equals_sign():
    assert parse_cutoffs(["a=b=0.5"], ["a=b"]) == {"a=b": 0.5}


def test_files_that_are_not_there_or_empty(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_scores(tmp_path / "none.csv", EVERYTHING)
    empty = tmp_path / "empty.csv"
    empty.write_text("y,dls,t1,t,e,cohort\n")
    with pytest.raises(InputError, match="no rows"):
        read_scores(empty, EVERYTHING)


def test_blank_lines_of_a_table_are_counted_in_row_numbers(tmp_path):
    table = tmp_path / "scores.csv"
    table.write_text("y,dls\n0,0.1\n\n,\n1,high\n")
    with pytest.raises(InputError, match="row 5, column 'dls': 'high'"):
        read_scores(table, Columns(scores=("dls",), label="y"))


@pytest.mark.parametrize(("cutoff", "told"), [(50.0, "no case is"), (-3.0, "every case is"), (0.5, "")])
def test_a_cut_off_on_another_scale_than_the_scores_is_told(cutoff, told):
    found = evaluated(study(), cutoffs={"dls": cutoff, "t1": 0.5}).warnings
    about = [text for text in found if "is it on another scale" in text]
    assert len(about) == (2 if told else 0)
    assert all(f"dls: {told} at or above the cut-off of {cutoff:g} that was given" in text for text in about)
