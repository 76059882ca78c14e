"""The dataset folder: description, table, files, and how they become cases."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodls.errors import DatasetError
from autodls.records.case import cohort_sha256
from autodls.records.case_id import case_id_fault, look_alikes
from autodls.records.cells import is_missing, read_number
from autodls.records.cohort import join_cohort, read_cohort, read_description
from autodls.records.dataset import DatasetDescription, Target
from autodls.records.table import read_table

Make = Callable[..., Path]


def write_plain(folder: Path, ids: list[str], images: list[str], labels: list[str], **settings: object) -> Path:
    """A dataset whose files are empty: reading a cohort opens none of them."""
    for part, names in (("imagesTr", images), ("labelsTr", labels)):
        (folder / part).mkdir(parents=True)
        for name in names:
            (folder / part / name).touch()
    rows = [f"{case},{10 + 20 * (number % 2)}" for number, case in enumerate(ids)]
    (folder / "clinical.csv").write_text("\n".join(["case,cps", *rows]) + "\n")
    autodls = {"target": {"name": "high", "column": "cps", "positive": ">= 20"}, **settings}
    description = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "t": 1}, "autodls": autodls}
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def edit_description(folder: Path, **changes: object) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# Description


@pytest.mark.parametrize(
    ("rule", "value", "positive"),
    [
        (">= 20", 20, True),
        ("> 20", 20, False),
        ("<= -1.5", -1.5, True),
        ("== 1", 1, True),
        ("!=1", 1, False),
        ("<+2", 1, True),
    ],
)
def test_target_rule(rule: str, value: float, positive: bool) -> None:
    assert Target(name="t", column="c", positive=rule).is_positive(value) is positive


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channel_names": {"0": "T1", "2": "T2"}}, "without gaps"),
        ({"channel_names": {}}, "must be given"),
        ({"channel_names": {"0": "T1", "1": "t1"}}, "differ"),
        ({"channel_names": {"0": "T1", "1": "a/b"}}, "'a/b' must be made of"),
        ({"channel_names": {"0": "T1", "1": "DLS"}}, "column or file of ours"),
        ({"channel_names": {"0": "T1", "1": "T" * 300}}, "more than 100"),
        ({"channel_names": {"0": "T1", "1": "CON"}}, "device name"),
        ({"labels": {"background": 1, "tumour": 2}}, "background must be 0"),
        ({"labels": {"background": 0}}, "means tumour"),
        ({"labels": {"background": 0, "t": -1}}, "means tumour"),
        ({"labels": {"background": 0, "t": 1, "ignore": 2}}, "'ignore' is not supported"),
        ({"file_ending": ".dcm"}, "got '.dcm'"),
        ({"autodls": {"target": {"name": "t", "column": "c", "positive": "about 20"}}}, "got 'about 20'"),
        ({"autodls": {"target": {"name": "t", "column": "cps", "positive": "> 1"}, "roi_channel": "T9"}}, "'T9'"),
        ({"autodls": {"target": {"name": "t", "column": "cps", "positive": "> 1"}, "patients": "x"}}, "patients"),
    ],
)
def test_description_says_what_is_wrong(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    folder = write_plain(tmp_path, ["a", "b"], [], [])
    edit_description(folder, **changes)
    with pytest.raises(DatasetError, match=r"dataset\.json") as caught:
        read_description(folder)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_description_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        read_description(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="not valid JSON"):
        read_description(tmp_path)


def test_description_defaults(tmp_path: Path) -> None:
    description = read_description(write_plain(tmp_path, ["a"], [], []))
    assert (description.sequences, description.roi_channel) == (("T1", "T2"), "T2")
    regions = DatasetDescription.model_validate(
        {**description.model_dump(), "labels": {"background": 0, "whole tumor": (1, 2), "tumor core": 2}}
    )
    assert regions.roi_labels == {1, 2}


# Table


@pytest.mark.parametrize(
    "content",
    [
        b"case,cps\na,1\n\nb,2\n",
        b"\xef\xbb\xbfcase;cps\r\na;1\r\nb;2\r\n",
        b'case\tcps\n"a"\t 1\nb\t2',
        b"case,cps,,\na,1,,\nb,2,,\n,,,\n",
    ],
    ids=["blank row", "byte-order mark, semicolons", "tabs, quotes, spaces", "unnamed columns"],
)
def test_tables_of_many_programs(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert read_table(path) == [{"case": "a", "cps": "1"}, {"case": "b", "cps": "2"}]


def test_table_keeps_a_line_break_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('case,note\na,"one\ntwo"\n')
    assert read_table(path) == [{"case": "a", "note": "one\ntwo"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"case,case\na,b\n", "'case' stands twice"),
        (b"case,cps\na,1,2\n", "row 2 has 3 cells, its header 2"),
        (b"case,cps\n\xff,1\n", "not UTF-8 at byte 9"),
        (b'case,cps\n"a,1\n', "not a valid CSV table"),
        (None, "no such file"),
    ],
)
def test_table_faults(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        read_table(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive_a_cell(value: float) -> None:
    assert read_number(repr(value)) == value


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "NaN", "--", "?", "None"])
def test_missing_cells(cell: str) -> None:
    assert is_missing(cell)
    assert read_number(cell) is None


@pytest.mark.parametrize("cell", ["yes", "1,5", "inf", "1_000", ">20", "1 2"])
def test_cells_that_are_no_numbers(cell: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        read_number(cell)


# Case ids


@pytest.mark.parametrize("case_id", ["a", "TCGA_HT_7473", "0001", "a.b-c", "console", "a_0001", "x" * 100])
def test_safe_ids(case_id: str) -> None:
    assert case_id_fault(case_id) is None


@pytest.mark.parametrize(
    "case_id", ["", "-a", ".a", "a.", "..", "a/b", "a\\b", "a b", "é", "a\n", "NUL", "con.x", "Lpt1", "x" * 101]
)
def test_unsafe_ids(case_id: str) -> None:
    assert case_id_fault(case_id)


@given(st.lists(st.text("abAB", min_size=1, max_size=3)))
def test_ids_collide_exactly_when_lower_case_is_equal(ids: list[str]) -> None:
    colliding = {case_id for group in look_alikes(ids) for case_id in group}
    assert colliding == {one for one in ids if any(one != two and one.lower() == two.lower() for two in ids)}


# Files


def test_ids_that_end_like_a_channel(tmp_path: Path) -> None:
    images = ["a_0000.nii.gz", "a_0001.nii.gz", "a_0001_0000.nii.gz"]
    labels = ["a.nii.gz", "a_0000.nii.gz", "a_0001.nii.gz"]
    joined = join_cohort(write_plain(tmp_path, ["a", "a_0001"], images, labels))
    first, second = joined.cohort.cases
    assert {name: path.name for name, path in first.images.items()} == {"T1": images[0], "T2": images[1]}
    assert {name: path.name for name, path in second.images.items()} == {"T1": images[2]}
    assert first.roi is not None
    assert second.roi is not None
    assert (first.roi.name, second.roi.name) == ("a.nii.gz", "a_0001.nii.gz")
    assert {name: path.name for name, path in first.rois.items()} == {"T1": "a_0000.nii.gz"}
    assert joined.problems == ()


def test_without_patients_and_cohorts_every_case_trains_and_is_a_patient(tmp_path: Path) -> None:
    cohort = read_cohort(write_plain(tmp_path, ["b", "a"], [f"{c}_000{i}.nii.gz" for c in "ab" for i in (0, 1)], []))
    assert [(case.id, case.patient, case.site, case.label) for case in cohort.training] == [
        ("a", "a", None, True),
        ("b", "b", None, False),
    ]
    assert cohort.held_out == {}


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("b_0002.nii.gz", "channel 2 is not in channel_names"),
        ("c_0000.nii.gz", "no case 'c'"),
        ("b_0001.mha", "does not end in '.nii.gz'"),
        ("notes.txt", "does not end in '.nii.gz'"),
        ("b.nii.gz", "an image ends in its channel"),
        ("b_T1.nii.gz", "no case 'b_T1'"),
    ],
)
def test_files_of_no_case_are_told(tmp_path: Path, image: str, said: str) -> None:
    images = ["a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz", image, ".hidden"]
    problems = join_cohort(write_plain(tmp_path, ["a", "b"], images, [])).problems
    assert [problem.severity for problem in problems] == ["warning"]
    assert said in problems[0].what
    assert image in problems[0].what


@pytest.mark.parametrize(
    ("stray", "repair"),
    [
        ("b.nii.gz", "name it b_0001.nii.gz"),
        ("b_T2.nii.gz", "name it b_0001.nii.gz"),
        ("b-0001.nii.gz", "name it b_0001.nii.gz"),
        ("B_0001.nii.gz", "name it b_0001.nii.gz"),
        ("b_0001 (1).nii.gz", "name it b_0001.nii.gz"),
        ("b_0002.nii.gz", "name it b_0001.nii.gz"),  # as channels are counted from 1
        ("b_0001.nii", "convert it to b_0001.nii.gz"),
        ("b_0001.NII.GZ", "convert it to b_0001.nii.gz"),
        ("b_0001.dcm", "convert it to b_0001.nii.gz"),
    ],
)
def test_a_file_that_explains_a_gap_is_an_error(tmp_path: Path, stray: str, repair: str) -> None:
    folder = write_plain(tmp_path, ["a", "b"], ["a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", stray], [])
    (problem,) = join_cohort(folder).problems
    assert (problem.case, problem.severity) == ("b", "error")
    assert problem.what.startswith(f"imagesTr/{stray} is not read (")
    assert problem.what.endswith("), and T2 is missing")
    assert problem.repair == f"{repair}, or remove it"
    with pytest.raises(DatasetError, match=f"case b: imagesTr/{re.escape(stray)} is not read"):
        read_cohort(folder)


@pytest.mark.parametrize("stray", ["b_0000.json", "notes.txt", "b2_0001.nii.gz", "b_2_0001.nii.gz", "c.nii.gz"])
def test_a_file_that_explains_no_gap_leaves_a_missing_sequence(tmp_path: Path, stray: str) -> None:
    folder = write_plain(tmp_path, ["a", "b"], ["a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", stray], [])
    assert [problem.severity for problem in join_cohort(folder).problems] == ["warning"]
    assert list(read_cohort(folder).cases[1].images) == ["T1"]


def test_a_channel_that_whole_cases_have_too_explains_no_gap(tmp_path: Path) -> None:
    images = ["a_0000.nii.gz", "a_0001.nii.gz", "a_0002.nii.gz", "b_0000.nii.gz", "b_0002.nii.gz"]
    problems = join_cohort(write_plain(tmp_path, ["a", "b"], images, [])).problems
    assert [problem.severity for problem in problems] == ["warning", "warning"]


def test_ids_without_channel_that_end_in_digits(tmp_path: Path) -> None:
    """As vert_003.nii.gz of MIC-DKFZ/nnUNet#729: the id's own digits are not its channel."""
    ids = ["vert_0001", "vert_0002"]
    folder = write_plain(tmp_path, ids, [f"{case}.nii.gz" for case in ids], [])
    edit_description(folder, channel_names={"0": "T1"})
    problems = join_cohort(folder).problems
    assert [(problem.case, problem.severity, problem.repair) for problem in problems] == [
        (case, "error", f"name it {case}_0000.nii.gz, or remove it") for case in ids
    ]


def test_an_roi_by_another_name(tmp_path: Path) -> None:
    images = [f"{case}_000{channel}.nii.gz" for case in "ab" for channel in (0, 1)]
    (problem,) = join_cohort(write_plain(tmp_path, ["a", "b"], images, ["a_seg.nii.gz"])).problems
    assert (problem.case, problem.severity, problem.repair) == ("a", "error", "name it a.nii.gz, or remove it")


def test_roi_that_is_named_after_the_roi_channel_is_told(tmp_path: Path) -> None:
    images = [f"{case}_000{channel}.nii.gz" for case in "ab" for channel in (0, 1)]
    problems = join_cohort(write_plain(tmp_path, ["a", "b"], images, ["a_0001.nii.gz"])).problems
    assert [problem.repair for problem in problems] == ["name it a.nii.gz, or remove it"]


def test_no_image_folder(tmp_path: Path) -> None:
    folder = write_plain(tmp_path, ["a", "b"], [], [])
    (folder / "imagesTr").rmdir()
    with pytest.raises(DatasetError, match="imagesTr: cannot be listed"):
        read_cohort(folder)


# Strict for what is trained on, and only for that


def test_cohorts(make_dataset: Make, tmp_path: Path) -> None:
    cohort = read_cohort(make_dataset(tmp_path, training=4, held_out=2, missing=(("case_01", "T2WI"),)))
    assert [case.id for case in cohort.training] == ["case_00", "case_01", "case_02", "case_03"]
    assert [case.id for case in cohort.held_out["external"]] == ["case_04", "case_05"]
    assert list(cohort.training[1].images) == ["CE-T1WI"]
    assert [case.label for case in cohort.cases] == [True, False] * 3
    assert cohort.training[0].row["age"] == "50"


@pytest.mark.parametrize("cells", [{"cps": "lots"}, {"case": "a/b"}, {"cohort": ""}, {"case": "case_01"}, {"case": ""}])
def test_training_rows_are_strict(
    make_dataset: Make, edit_table: Callable[..., None], tmp_path: Path, cells: dict[str, str]
) -> None:
    folder = make_dataset(tmp_path)
    edit_table(folder, "case_00", **cells)
    with pytest.raises(DatasetError, match="autodls check"):
        read_cohort(folder)


@pytest.mark.parametrize(
    "cells", [{"cps": "lots"}, {"case": "a/b"}, {"case": "case_05"}, {"case": ""}, {"cohort": "x/y"}]
)
def test_held_out_rows_never_disturb(
    make_dataset: Make, edit_table: Callable[..., None], tmp_path: Path, cells: dict[str, str]
) -> None:
    folder = make_dataset(tmp_path)
    before = read_cohort(folder)
    edit_table(folder, "case_04", **cells)
    assert read_cohort(folder).training == before.training
    with pytest.raises(DatasetError, match="case"):
        read_cohort(folder, strict="all")


def test_one_line_counts_the_other_problems(
    make_dataset: Make, edit_table: Callable[..., None], tmp_path: Path
) -> None:
    folder = make_dataset(tmp_path, training=6)
    edit_table(folder, "case_02", cps="lots")
    edit_table(folder, "case_03", cps="more")
    with pytest.raises(DatasetError, match=r"case case_02: column 'cps' holds 'lots'.*\(and 1 more\)"):
        read_cohort(folder)


def test_columns_that_the_table_lacks_are_named_at_once(make_dataset: Make, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path)
    table = folder / "clinical.csv"
    table.write_text(table.read_text().replace("cps", "CPS").replace("age", "Age"))
    with pytest.raises(DatasetError, match="no column age, cps"):
        read_cohort(folder)


def test_training_needs_cases_and_both_classes(
    make_dataset: Make, edit_table: Callable[..., None], tmp_path: Path
) -> None:
    folder = make_dataset(tmp_path, training=2)
    edit_table(folder, "case_00", cps="1")
    with pytest.raises(DatasetError, match="every training case is negative by 'cps >= 20'"):
        read_cohort(folder)
    edit_table(folder, "case_00", cps="")
    edit_table(folder, "case_01", cps="")
    with pytest.raises(DatasetError, match="no case of cohort 'train' has a label"):
        read_cohort(folder)


def test_cohort_hash_is_of_what_a_split_depends_on(
    make_dataset: Make, edit_table: Callable[..., None], tmp_path: Path
) -> None:
    folder = make_dataset(tmp_path)
    before = cohort_sha256(read_cohort(folder).training)
    edit_table(folder, "case_00", age="99")
    edit_table(folder, "case_04", cps="1")
    assert cohort_sha256(read_cohort(folder).training) == before
    edit_table(folder, "case_00", cps="1")
    assert cohort_sha256(read_cohort(folder).training) != before


def test_real_cohort(shared_data: Path) -> None:
    cohort = read_cohort(shared_data / "lgg_ht", strict="all")
    flair_alone = [case.id for case in cohort.training if list(case.images) == ["FLAIR"]]
    assert (len(cohort.training), sum(case.label is True for case in cohort.training)) == (34, 27)
    assert len(flair_alone) == 4
