"""The paper's own tables: every number printed there comes out of its counts, but for the known misprints.

Reads tables.json beside the shared data; skipped, saying so, where it is absent.
"""

import json
from pathlib import Path

import pytest

from autodls.evaluation.baseline import compare_counts
from autodls.evaluation.binary import proportions
from autodls.evaluation.results import Confusion
from autodls.seeding import generator

TABLE_2_MISPRINTS = {("internal", "CE-T1WI", "npv"), ("external", "T2WI", "accuracy")}
TABLE_1_MISPRINTS = {("Drink", "train"), ("Sex", "internal"), ("Smoking", "train")}
COHORTS = ("train", "internal", "external")
ROUNDING = 0.0005 + 1e-9


@pytest.fixture
def paper(shared_data: Path):
    path = shared_data.parent / "paper" / "tables.json"
    if not path.is_file():
        pytest.skip(f"{path} is absent: the paper's tables are not distributed")
    return json.loads(path.read_text())


def test_table_2_comes_out_of_its_counts(paper):
    off = set()
    for row in paper["table2"]:
        confusion = Confusion(**{name.lower(): count for name, count in row["counts"].items()})
        rates = proportions(confusion)
        assert confusion.tp + confusion.fn == row["n_pos"]
        assert confusion.tp + confusion.fp + confusion.fn + confusion.tn == row["n"]
        wrong = {name for name, rate in rates.items() if abs(rate.value - row["printed"][name]) > ROUNDING}
        off |= {(row["cohort"], row["model"], name) for name in wrong}
    assert len(paper["table2"]) == 12
    assert off == TABLE_2_MISPRINTS


def test_table_2_misprints_are_listed(paper):
    text = " ".join(paper["known_misprints"])
    assert "CE-T1WI NPV printed 0.853" in text
    assert "T2WI accuracy printed 0.702" in text


def test_table_1_p_values_come_out_of_its_counts(paper):
    found = {}
    for row in paper["table1"]:
        if "counts" in row:
            test, p = compare_counts(row["counts"], generator(0, "table 1"))
            found[row["variable"]] = (test, abs(p - row["printed_p"]) <= ROUNDING)
    assert len(found) == 6
    assert set(found.values()) == {("chi-square", True)}


def test_table_1_percentages_come_out_of_its_counts(paper):
    off = set()
    for row in (row for row in paper["table1"] if "counts" in row):
        totals = [sum(column) for column in zip(*row["counts"], strict=True)]
        for counts, printed in zip(row["counts"], row["printed_percent"], strict=True):
            for cohort, count, total, percent in zip(COHORTS, counts, totals, printed, strict=True):
                if abs(100 * count / total - percent) > paper["rounding_tolerance"]["percent"]:
                    off.add((row["variable"], cohort))
    assert off == TABLE_1_MISPRINTS
