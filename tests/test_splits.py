"""Splits: nobody is on two sides, everybody is scored once, both classes are everywhere they must be."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_records import make_case
from tiny_study import study_plan

from autodls.errors import PlanError, StaleRecordError
from autodls.planning.splits import make_splits, require_both_classes, require_same_draw, verify_splits
from autodls.records.case import Case
from autodls.records.splits import Fold, Splits


def cohort(positives: int, negatives: int, sites: str = "A") -> list[Case]:
    """One case a patient; sites in turn."""
    labels = [True] * positives + [False] * negatives
    return [make_case(f"c{row:03d}", label, site=sites[row % len(sites)]) for row, label in enumerate(labels)]


def labels_of(cases: list[Case], members: tuple[str, ...]) -> set[bool | None]:
    label = {case.id: case.label for case in cases}
    return {label[case] for case in members}


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[list[Case], int]:
    """Patients with one to three cases of one class, of one to three sites, enough for the number of folds."""
    folds = draw(st.sampled_from([2, 3, 5]))
    cases = []
    for label in (True, False):
        for number in range(draw(st.integers(max(4, folds + 1), 20))):
            patient, site = f"{'pn'[label]}{number}", draw(st.sampled_from("ABC"))
            scans = draw(st.integers(1, 3))
            cases += [make_case(f"{patient}-{scan}", label, patient, site) for scan in range(scans)]
    return cases, folds


@settings(max_examples=40, deadline=None)
@given(made=cohorts(), share=st.sampled_from([0.2, 0.25, 0.4]), seed=st.integers(0, 1000))
def test_properties_of_every_split(made: tuple[list[Case], int], share: float, seed: int) -> None:
    cases, folds = made
    splits = make_splits(cases, folds, share, seed)
    assert len(splits.folds) == folds
    assert sorted(case for fold in splits.folds for case in fold.validation) == sorted(case.id for case in cases)
    patient = {case.id: case.patient for case in cases}
    for fold in splits.folds:
        sides = [fold.train, fold.inner, fold.validation]
        assert sum(map(len, sides)) == len(cases)
        patients = [{patient[case] for case in side} for side in sides]
        assert sum(map(len, patients)) == len(set.union(*patients))
        for side in sides:
            assert labels_of(cases, side) == {True, False}
    verify_splits(splits, cases, folds)


@settings(max_examples=30, deadline=None)
@given(positives=st.integers(5, 40), negatives=st.integers(5, 80), seed=st.integers(0, 1000))
def test_single_scans_are_spread_evenly(positives: int, negatives: int, seed: int) -> None:
    cases = cohort(positives, negatives, "AB")
    splits = make_splits(cases, 5, 0.2, seed)
    label = {case.id: case.label for case in cases}
    for wanted, total in ((True, positives), (False, negatives)):
        counts = [sum(label[case] is wanted for case in fold.validation) for fold in splits.folds]
        assert min(counts) >= 1
        assert sum(counts) == total
        assert max(counts) - min(counts) <= 1
    sizes = [len(fold.validation) for fold in splits.folds]
    assert max(sizes) - min(sizes) <= 1


def test_sites_are_spread_over_folds() -> None:
    cases = cohort(30, 60, "AAB")
    site = {case.id: case.site for case in cases}
    for fold in make_splits(cases, 5, 0.2, 0).folds:
        assert Counter(site[case] for case in fold.validation) == {"A": 12, "B": 6}


def test_a_site_of_one_patient_does_not_upset_the_classes() -> None:
    cases = [*cohort(5, 10), make_case("lonely", True, site="Z")]
    for fold in make_splits(cases, 5, 0.25, 3).folds:
        assert labels_of(cases, fold.validation) == {True, False}


def test_order_of_the_table_does_not_matter_but_the_seed_does() -> None:
    cases = cohort(12, 20, "AB")
    first = make_splits(cases, 3, 0.2, 0)
    assert make_splits(cases[::-1], 3, 0.2, 0) == first
    assert make_splits(cases, 3, 0.2, 1).folds != first.folds


@pytest.mark.parametrize("share", [0.2, 0.25, 0.4])
def test_the_inner_hold_out_has_about_its_share(share: float) -> None:
    for fold in make_splits(cohort(40, 60), 5, share, 0).folds:
        assert len(fold.inner) / (len(fold.inner) + len(fold.train)) == pytest.approx(1 / round(1 / share), abs=0.05)


def test_the_smallest_cohort_that_is_allowed() -> None:
    cases = cohort(4, 4)
    for fold in make_splits(cases, 2, 0.25, 0).folds:
        assert [len(fold.train), len(fold.inner), len(fold.validation)] == [2, 2, 4]


def test_a_patient_whose_scans_differ_in_class_stays_whole() -> None:
    cases = [make_case(f"c{row}", row % 2 == 0, patient=f"p{row // 2}") for row in range(24)]
    verify_splits(make_splits(cases, 3, 0.25, 0), cases)


def test_too_few_patients_of_a_class() -> None:
    cases = [*cohort(0, 12), *(make_case(f"p{scan}", True, patient="same") for scan in range(6))]
    with pytest.raises(PlanError, match=r"1 patients have a positive case, fewer than 3 folds; give fewer"):
        make_splits(cases, 3, 0.2, 0)


def test_no_way_to_an_inner_hold_out_with_both_classes() -> None:
    with pytest.raises(PlanError, match="inner hold-out hold both classes"):
        make_splits(cohort(2, 10), 2, 0.2, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cases: cases[1:], "1 cases differ from the table, e.g. c000 is in splits.json but not"),
        (lambda cases: [*cases, make_case("new", True)], "e.g. new is in the training cohort only"),
        (lambda cases: [make_case("c000", False, site="A"), *cases[1:]], "label, patient or site"),
        (lambda cases: [make_case("c000", True, site="B"), *cases[1:]], "label, patient or site"),
        (lambda cases: [make_case("c000", True, "c001", "A"), *cases[1:]], "label, patient or site"),
    ],
)
def test_a_changed_table_is_noticed(change: object, message: str) -> None:
    cases = cohort(8, 12)
    splits = make_splits(cases, 2, 0.25, 0)
    with pytest.raises(StaleRecordError, match=f"{message}.*run 'autodls plan' again"):
        verify_splits(splits, change(cases))  # type: ignore[operator]


def test_another_number_of_folds_is_noticed() -> None:
    cases = cohort(8, 12)
    with pytest.raises(StaleRecordError, match="2 folds, but the plan has 3"):
        verify_splits(make_splits(cases, 2, 0.25, 0), cases, folds=3)


def test_a_patient_on_both_sides_is_noticed() -> None:
    """As a person might edit the file: hashes fit, but two scans of a patient are torn apart."""
    cases = [make_case(f"c{row}", row % 4 < 2, patient=f"p{row // 2}") for row in range(16)]
    splits = make_splits(cases, 2, 0.25, 0)
    first = splits.folds[0]
    moved = first.train[0]
    torn = Fold(index=0, train=first.train[1:], inner=(*first.inner, moved), validation=first.validation)
    edited = Splits(seed=0, inner_holdout=0.25, cohort_sha256=splits.cohort_sha256, folds=(torn, splits.folds[1]))
    with pytest.raises(StaleRecordError, match=r"fold 0: patient 'p\d+' is in train and in inner"):
        verify_splits(edited, cases)


@pytest.mark.parametrize("part", ["train", "inner"])
def test_a_part_of_one_class_is_noticed(part: str) -> None:
    cases = cohort(12, 12)
    splits = make_splits(cases, 2, 0.25, 0)
    first, label = splits.folds[0], {case.id: case.label for case in cases}
    other = "inner" if part == "train" else "train"
    moved = tuple(case for case in getattr(first, part) if label[case])
    kept = tuple(case for case in getattr(first, part) if not label[case])
    update = {part: kept, other: getattr(first, other) + moved}
    edited = splits.model_copy(update={"folds": (first.model_copy(update=update), splits.folds[1])})
    with pytest.raises(StaleRecordError, match=rf"fold 0: the \d+ cases of part '{part}' are of one class; run"):
        verify_splits(edited, cases)


def test_a_validation_part_of_one_class_is_noticed() -> None:
    cases = cohort(12, 12)
    ids = [case.id for case in cases]
    validated = [ids[16:], ids[:8], ids[8:16]]
    folds = []
    for index, part in enumerate(validated):
        others = [case for case in ids if case not in part]
        inner, train = others[::3], [case for case in others if case not in others[::3]]
        folds.append(Fold(index=index, train=tuple(train), inner=tuple(inner), validation=tuple(part)))
    splits = make_splits(cases, 3, 0.25, 0).model_copy(update={"folds": tuple(folds)})
    with pytest.raises(StaleRecordError, match="fold 0: the 8 cases of part 'validation' are of one class; run"):
        verify_splits(splits, cases)


def with_sequences(cases: list[Case], **having: range) -> list[Case]:
    """T1 for every case, and the others for the cases at some positions."""
    return [
        replace(case, images={name: Path() for name in ("T1", *(n for n, rows in having.items() if row in rows))})
        for row, case in enumerate(cases)
    ]


def test_a_sequence_of_few_cases_is_refused_before_training() -> None:
    cases = with_sequences(cohort(8, 12), T2=range(7, 9))
    splits = make_splits(cases, 2, 0.25, 0)
    require_both_classes(splits, cases, ["T1"])
    with pytest.raises(
        PlanError, match=r"fold 0: the \d cases of part 'train' with T2 are .*; leave a sequence that few"
    ):
        require_both_classes(splits, cases, ["T1", "T2"])
    with pytest.raises(PlanError, match="the 0 cases of part 'train' with DWI are none at all"):
        require_both_classes(splits, cases, ["DWI"])
    with pytest.raises(StaleRecordError, match=r"splits.json: fold 0: .* with T2 are .*; run 'autodls plan' again"):
        verify_splits(splits, cases, sequences=["T1", "T2"])


def test_the_inner_hold_out_is_drawn_so_that_every_sequence_has_both_classes() -> None:
    for seed in range(10):
        cases = with_sequences(cohort(16, 16), T2=range(6, 26))
        require_both_classes(make_splits(cases, 2, 0.25, seed), cases, ["T1", "T2"])


@pytest.mark.parametrize(("name", "value"), [("seed", 1), ("inner_holdout", 0.3)])
def test_another_seed_or_inner_share_than_the_splits_were_drawn_with_is_told(name: str, value: float) -> None:
    training = study_plan().training
    splits = make_splits(cohort(8, 12), 2, training.inner_holdout, training.seed)
    require_same_draw(splits, training)
    with pytest.raises(PlanError, match=rf"training.{name} \S+, the plan has {value}; .* delete splits.json and run"):
        require_same_draw(splits, training.model_copy(update={name: value}))


def test_round_trip_and_refusals(tmp_path: Path) -> None:
    splits = make_splits(cohort(8, 12), 2, 0.25, 0)
    splits.save(tmp_path / "splits.json")
    assert Splits.load(tmp_path / "splits.json", "plan again") == splits
    with pytest.raises(PlanError, match=r"1 cases in train and validation, e\.g\. a.*plan again$"):
        Fold.parse({"index": 0, "train": ["a"], "inner": ["b"], "validation": ["a"]}, "splits.json", "plan again")
