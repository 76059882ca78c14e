"""`init`: a folder of images, however named, and a table become a dataset; guesses are told, nothing is moved."""

import csv
import json
import os
import shutil
from unittest import mock

import numpy as np
import openpyxl
import pytest
from command_line import autodls
from hypothesis import given, settings
from hypothesis import strategies as st

from autodls import Study
from autodls.errors import ArgumentError, DatasetError, InputError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.volumes import write_volume
from autodls.intake.channels import in_order, is_roi, sequence_of
from autodls.intake.columns import cohort_of, patient_of, positive_of, training_of
from autodls.intake.names import Ids, claim
from autodls.records.cohort import read_cohort

GRID, FINER = Geometry((8, 8, 6), (2.0, 2.0, 3.0)), Geometry((9, 9, 6), (2.0, 2.0, 3.0))
CASES = [f"P{number:02d}" for number in range(1, 7)]
ROWS = [
    {"id": case, "cps": str(7 * at), "idh": ("wt", "mutant")[at % 2], "age": str(50 + at), "sex": "mf"[at % 2],
     "cohort": "test" if at > 3 else "train", "hospital": "A"}
    for at, case in enumerate(CASES)
]  # fmt: skip
FREE = {"{case}/T1.nii.gz": FINER, "{case}/t1_gd.nii.gz": GRID, "{case}/tumor_mask.nii.gz": "roi"}
NNUNET = {"imagesTr/{case}_0000.nii.gz": FINER, "imagesTr/{case}_0001.nii.gz": GRID, "labelsTr/{case}.nii.gz": "roi"}


def write(folder, names=FREE, cases=CASES, values=(1,)):
    """Images of noise by name, those called "roi" with a block of each of `values` on GRID."""
    for at, case in enumerate(cases):
        chance = np.random.default_rng(at)
        for name, grid in names.items():
            path = folder / name.format(case=case, number=int(case[1:]))
            path.parent.mkdir(parents=True, exist_ok=True)
            roi = np.zeros(GRID.size_xyz[::-1], np.uint8)
            for step, value in enumerate(values):
                roi[1 + step, 2:6, 2:6] = value
            noise = chance.normal(100, 20, (grid if grid != "roi" else GRID).size_xyz[::-1]).astype(np.float32)
            write_volume(path, Volume(roi, GRID) if grid == "roi" else Volume(noise, grid))
    return folder


def table(path, rows=ROWS):
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def description(dataset):
    return json.loads((dataset / "dataset.json").read_text())


@pytest.fixture
def place(tmp_path):
    """A folder with images under free names and a table beside it."""
    write(tmp_path / "scans")
    table(tmp_path / "patients.csv")
    return tmp_path


def run(place, *words, yes=True):
    given_ = ("--table", place / "patients.csv", "--outcome", "idh", *words, *(["--yes"] if yes else []))
    return autodls("init", place / "scans", *given_, "--workers", 1)


class TestFreeNames:
    def test_a_dataset_is_laid_out_in_a_new_folder_and_proven_by_check(self, place):
        before = sorted(path.relative_to(place) for path in place.rglob("*"))
        answer = run(place, "-o", place / "new")
        assert answer.status == 0, answer.err
        made = description(place / "new")
        assert made["channel_names"] == {"0": "T1WI", "1": "CE-T1WI"}
        assert made["autodls"] == {
            "roi_channel": "CE-T1WI", "case": "id", "target": {"name": "idh", "column": "idh", "positive": ["mutant"]},
            "cohort": {"column": "cohort", "training": ["train"]}, "site": "hospital", "clinical": ["age", "sex"],
        }  # fmt: skip
        cohort = read_cohort(place / "new")
        assert [case.id for case in cohort.training] == CASES[:4] and len(cohort.held_out["test"]) == 2
        assert all(set(case.images) == {"T1WI", "CE-T1WI"} and case.roi for case in cohort.cases)
        after = [path.relative_to(place) for path in place.rglob("*") if place / "new" not in (path, *path.parents)]
        assert sorted(after) == before
        assert f"autodls run -d {place / 'new'}" in answer.out

    def test_images_are_second_names_of_the_same_files(self, place):
        run(place, "-o", place / "new")
        made, source = place / "new/imagesTr/P01_0001.nii.gz", place / "scans/P01/t1_gd.nii.gz"
        assert made.samefile(source)
        with mock.patch.object(os, "link", side_effect=OSError("no links here")):
            assert run(place, "-o", place / "copied").status == 0
        copy = place / "copied/imagesTr/P01_0001.nii.gz"
        assert not copy.samefile(source) and copy.read_bytes() == source.read_bytes()

    def test_guesses_are_told_and_kept(self, place):
        answer = run(place, "-o", place / "new", "--json")
        told = {one["key"]: one["guessed"] for one in json.loads(answer.out)["choices"]}
        kept = json.loads((place / "new/init.json").read_text())["choices"]
        assert told == {one["key"]: one["guessed"] for one in kept}
        assert {key for key, guessed in told.items() if guessed} == {"cohort", "training", "site", "clinical"}

    def test_without_a_terminal_or_yes_no_guess_is_taken(self, place):
        answer = run(place, "-o", place / "new", yes=False)
        assert answer.status == 2 and "4 guesses are not confirmed: column that says" in answer.complaint
        assert not (place / "new").exists()
        said = ("--cohort", "cohort", "--training", "train", "--site", "none", "--clinical", "age")
        assert run(place, "-o", place / "new", *said, yes=False).status == 0
        assert "site" not in description(place / "new")["autodls"]

    @pytest.mark.parametrize(
        "names",
        [
            {"{case}_T1.nii.gz": FINER, "{case}_T1c.nii.gz": GRID, "{case}_seg.nii.gz": "roi"},
            {"t1w/{case}.nii.gz": FINER, "ce-t1w/{case}.nii.gz": GRID, "masks/{case}.nii.gz": "roi"},
            {"sub-{case}/anat/sub-{case}_T1w.nii": FINER, "sub-{case}/anat/sub-{case}_ce-gd_T1w.nii": GRID,
             "sub-{case}/anat/sub-{case}_lesion.nii": "roi"},
            {"a/{case}/T1.nrrd": FINER, "a/{case}/T1_post.nrrd": GRID, "b/{case}/T1_post_GTVp.nrrd": "roi"},
            {"{case}-t1n.mha": FINER, "{case}-t1ce.mha": GRID, "{case}-label.mha": "roi"},
        ],
        ids=["flat", "folders", "bids", "mirrored", "brats"],
    )  # fmt: skip
    def test_as_people_name_them(self, tmp_path, names):
        write(tmp_path / "scans", names, CASES[:3])
        rows = table(tmp_path / "t.csv", ROWS[:4])
        made = Study(tmp_path / "new").init(tmp_path / "scans", rows, "idh", yes=True)
        assert description(made.dataset)["channel_names"] == {"0": "T1WI", "1": "CE-T1WI"}
        assert description(made.dataset)["autodls"]["roi_channel"] == "CE-T1WI"
        assert (made.cases, made.images, made.rois) == (3, 6, 3) and not made.check.errors
        assert "1 of 4 rows have no image and are left out: P04" in made.notes

    def test_a_workbook_with_numbers_for_ids_and_a_title(self, tmp_path):
        write(tmp_path / "scans", {name.replace("{case}", "{number:03d}"): g for name, g in FREE.items()})
        book = openpyxl.Workbook()
        sheet = book.active
        for line in (["Cohort of 2026"], ["Patient", "CPS"], *([at + 1, 7 * at] for at in range(6))):
            sheet.append(line)
        book.save(tmp_path / "t.xlsx")
        asked = {"positive": ">= 20", "yes": True}
        made = Study(tmp_path / "new").init(tmp_path / "scans", tmp_path / "t.xlsx", "CPS", **asked)
        assert (made.dataset / "imagesTr/1_0000.nii.gz").is_file() and not made.check.errors
        assert [case.label for case in read_cohort(made.dataset).cases] == [False, False, False, True, True, True]

    def test_rois_on_two_channels(self, tmp_path):
        names = {"{case}_T1.nii.gz": GRID, "{case}_T2.nii.gz": GRID, "{case}_T2_roi.nii.gz": "roi"}
        write(tmp_path / "scans", names)
        write(tmp_path / "scans", {"{case}_T1_roi.nii.gz": "roi"}, CASES[:2])
        made = Study(tmp_path / "new").init(tmp_path / "scans", table(tmp_path / "t.csv"), "idh", yes=True)
        assert description(made.dataset)["autodls"]["roi_channel"] == "T2WI"
        assert {path.name for path in (made.dataset / "labelsTr").glob("P01*")} == {"P01.nii.gz", "P01_0000.nii.gz"}

    @pytest.mark.parametrize(("values", "labels"), [((255,), {"tumor": 255}), ((1, 4), {"tumor_1": 1, "tumor_4": 4})])
    def test_what_is_drawn_in_the_rois_is_the_tumor(self, tmp_path, values, labels):
        write(tmp_path / "scans", values=values)
        made = Study(tmp_path / "new").init(tmp_path / "scans", table(tmp_path / "t.csv"), "idh", yes=True)
        assert description(made.dataset)["labels"] == {"background": 0, **labels}
        assert any(choice.key == "tumor" for choice in made.guesses) == (len(values) > 1)
        assert not made.check.errors

    def test_which_values_are_the_tumor_a_person_says(self, tmp_path):
        write(tmp_path / "scans", values=(1, 2, 4))
        given_ = (tmp_path / "scans", table(tmp_path / "t.csv"), "idh")
        with pytest.raises(ArgumentError, match=r"--tumor 1,3: no ROI holds the value '3'; they hold 1, 2, 4"):
            Study(tmp_path / "new").init(*given_, tumor="1,3", yes=True)
        made = Study(tmp_path / "new").init(*given_, tumor="1, 4", yes=True)
        said = description(made.dataset)
        assert said["labels"] == {"background": 0, "tumor_1": 1, "other_2": 2, "tumor_4": 4}
        assert said["autodls"]["tumor"] == ["tumor_1", "tumor_4"] and not made.check.errors
        assert read_cohort(made.dataset).description.roi_labels == {1, 4}

    def test_a_channel_is_named_by_a_person(self, place):
        said = ("--channel", "Dixon=T1", "--roi-channel", "Dixon", "-o", place / "new")
        answer = run(place, *said)
        assert description(place / "new")["channel_names"] == {"0": "CE-T1WI", "1": "Dixon"}
        assert (answer.status == 2 and "another grid" in answer.out) or "grid" in answer.out  # check finds it


class TestAsDatasetsAre:
    def test_a_folder_in_nnunets_form_gets_its_description_in_place(self, tmp_path):
        write(tmp_path / "scans", NNUNET)
        table(tmp_path / "scans/clinical.csv")
        words = ("--table", tmp_path / "scans/clinical.csv", "--outcome", "idh", "--workers", 1)
        named = ("--channel", "T1WI=imagesTr/0000", "--channel", "T2WI=imagesTr/0001")
        answer = autodls("init", tmp_path / "scans", *words, *named, "--yes")
        assert answer.status == 0, answer.err
        assert description(tmp_path / "scans")["channel_names"] == {"0": "T1WI", "1": "T2WI"}
        again = autodls("init", tmp_path / "scans", *words, "--yes")
        assert again.status == 2 and "is that of a dataset already" in again.complaint

    def test_nnunets_own_names_and_labels_are_taken_and_its_file_stays(self, tmp_path):
        write(tmp_path / "scans", NNUNET, values=(1, 2))
        own = {"channel_names": {"0": "T2WI", "1": "CT"}, "labels": {"background": 0, "liver": 1, "tumor": 2}}
        (tmp_path / "scans/dataset.json").write_text(json.dumps(own))
        rows = table(tmp_path / "t.csv")
        with pytest.raises(ArgumentError, match="so it stays: give a new folder with -o"):
            Study(tmp_path / "scans").init(tmp_path / "scans", rows, "idh", yes=True)
        made = Study(tmp_path / "new").init(tmp_path / "scans", rows, "idh", yes=True)
        assert description(made.dataset)["channel_names"] == own["channel_names"]
        assert description(made.dataset)["labels"] == own["labels"]
        assert json.loads((tmp_path / "scans/dataset.json").read_text()) == own

    def test_numbers_alone_are_no_names(self, tmp_path):
        write(tmp_path / "scans", NNUNET)
        made = Study(tmp_path / "new").init(tmp_path / "scans", table(tmp_path / "t.csv"), "idh", yes=True)
        assert [choice.value for choice in made.guesses if choice.key.startswith("channel ")] == [
            "channel0",
            "channel1",
        ]


class TestPlaces:
    def test_only_its_own_work_is_made_anew(self, place):
        run(place, "-o", place / "new")
        assert "--overwrite" in run(place, "-o", place / "new").complaint
        assert run(place, "-o", place / "new", "--overwrite", "--site", "none").status == 0
        assert "site" not in description(place / "new")["autodls"]
        (place / "new/dataset.json").write_text("{}")
        answer = run(place, "-o", place / "new", "--overwrite")
        assert answer.status == 2 and "was changed after AutoDLS wrote it" in answer.complaint
        assert (place / "new/dataset.json").read_text() == "{}"

    @pytest.mark.parametrize("output", ["scans", "scans/new", ".", None])
    def test_images_lie_where_they_lie(self, place, output):
        before = sorted(place.rglob("*"))
        answer = run(place, *(() if output is None else ("-o", place / output)))
        assert answer.status == 2 and answer.complaint and sorted(place.rglob("*")) == before

    def test_somebody_elses_folder_is_not_written_to(self, place):
        (place / "mine").mkdir()
        (place / "mine/notes.txt").write_text("mine")
        assert "holds notes.txt" in run(place, "-o", place / "mine").complaint
        assert [path.name for path in (place / "mine").iterdir()] == ["notes.txt"]

    def test_a_stopped_run_leaves_nothing_that_looks_whole(self, place):
        with mock.patch("autodls.stages.init._table", side_effect=KeyboardInterrupt):
            assert run(place, "-o", place / "new").status == 130
        assert not (place / "new/dataset.json").exists() and not (place / "new/imagesTr").exists()
        assert run(place, "-o", place / "new").status == 0


class TestMistakes:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--outcome", "cps"), "nothing says which are positive; give --positive"),
            (("--outcome", "hospital"), "holds the cell 'A' alone"),
            (("--outcome", "pdl1"), "no column 'pdl1', which --outcome names"),
            (("--case", "sex"), "no column has another id in every row"),
            (("--cohort", "sex"), "nothing says which one is trained on; give --training"),
            (("--clinical", "age,weight"), "no column 'weight', which --clinical names"),
            (("--positive", ">= twenty"), "autodls.target.positive"),
            (("--channel", "T1WI"), "expected NAME=FILES"),
            (("--channel", "T1WI=t9"), "no images are called 't9'"),
            (("--channel", "a/b=T1"), "must be made of letters"),
            (("--roi-channel", "T9"), "no such channel; they are T1WI, CE-T1WI"),
            (("--table", "nowhere.csv"), "no such file"),
        ],
        ids=lambda found: found[-1] if isinstance(found, tuple) else "",
    )
    def test_one_line_and_nothing_written(self, place, words, said):
        answer = run(place, "-o", place / "new", *words)
        assert answer.status == 2 and said in answer.complaint and not (place / "new").exists()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (shutil.rmtree, "no such folder"),
            (lambda scans: [path.unlink() for path in scans.rglob("*.gz")], "no image below it"),
            (lambda scans: (shutil.rmtree(scans), scans.mkdir(), (scans / "a.dcm").touch()), "'autodls import'"),
            (lambda scans: [path.unlink() for path in scans.rglob("tumor*")], "no file is named as an ROI"),
            (lambda scans: [path.unlink() for path in scans.rglob("[Tt]1*")], "all images are named as ROIs"),
            (lambda scans: (scans / "P01/T1.nrrd").touch(), "images of several kinds"),
            (
                lambda scans: [path.rename(scans / f"x{path.name[1:]}") for path in scans.iterdir()],
                "no column has another",
            ),
            (lambda scans: shutil.copytree(scans / "P01", scans / "P01 (copy)"), "ROIs named 'copy'"),
            (lambda scans: shutil.copyfile(scans / "P01/T1.nii.gz", scans / "P01/T1 .nii.gz"), "move one away"),
            (lambda scans: shutil.copyfile(scans / "P01/tumor_mask.nii.gz", scans / "P01/T9_roi.nii.gz"), "named 'T9'"),
            (lambda scans: shutil.copyfile(scans / "P01/tumor_mask.nii.gz", scans / "P01/gtv.nii.gz"), "several sorts"),
        ],
        ids=[
            "gone",
            "empty",
            "dicom",
            "no roi",
            "rois alone",
            "kinds",
            "other ids",
            "copy",
            "twice",
            "lost roi",
            "two rois",
        ],
    )
    def test_of_folders(self, place, change, said):
        change(place / "scans")
        answer = run(place, "-o", place / "new")
        assert answer.status == 2 and said in answer.complaint and not (place / "new").exists()

    @pytest.mark.parametrize(
        ("cell", "said"), [("P 01", "holds ' '"), ("P02", "holds 'P02' in rows 2, 3; keep one row a case")]
    )
    def test_of_ids(self, place, cell, said):
        table(place / "patients.csv", [{**ROWS[0], "id": cell}, *ROWS[1:]])
        answer = run(place, "-o", place / "new", "--case", "id") if " " in cell else run(place, "-o", place / "new")
        assert answer.status == 2 and said in answer.complaint

    def test_what_check_finds_is_shown_and_is_the_status(self, place):
        (place / "scans/P01/T1.nii.gz").write_bytes(b"no image")
        answer = run(place, "-o", place / "new")
        assert answer.status == 2 and "1 error must be repaired" in answer.out
        assert (place / "new/dataset.json").is_file()


class TestQuestions:
    def test_on_a_terminal_every_choice_is_asked_with_its_proposal(self, place):
        asked = {}

        def prompt(question, default=None, err=False):
            asked[question] = default
            return "cps" if default is None else ">= 20" if question.startswith("which") else default

        with mock.patch("sys.stdin.isatty", return_value=True), mock.patch("typer.prompt", prompt):
            from autodls.cli.show_init import ask

            answers = ask(place / "scans", place / "patients.csv", {"positive": ">= 20", "site": "none"})
        assert answers["outcome"] == "cps" and answers["channel T1"] == "T1WI" and answers["clinical"] == "age,sex"
        assert next(iter(asked.values())) is None and len(asked) == len(answers) - 2

    def test_what_only_a_person_knows_is_asked_without_a_proposal(self, place):
        write(place / "scans", values=(1, 2))
        said = {"--positive": ">= 20", "values of the ROI": "2"}

        def prompt(question, default=None, err=False):
            word = next((word for word in said if word in question), None)
            return (said.pop(word) if word else default) or pytest.fail(f"no proposal for {question}")

        with mock.patch("typer.prompt", prompt):
            from autodls.cli.show_init import ask

            answers = ask(place / "scans", place / "patients.csv", {"outcome": "cps"})
        assert answers["positive"] == ">= 20" and answers["tumor"] == "2"


class TestWords:
    @pytest.mark.parametrize(
        ("cells", "positive"),
        [
            (["0", "1"], "== 1"), (["1.0", "0.0", ""], "== 1"), (["yes", "no"], "yes"),
            (["Negative", "Positive"], "Positive"),
            (["-", "+"], None), (["a", "b"], None), (["1", "2"], None), (["0", "1", "9"], None),
            (["yes", "maybe"], None), (["Yes", "yes"], None),
            ([""], None), (["1"], None),
        ],
    )  # fmt: skip
    def test_which_side_is_positive_is_taken_from_plain_words_alone(self, cells, positive):
        if positive is None:
            with pytest.raises(DatasetError):
                positive_of(cells, "y", "t.csv")
        else:
            assert positive_of(cells, "y", "t.csv").value == positive

    @pytest.mark.parametrize(
        ("cells", "column"),
        [(["train", "test"], "Cohort"), (["train", "train"], "none"), (["train", "A"], "Cohort"), (["A", "B"], "none")],
    )
    def test_a_cohort_column_has_the_words_of_cohorts(self, cells, column):
        found = cohort_of([{"Cohort": cell} for cell in cells])
        assert found.value == column and found.guessed == (len({*cells}) > 1)
        assert ("a, b" in found.why) == (cells == ["A", "B"])

    def test_the_training_cohort_and_the_patients(self):
        assert training_of([{"set": "Development"}, {"set": "test"}], "set", "t").value == "Development"
        assert patient_of([{"case": "a", "Patient ID": "1"}], "case").value == "Patient ID"
        assert patient_of([{"patient": "a"}], "patient").value == "none"

    @pytest.mark.parametrize(
        ("role", "sequence"),
        [("t1_pre", "T1WI"), ("T1+C", "CE-T1WI"), ("ax_t1_post", "CE-T1WI"), ("T2f", "FLAIR"), ("t2w_fse", "T2WI"),
         ("petct", None), ("pet", "PET"), ("t10", None), ("", None)],
    )  # fmt: skip
    def test_sequences(self, role, sequence):
        assert sequence_of(role) == sequence

    def test_order_and_rois(self):
        assert in_order(["x", "CE-T1WI", "T1WI"]) == ["T1WI", "CE-T1WI", "x"]
        assert is_roi("GTV/x") and not is_roi("segmented_t1") and not is_roi("trois")


NAMES = st.text(alphabet="Pp0123_- .T/ä(", min_size=1, max_size=18)


@settings(max_examples=150)
@given(st.lists(st.sampled_from([*CASES, "1", "01", "P1", "P01_a", "T1", ""]), unique=True, max_size=5), NAMES)
def test_a_file_is_of_a_case_whose_id_stands_in_its_path_or_of_none(ids, path):
    known = [name for name in ids if name]
    found = claim([part for part in path.split("/") if part], Ids.of(known))
    assert found is None or (found[0] in known and not any(sign in found[1] for sign in " ()."))


CELLS = st.lists(st.text(max_size=4), min_size=3, max_size=3)


@settings(max_examples=15)
@given(st.dictionaries(st.sampled_from(["id", "y", "age", "cohort", ""]), CELLS),
       st.lists(NAMES.map(lambda name: name.strip("/. ") or "x"), max_size=4, unique=True))  # fmt: skip
def test_any_table_and_any_names_are_a_dataset_or_one_line(tmp_path_factory, columns, names):
    root = tmp_path_factory.mktemp("any")
    for name in names:
        if all(part and part not in (".", "..") for part in name.split("/")):
            path = root / "scans" / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no image")
    with (root / "t.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([list(columns), *zip(*columns.values(), strict=True)])
    try:
        made = Study(root / "new").init(root / "scans", root / "t.csv", "y", positive="== 1", yes=True)
    except InputError as refused:
        assert "\n" not in str(refused) and not (root / "new").exists()
    else:
        assert made.dataset == root / "new"


class TestACaseInTwoRows:
    """It has images, whatever is wrong with the table: it is not left out without a word of that."""

    @pytest.fixture
    def twice(self, place):
        """The second case again, written P2 where its files say P02, as a spreadsheet has numbers."""
        rows = [{**row, "id": f"P{int(row['id'][1:])}"} for row in ROWS]
        table(place / "patients.csv", [*rows, rows[1]])
        return place

    def test_the_column_that_names_the_files_is_told_with_the_rows(self, twice):
        done = run(twice, "-o", twice / "data")
        assert done.status == 2
        assert "column 'id' stands in the names of the files, but holds 'P2' in rows 3, 8" in done.complaint

    def test_named_as_the_column_of_ids_it_is_an_error_of_that_case(self, twice):
        done = run(twice, "--case", "id", "-o", twice / "data")
        assert "have no image" not in done.out + done.err
        found = Study(twice / "data").check()
        assert [problem.case for problem in found.errors] == ["P2"] and "2 rows" in found.errors[0].what


def test_rows_whose_ids_look_alike_are_said_to_be_so_where_no_file_has_their_spelling(place):
    rows = [{**row, "id": f"P{int(row['id'][1:])}"} for row in ROWS]
    table(place / "patients.csv", [*rows, {**rows[1], "id": "P002"}])
    done = run(place, "--case", "id", "-o", place / "data")
    told = " ".join((done.out + done.err).split())
    assert "2 rows are left out, as their ids look alike, and no file is called so: P002, P2" in told
    assert "have no image" not in told
