"""Several cases of a patient are one patient: in folds, in minimum counts, and in what a cohort is said to show."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_records import CPU, decide, fingerprint, make_case, plan
from tiny_models import tiny_model

from autodls.errors import PlanError
from autodls.planning.check import check_dataset
from autodls.planning.expectation import ASSUMED_AUC, auc_standard_error, expect, expected_interval
from autodls.planning.fingerprint import extract_fingerprint
from autodls.planning.patients import count_patients, effective_cases
from autodls.planning.splits import make_splits, require_both_classes
from autodls.records.case import Case
from autodls.records.cohort import read_cohort
from autodls.records.fingerprint import Fingerprint
from autodls.training.card import model_card
from autodls.training.learnt import LabelCounts, labels_of, unlearnt_auc


def scans(positive: Sequence[int], negative: Sequence[int]) -> list[Case]:
    """Patients with so many cases each."""
    return [
        make_case(f"{side}{patient:02d}-{scan}", side == "p", f"{side}{patient:02d}")
        for side, counts in (("p", positive), ("n", negative))
        for patient, count in enumerate(counts)
        for scan in range(count)
    ]


def seen_in(cases: list[Case]) -> Fingerprint:
    """The fingerprint of a cohort, but for its images."""
    made = fingerprint(len(cases), sum(case.label is True for case in cases))
    patients = len({case.patient for case in cases})
    return made.model_copy(update={"patients": patients, "by_patient": count_patients(cases)})


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_cases_are_worth_no_more_than_their_patients(counts: list[int]) -> None:
    assert 1.0 <= effective_cases(counts) <= len(counts) + 1e-4
    assert effective_cases([3] * len(counts)) == len(counts)


def test_patients_are_counted_by_class() -> None:
    cases = [*scans([4, 4], [1, 3]), make_case("late", False, "p00")]
    found = count_patients(cases)
    assert found is not None
    assert (found.positive, found.negative, found.both) == (2, 3, 1)
    assert (found.effective_positive, found.effective_negative) == (2.0, pytest.approx(25 / 11, abs=1e-4))
    assert count_patients(scans([1, 1], [1])) is None


@pytest.mark.parametrize(("patients", "scans_each", "folds"), [(4, 4, 2), (6, 3, 3), (15, 2, 5)])
def test_a_plan_and_its_splits_by_patients(patients: int, scans_each: int, folds: int) -> None:
    """4 positive patients with 4 scans each were planned for 5 folds, which could not be made."""
    cases = scans([scans_each] * patients, [2] * 20)
    made = plan(seen_in(cases))
    assert made.training.folds == folds
    assert made.reasons["training.folds"].startswith(f"{patients} patients of the rarer class")
    splits = make_splits(cases, folds, made.training.inner_holdout, 0)
    require_both_classes(splits, cases, [])
    patient = {case.id: case.patient for case in cases}
    for fold in splits.folds:
        sides = [{patient[case] for case in side} for side in (fold.train, fold.inner, fold.validation)]
        assert sum(map(len, sides)) == len(set.union(*sides)) == patients + 20


def test_three_patients_are_too_few_however_many_their_scans() -> None:
    seen = seen_in(scans([9, 9, 9], [1] * 20))
    with pytest.raises(PlanError, match=r"3 training patients of the rarer class; .* add patients"):
        plan(seen)
    with pytest.raises(PlanError, match="3 training patients of the rarer class, but 2 folds need at least 4"):
        plan(seen, training__folds=2)


def test_principal_components_are_fewer_than_the_patients() -> None:
    one, four = seen_in(scans([1] * 40, [1] * 60)), seen_in(scans([4] * 10, [4] * 15))
    assert decide("network.pca_dims", one).value == 56  # 64 cases learn
    few = decide("network.pca_dims", four, CPU)
    assert few.value == 8
    assert "fewer than the 12 patients that the PCA is fitted on" in few.reason


@pytest.mark.parametrize(
    ("positive", "negative"), [([4] * 12, [4] * 30), ([1] * 40, [3] * 20), ([8, *[1] * 24], [2] * 30)]
)
def test_the_promised_interval_covers_scans_that_say_the_same(positive: list[int], negative: list[int]) -> None:
    """Scores of exponential distribution, for which the formula is exact, one a patient."""
    chance, aucs = np.random.default_rng(0), []
    for _ in range(3000):
        high = np.repeat(chance.exponential(ASSUMED_AUC / (1 - ASSUMED_AUC), len(positive)), positive)
        low = np.repeat(chance.exponential(1.0, len(negative)), negative)
        aucs.append((high[:, None] > low).mean())
    said = expect(seen_in(scans(positive, negative)), folds=2)
    low, high = expected_interval(ASSUMED_AUC, float(np.std(aucs)))
    assert said.auc_ci_half_width == pytest.approx((high - low) / 2, rel=0.06)
    naive = auc_standard_error(ASSUMED_AUC, sum(positive), sum(negative))
    assert said.design_effect == pytest.approx(np.var(aucs) / naive**2, rel=0.12)
    assert f"a design effect of {said.design_effect:.1f}" in said.statement


def test_what_is_promised_of_four_patients_with_four_scans() -> None:
    said, alone = (expect(seen_in(scans([each] * 4, [each] * 20)), folds=2) for each in (4, 1))
    assert (said.auc_ci_half_width, said.rarer_class_per_fold) == (alone.auc_ci_half_width, 2.0)
    assert (said.positives, alone.design_effect) == (16, None)
    assert "4 positive and 20 negative patients (16 and 80 cases; those of a patient counted as one" in said.statement
    assert b"design_effect" not in alone.to_bytes()


def test_a_patient_with_cases_of_both_classes_is_told(
    make_dataset: Callable[..., Path], edit_table: Callable[..., None], tmp_path: Path
) -> None:
    folder = make_dataset(tmp_path)
    edit_table(folder, "case_01", patient_id="patient_00")
    (problem,) = check_dataset(folder).problems
    assert not problem.is_error
    assert (
        problem.what == "patient 'patient_00' has positive and negative cases (case_00 is positive, case_01 negative)"
    )
    told: list[str] = []
    found = extract_fingerprint(read_cohort(folder), warn=told.append)
    assert told == ["patients with positive and negative cases: 1; folds count them as positive"]
    assert (found.counts.positive, found.counts.negative, found.counts.both) == (2, 2, 1)
    assert Fingerprint.parse(found.model_dump(mode="json"), "", "") == found


def test_the_model_card_names_the_patients() -> None:
    model = tiny_model()
    of_one_each, of_few = (
        model_card(model.record.model_copy(update={"training_patients": patients}), model.plan, [])
        for patients in (None, 1)
    )
    assert "2 cases of `tiny`" in of_one_each
    assert "2 cases (1 patients) of `tiny`" in of_few
    assert b"training_patients" not in model.record.to_bytes()  # as an older version wrote and sealed it


def test_early_stopping_scans_of_few_patients_tell_little() -> None:
    """An AUC of 0.45 of 8 and 12 scans tells against a network; of 2 and 3 patients with 4 scans each it does not."""
    labels = [1] * 8 + [0] * 12
    assert unlearnt_auc(labels_of(labels)) > 0.44
    assert (
        unlearnt_auc(labels_of(labels, [str(scan // 4) for scan in range(20)])) == unlearnt_auc(LabelCounts(2, 3)) < 0.2
    )


@pytest.mark.parametrize(("rule", "optimistic"), [("youden", True), ("class_medians", False)])
def test_the_model_card_says_what_rates_out_of_fold_are_of(rule: str, optimistic: bool) -> None:
    model = tiny_model()
    training = model.plan.training.model_copy(update={"cutoff": rule})
    text = model_card(model.record, model.plan.model_copy(update={"training": training}), [])
    said = " ".join(text.split())
    assert "those of single-fold models there, not of the ensemble, for which they have no interval" in said
    assert ("optimistic" in said) == optimistic
