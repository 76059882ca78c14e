"""Tables hold the numbers of the statistics, and print them as the paper does."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from autodls.evaluation.baseline import baseline_table
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.scores_table import ScoreTable
from autodls.report.drawn import save_table
from autodls.report.html.reprint import by_outcome
from autodls.report.tables.study import (
    BY_OUTCOME,
    baseline_rows,
    comparison_table,
    outcome_rows,
    performance_table,
)
from autodls.report.tables.survival import landmark_table, survival_table


def from_counts(tp: int, fp: int, fn: int, tn: int) -> CohortTable:
    """A cohort whose score, cut at 0.5, has these counts."""
    labels = np.array([1] * tp + [0] * fp + [1] * fn + [0] * tn, dtype=bool)
    return CohortTable(len(labels), {"dls": np.array([0.9] * (tp + fp) + [0.1] * (fn + tn))}, labels)


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3 == 0
    scores = {name: rng.normal(labels * strength, 1) for name, strength in (("dls", 2.0), ("T1WI", 0.3), ("T2WI", 0.1))}
    times, events = rng.exponential(10, 60), rng.random(60) < 0.7
    table = ScoreTable(
        tuple(scores),
        {
            "train": CohortTable(60, scores, labels, times, events),
            "bare": CohortTable(5, {}, None),
            "one": CohortTable(4, {name: np.arange(4.0) for name in scores}, np.ones(4, dtype=bool)),
        },
    )
    return evaluate_table(table, Choices(landmark=6.0))


def test_performance_prints_table_2_of_the_paper() -> None:
    path = Path(__file__).parents[2] / "shared" / "paper" / "tables.json"
    if not path.is_file():
        pytest.skip(f"the paper's tables are not at {path}")
    row = next(
        row for row in json.loads(path.read_text())["table2"] if (row["cohort"], row["model"]) == ("train", "T1WI")
    )
    counts = {name.lower(): count for name, count in row["counts"].items()}
    table = ScoreTable(("dls",), {"train": from_counts(**counts)})
    printed = performance_table(evaluate_table(table, Choices(cutoffs={"dls": 0.5}))).printed
    line = dict(zip(printed.header, printed.lines[0], strict=True))
    for head, key in (
        ("Accuracy", "accuracy"),
        ("Sensitivity", "sensitivity"),
        ("Specificity", "specificity"),
        ("PPV", "ppv"),
        ("NPV", "npv"),
    ):
        assert line[head].startswith(f"{row['printed'][key]:.3f} ("), head


def test_performance_rows_hold_every_digit(metrics: Metrics) -> None:
    table = performance_table(metrics)
    held = metrics.cohorts["train"].scores["dls"]
    line = dict(zip(table.rows.header, table.rows.lines[0], strict=True))
    assert (line["auc"], line["auc_low"], line["sensitivity_high"]) == (
        held.auc.value,
        held.auc.low,
        held.sensitivity.high,
    )
    assert held.confusion is not None
    assert (line["tp"], line["tn"]) == (held.confusion.tp, held.confusion.tn)
    assert len(table.rows.lines) == len(table.printed.lines) == 9


def test_what_cannot_be_had_is_a_dash_with_a_note(metrics: Metrics) -> None:
    table = performance_table(metrics)
    line = next(line for line in table.printed.lines if line[0] == "bare")
    assert set(line[2:]) == {"\N{EN DASH}"}
    assert "bare, dls: no case of the cohort has a label" in table.printed.notes
    assert "one, dls: all 4 cases are positive" in table.printed.notes


def test_comparisons_hold_every_pair_and_the_global_test(metrics: Metrics) -> None:
    table = comparison_table(metrics)
    train = [line for line in table.rows.lines if line[0] == "train"]
    assert [line[1:3] for line in train] == [("dls", "T1WI"), ("dls", "T2WI"), ("T1WI", "T2WI"), ("all", None)]
    assert train[0][3] == metrics.cohorts["train"].comparisons[0].delta
    assert train[-1][9] == metrics.cohorts["train"].global_test.p
    assert " to " in table.printed.lines[2][3] or "\N{EN DASH}" in table.printed.lines[2][3]


def test_survival_and_landmark_tables_have_the_cohorts_with_follow_up(metrics: Metrics) -> None:
    survival, landmark = survival_table(metrics), landmark_table(metrics)
    held = metrics.cohorts["train"].survival
    assert held is not None
    [line] = survival.rows.lines
    named = dict(zip(survival.rows.header, line, strict=True))
    assert (named["hr"], named["logrank_p"], named["high_n"]) == (held.cox.hr, held.logrank.p, held.groups["high"].n)
    assert [line[0] for line in landmark.rows.lines] == ["train"]
    mark = metrics.cohorts["train"].landmark
    assert mark is not None
    assert landmark.rows.lines[0][2] == mark.auc_ipcw


def test_baseline_prints_counts_shares_and_missing() -> None:
    columns = {
        "Smoking": ["yes"] * 72 + ["no"] * 195 + ["yes"] * 29 + ["no"] * 86 + ["yes"] * 42 + ["no"] * 92,
        "=HYPERLINK": ["NA"] * 516,
    }
    table = baseline_rows(
        baseline_table(columns, ["train"] * 267 + ["internal"] * 115 + ["external"] * 134, np.random.default_rng(0))
    )
    assert table.printed.header[1:4] == ("train (n = 267)", "internal (n = 115)", "external (n = 134)")
    assert ("  yes", "72 (27.0%)", "29 (25.2%)", "42 (31.3%)", "", "", "") in table.printed.lines
    # by hand: 0.3134 - 0.2522 over the root of the mean of 0.3134 x 0.6866 and 0.2522 x 0.7478
    assert table.printed.lines[0] == ("Smoking", "", "", "", "0.14", "0.519", "chi-square")
    assert table.printed.lines[0][-2:] == ("0.519", "chi-square")
    assert ("  missing", "267", "115", "134", "", "", "") in table.printed.lines
    assert any("every value is missing" in note for note in table.printed.notes)
    smokers = [line for line in table.rows.lines if line[2] == "yes"]
    assert [line[5] for line in smokers] == [72, 29, 42]


def test_baseline_by_outcome_is_printed_again_from_its_file(tmp_path: Path) -> None:
    columns = {"sex": ["m"] * 5 + ["f"] * 5 + ["m"] * 4 + ["f"] * 6}
    compared = baseline_table(columns, ["negative"] * 10 + ["positive"] * 10, np.random.default_rng(0))
    table = outcome_rows({"train": compared, "external": compared})
    path = save_table(tmp_path, "baseline_by_outcome", table)
    with path.open(newline="") as handle:
        printed = by_outcome(list(csv.DictReader(handle)))
    assert [one.title for one in printed] == [f"{BY_OUTCOME}: {name}" for name in ("train", "external")]
    assert printed[0].header[1:4] == ("negative (n = 10)", "positive (n = 10)", "SMD")
    assert printed[0].lines[0][3] == "0.20"  # by hand: 0.1 over the root of the mean of 0.25 and 0.24
    assert printed[0].lines[1][:3] == ("  f", "5 (50.0%)", "6 (60.0%)")


def test_a_saved_table_reads_back_and_disarms_formulas(tmp_path: Path) -> None:
    table = baseline_rows(baseline_table({"=1+1": ["a", "b"]}, ["@x", "@x"], np.random.default_rng(0)))
    path = save_table(tmp_path, "baseline", table)
    with path.open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    assert [(line["variable"], line["cohort"], line["count"]) for line in lines] == [("'=1+1", "'@x", "1")] * 2
