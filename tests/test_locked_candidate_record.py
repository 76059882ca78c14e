"""candidate.json refuses to exist wrongly; trees and clinical cells are read as they were learned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.ensemble import RandomForestClassifier
from tiny_candidates import AGE, STAGE, candidate, clinical_candidate, integrated_candidate

from autodls.candidates.terms import tree_text
from autodls.errors import DatasetError
from autodls.records.clinical_column import ClinicalColumn, read_clinical
from autodls.records.forest import read_tree, share_of_trees
from autodls.records.locked_candidate import CANDIDATE, LockedCandidate


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_trees_are_those_of_scikit_learn(seed, features):
    chance = np.random.default_rng(seed)
    values, labels = chance.normal(size=(40, features)), chance.random(40) < 0.4
    forest = RandomForestClassifier(4, min_samples_leaf=2, random_state=seed).fit(values, np.append(labels[1:], True))
    trees = tuple(tree_text(one.tree_) for one in forest.estimators_)
    new = chance.normal(size=(20, features))
    expected = forest.predict_proba(new)[:, list(forest.classes_).index(True)]
    assert [share_of_trees(trees, one) for one in new] == pytest.approx(expected.tolist(), abs=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks 1 of its leaves"),
        ("0<=1 0.5", "lacks 1 of its leaves"),
        ("0<=1 0<=2 0.1", "lacks 2 of its leaves"),
        ("0.5 0.5", "ends at its word 1 of 2"),
        ("0<=1 0.1 0.2 0.3", "ends at its word 3 of 4"),
        ("2.0", "expected a share from 0 to 1"),
        ("0<=nan 0.1 0.2", "expected a number"),
        ("-1<=0.5 0.1 0.2", "could not convert"),
    ],
)
def test_a_text_that_is_no_tree_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        read_tree(text)


@pytest.mark.parametrize(
    ("make", "changes", "said"),
    [
        (candidate, {"middle": (1.0, 2.0)}, "2 numbers in 'middle' for 1 features"),
        (candidate, {"coefficients": ()}, "0 numbers in 'coefficients' for 1 features"),
        (candidate, {"trees": ("1<=0 0.1 0.2",), "coefficients": ()}, "asks for feature 1 of 1"),
        (candidate, {"trees": ("0<=0 0.1",), "coefficients": ()}, "lacks 1 of its leaves"),
        (candidate, {"networks_sha256": "0" * 64}, "of a candidate that is made of networks and"),
        (candidate, {"name": "integrated"}, "with the networks None"),
        (candidate, {"name": "whatever"}, "should match pattern"),
        (clinical_candidate, {"columns": (AGE, STAGE.model_copy(update={"name": "n"}))}, "'n: T1' is no feature"),
        (integrated_candidate, {"parts": ()}, "made of networks and"),
    ],
)
def test_a_record_that_does_not_go_together_is_refused(make, changes, said):
    with pytest.raises(ValidationError, match=said):
        make(**changes)


def test_a_record_is_read_as_it_was_written(tmp_path):
    for at, record in enumerate((candidate(), clinical_candidate(), integrated_candidate())):
        record.save(tmp_path / f"{at}-{CANDIDATE}")
        assert LockedCandidate.load(tmp_path / f"{at}-{CANDIDATE}", "") == record


# What is in a cell, by the rules of the dataset's own table.
@pytest.mark.parametrize(
    ("column", "cell", "found", "said"),
    [
        (AGE, "71", {"age": 71.0, "age: (missing)": 0.0}, ""),
        (AGE, "", {"age": 60.0, "age: (missing)": 1.0}, "median"),
        (AGE, "N/A", {"age": 60.0, "age: (missing)": 1.0}, "median"),
        (AGE, "29.9", {"age": 29.9, "age: (missing)": 0.0}, "outside 30 to 85"),
        (STAGE, "T2", {"stage: T1": 0.0, "stage: T2": 1.0, "stage: T3": 0.0}, ""),
        (STAGE, "unknown?", None, "'unknown?', which no training case has; its levels are T1, T2, T3"),
        (STAGE, "none", None, "'none', which no training case has"),
        (STAGE, "NA", {"stage: T1": 0.0, "stage: T2": 0.0, "stage: T3": 0.0}, "no level, as no training case lacked"),
        (AGE, "sixty", None, "'sixty', expected a number"),
    ],
)
def test_a_cell_is_read_as_in_training(column, cell, found, said):
    if found is None:
        with pytest.raises(DatasetError, match=said.replace("?", r"\?")):
            column.read(cell)
        return
    values, flags = column.read(cell)
    assert values == found and (said in "".join(flags)) and bool(flags) == bool(said)


def test_a_code_is_a_level_however_it_is_written_and_the_study_names_what_is_missing():
    grade = ClinicalColumn(name="grade", levels=("(missing)", "1", "2"))
    assert grade.read("2.0") == grade.read("2") and grade.read("2")[0]["grade: 2"] == 1.0
    assert grade.read("-")[0]["grade: (missing)"] == 1.0 and "a level of its own" in grade.read("-")[1][0]
    smoking = ClinicalColumn(name="smoking", levels=("None", "Former", "NA"), coded=True)
    assert smoking.read("NA")[0]["smoking: NA"] == 1.0 and smoking.read("None")[0]["smoking: None"] == 1.0


def test_a_table_gives_the_cells_that_are_asked_for(tmp_path):
    table = tmp_path / "new.tsv"
    table.write_text("case\tother\tage\nA\tx\t999\nB\ty\t61\n")
    assert read_clinical(table, ["age"], {"age": ("999",)}) == {"A": {"age": ""}, "B": {"age": "61"}}
