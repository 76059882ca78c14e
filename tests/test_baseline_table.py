"""Table 1: the choice of test, its P value against R, missing counts."""

import json
from pathlib import Path

import numpy as np
import pytest

from autodls.errors import ArgumentError
from autodls.evaluation.baseline import (
    baseline_table,
    compare_counts,
    compare_numbers,
    counts_smd,
    looks_normal,
    numbers_smd,
)
from autodls.seeding import generator

CASES = json.loads((Path(__file__).parent / "reference" / "tables.json").read_text())["cases"]


def rng():
    return generator(0, "baseline")


@pytest.mark.parametrize("case", CASES["counts"], ids=lambda case: case["name"])
def test_counts_agree_with_r(case):
    test, p = compare_counts(case["counts"], rng())
    if case["smallest_expected"] >= 5:
        assert (test, p) == ("chi-square", pytest.approx(case["chi_square_p"], abs=1e-9))
    else:
        exact = len(case["counts"]) == len(case["counts"][0]) == 2
        assert (test, p) == ("Fisher", pytest.approx(case["fisher_p"], abs=1e-9 if exact else 0.006))


@pytest.mark.parametrize("case", CASES["numbers"], ids=lambda case: case["name"])
def test_numbers_agree_with_r(case):
    groups = [np.array(group) for group in case["groups"]]
    normal, two = "normal" in case["name"], len(groups) == 2
    expected = {
        (True, True): "Welch t",
        (True, False): "Welch ANOVA",
        (False, True): "Mann-Whitney",
        (False, False): "Kruskal-Wallis",
    }
    test, p = compare_numbers(groups)
    assert looks_normal(groups) == normal
    assert test == expected[normal, two]
    # R's values of the normal cases pool the variance, which these groups share
    assert p == pytest.approx(case["parametric_p" if normal else "rank_p"], abs=0.02 if normal else 1e-9)


SLEEP = ([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0], [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
PLANT_GROWTH = (
    [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14],
    [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69],
    [6.31, 5.12, 5.54, 5.50, 5.37, 5.29, 4.92, 6.15, 5.80, 5.26],
)


@pytest.mark.parametrize(("groups", "test", "p"), [(SLEEP, "Welch t", 0.07939), (PLANT_GROWTH, "Welch ANOVA", 0.01739)])
def test_means_are_compared_as_by_welch(groups, test, p):
    """R's t.test(extra ~ group, sleep) and oneway.test(weight ~ group, PlantGrowth), as R prints them."""
    assert compare_numbers([np.array(group) for group in groups]) == (test, pytest.approx(p, abs=6e-6))


def test_unequal_spread_makes_no_difference_of_equal_means():
    """A small cohort with twice the spread: the pooled t test has P < 0.05 in 15.7 % of such tables."""
    draw = np.random.default_rng(31)
    found = [compare_numbers([draw.normal(0, 1, 72), draw.normal(0, 2, 24)]) for _ in range(400)]
    assert np.mean([p < 0.05 for _, p in found]) <= 0.08


def test_fisher_by_simulation_is_reproducible():
    counts = CASES["counts"][2]["counts"]
    assert compare_counts(counts, rng()) == compare_counts(counts, rng())


@pytest.mark.parametrize("counts", [[[3, 4]], [[3], [4]], [[3, 4], [0, 0]], [[3, 0], [4, 0]]])
def test_nothing_to_compare(counts):
    assert compare_counts(counts, rng()) == (None, None)


@pytest.mark.parametrize("groups", [[[1.0, 2.0]], [[1.0], [2.0, 3.0]], [[4.0, 4.0], [4.0, 4.0]], [[], [1.0, 2.0]]])
def test_no_test_of_too_few_or_constant_numbers(groups):
    assert compare_numbers([np.array(group) for group in groups]) == (None, None)


def test_table_counts_levels_and_missing_values():
    columns = {
        "sex": ["m", "f", "m", "", "f", "m"],
        "age": ["61.5", "45", "NA", "70", "52", "66"],
        "stage": ["1", "2", "2", "3", "1", ""],
        "empty": [""] * 6,
        "site": ["A"] * 6,
    }
    table = baseline_table(columns, ["train"] * 3 + ["test"] * 3, rng())
    sex, age, stage, empty, site = table.variables
    assert (table.cohorts, table.n) == (("train", "test"), (3, 3))
    assert [level.name for level in sex.levels] == ["f", "m"]
    assert [[cell.count for cell in level.cells] for level in sex.levels] == [[1, 1], [2, 1]]
    assert [cell.text for cell in sex.levels[1].cells] == ["2 (66.7%)", "1 (50.0%)"]
    assert (sex.missing, sex.test) == ((0, 1), "Fisher")
    assert (age.kind, age.missing, [cell.count for cell in age.levels[0].cells]) == ("numeric", (1, 0), [2, 3])
    assert (stage.kind, [level.name for level in stage.levels]) == ("categorical", ["1", "2", "3"])
    assert (empty.levels, empty.missing, empty.reason) == ((), (3, 3), "every value is missing")
    assert (site.p, site.test) == (None, None)
    assert "nothing to compare" in site.reason


def test_normal_variables_print_mean_and_deviation_others_quartiles():
    draw = np.random.default_rng(5)
    columns = {
        "normal": [f"{value:.2f}" for value in draw.normal(60, 9, 80)],
        "skewed": [f"{value:.2f}" for value in draw.exponential(9, 80)],
    }
    normal, skewed = baseline_table(columns, ["a", "b"] * 40, rng()).variables
    assert (normal.test, skewed.test) == ("Welch t", "Mann-Whitney")
    values = np.array(columns["normal"][::2], dtype=float)
    assert normal.levels[0].cells[0].text == f"{values.mean():.1f} ± {values.std(ddof=1):.1f}"
    values = np.array(columns["skewed"][::2], dtype=float)
    assert skewed.levels[0].cells[0].centre == pytest.approx(np.median(values))


def test_a_cohort_without_any_value_shows_a_dash():
    table = baseline_table({"age": ["61.5", "45.2", "", ""], "sex": ["m", "f", "", ""]}, ["a", "a", "b", "b"], rng())
    assert [cell.text for cell in table.variables[0].levels[0].cells][1] == "-"
    assert [cell.text for cell in table.variables[1].levels[0].cells] == ["1 (50.0%)", "-"]
    assert [variable.p for variable in table.variables] == [None, None]


def test_columns_must_have_a_cell_for_every_case():
    with pytest.raises(ArgumentError, match="'age' has 2 cells for 3 cases"):
        baseline_table({"age": ["1", "2"]}, ["a", "a", "b"], rng())


@pytest.mark.parametrize(
    ("counts", "expected"),  # by hand, Austin 2009; more than two levels: Yang and Dalton 2012
    [
        ([[50, 40], [50, 60]], 0.1 / np.sqrt((0.25 + 0.24) / 2)),
        ([[50, 40], [30, 40], [20, 20]], np.sqrt(0.01 * 0.16 / (0.225 * 0.16 - 0.07**2))),
        ([[10, 30, 5], [10, 30, 5]], 0.0),
        ([[5, 0], [0, 5]], None),
        ([[5, 0], [4, 0]], None),
        ([[5], [4]], None),
    ],
)
def test_standardised_difference_of_shares_is_as_by_hand(counts, expected):
    assert counts_smd(counts) == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_standardised_difference_of_means_is_the_largest_of_all_pairs():
    first, second, third = np.array([8.0, 10.0, 12.0]), np.array([9.0, 11.0, 13.0]), np.array([10.0, 14.0, 18.0])
    assert numbers_smd([first, second]) == pytest.approx(0.5)  # 1 / sqrt((4 + 4) / 2)
    assert numbers_smd([first, second, third]) == pytest.approx(4 / np.sqrt(10))  # (16 + 4) / 2
    assert numbers_smd([first, first[:1]]) is None
    assert numbers_smd([np.ones(3), np.ones(3)]) == 0
    assert numbers_smd([np.ones(3), np.zeros(3)]) is None
