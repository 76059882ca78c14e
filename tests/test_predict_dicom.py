"""`predict` on DICOM: the scores are those of the same images as NIfTI, and the results go back as DICOM."""

import csv
import json
import shutil
import sys

import pytest
import SimpleITK as sitk
from command_line import autodls, snapshot
from dicom_studies import PATIENT, highdicom, places_of, pydicom, require_valid, studies_in, write_study
from tiny_model_folder import SEQUENCES, small_volume_plan, write_model_folder
from tiny_models import tiny_model

from autodls.dicom.results import RESEARCH
from autodls.dicom.studies import holds_dicom
from autodls.records.files import sha256_of_file
from autodls.records.model import ModelRecord
from autodls.stages import predict_dicom

pytestmark = pytest.mark.long

STUDIES = {"1.2.3.1": "case_00", "1.2.3.2": "case_01"}
KINDS = {"roi.dcm": "SEG", "score.dcm": "SR", "page.dcm": "DOC", "heatmap_1.dcm": "OT", "heatmap_2.dcm": "OT"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    root = tmp_path_factory.mktemp("model") / "model"
    write_model_folder(root, tiny_model(small_volume_plan()))
    return root


@pytest.fixture(scope="module")
def given(tmp_path_factory, make_dataset):
    """Two studies in folders named after the patient, with their ROIs, and the dataset that they are made of."""
    folder = tmp_path_factory.mktemp("given")
    dataset = make_dataset(folder / "dataset", training=2, held_out=0)
    (folder / "rois").mkdir()
    for number, (uid, case) in enumerate(STUDIES.items(), start=1):
        images = {name: dataset / "imagesTr" / f"{case}_{index:04d}.nii.gz" for index, name in enumerate(SEQUENCES)}
        write_study(folder / "studies" / "MUELLER" / f"{case}", images, uid)
        roi = (dataset / "labelsTr" / f"{case}.nii.gz").read_bytes()
        (folder / "rois" / f"P{number:04d}.nii.gz").write_bytes(roi)
    (folder / "studies" / "README.txt").write_text("no image")
    return folder


def run(given, model, out, *words, studies="studies"):
    return autodls("predict", "-i", given / studies, "--rois", given / "rois", "-o", out, "-m", model, *words)


@pytest.fixture(scope="module")
def done(given, model, tmp_path_factory):
    """OUT and the DICOM folder of one run with everything."""
    root = tmp_path_factory.mktemp("done")
    answer = run(given, model, root / "out", "--dicom", root / "dicom", "--heatmaps")
    assert answer.status == 0, answer.err
    return root


def scores_of(out):
    return {case["case"]: case for case in json.loads((out / "predict.json").read_text())["cases"]}


def test_scores_are_those_of_the_same_images_as_nifti(given, model, done, tmp_path):
    images, rois = tmp_path / "images", tmp_path / "rois"
    images.mkdir(), rois.mkdir()
    for case in STUDIES.values():
        for index in (0, 1):
            image = sitk.ReadImage(str(given / "dataset" / "imagesTr" / f"{case}_{index:04d}.nii.gz"))
            whole = sitk.Cast(sitk.Round(image), sitk.sitkFloat32)  # as a scanner stores it
            sitk.WriteImage(whole, str(images / f"{case}_{index:04d}.nii.gz"))
        (rois / f"{case}.nii.gz").write_bytes((given / "dataset" / "labelsTr" / f"{case}.nii.gz").read_bytes())
    assert autodls("predict", "-i", images, "--rois", rois, "-o", tmp_path / "out", "-m", model).status == 0
    plain, found = scores_of(tmp_path / "out"), scores_of(done / "out")
    for number, case in enumerate(STUDIES.values(), start=1):
        assert found[f"P{number:04d}"]["dls"] == pytest.approx(plain[case]["dls"], abs=1e-5)


def test_every_case_has_every_object_in_its_study(done):
    rows = list(csv.DictReader((done / "dicom" / "studies.csv").open()))
    assert {row["case"]: row["study_instance_uid"] for row in rows} == {"P0001": "1.2.3.1", "P0002": "1.2.3.2"}
    for row in rows:
        made = {path.name: pydicom.dcmread(path) for path in (done / "dicom" / row["case"]).iterdir()}
        assert {name: one.Modality for name, one in made.items()} == KINDS
        for one in made.values():
            assert one.StudyInstanceUID == row["study_instance_uid"] and str(one.PatientName) == PATIENT["PatientName"]
            assert RESEARCH in one.SeriesDescription
        assert len({one.SeriesInstanceUID for one in made.values()}) == 4


def test_report_and_segment_say_what_was_scored(given, done):
    scores = scores_of(done / "out")
    for case, score in scores.items():
        report = highdicom.sr.srread(done / "dicom" / case / "score.dcm")
        (group,) = report.content.get_volumetric_roi_measurement_groups()
        values = {one.name.meaning: one.value for one in group.get_measurements()}
        assert values["DLS: probability of the target"] == score["dls"] and values["DLS cut-off"] == score["cutoff"]
        assert values["Score of T2WI alone"] == score["sequences"]["T2WI"]
        assert places_of(done / "dicom" / case / "roi.dcm") == places_of(given / "rois" / f"{case}.nii.gz")


def test_all_is_valid(done, tmp_path):
    require_valid(*map(pydicom.dcmread, sorted((done / "dicom").rglob("*.dcm"))), folder=tmp_path)


def test_scores_name_nobody(done):
    names = [value.encode() for word, value in PATIENT.items() if word not in ("PatientSex", "StudyID")]
    names += [uid.encode() for uid in STUDIES] + [b"MUELLER", "Müller".encode("latin-1")]
    for path in (done / "out").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [name for name in names if name in content], path
            assert not [name for name in names if name.decode("latin-1") in str(path)]


def test_the_same_study_gives_the_same_bytes_alone_or_with_others(given, model, done, tmp_path):
    words = ("--dicom", tmp_path / "dicom", "--heatmaps")
    assert run(given, model, tmp_path / "out", *words, studies="studies/MUELLER/case_00").status == 0
    first, second = (
        {path.name: sha256_of_file(path) for path in (root / "dicom" / "P0001").iterdir()} for root in (done, tmp_path)
    )
    assert first == second and first.keys() == KINDS.keys()


def test_a_model_that_is_exchanged_while_studies_are_read_does_not_score(given, tmp_path, monkeypatch):
    """Series would be chosen by one record and scored by another."""
    folder = tmp_path / "model"
    write_model_folder(folder, tiny_model(small_volume_plan()))

    def exchanged(*_from, **_how):
        record = ModelRecord.load(folder / "model.json", "")
        record.model_copy(update={"cutoff": 0.75}).sealed().save(folder / "model.json")
        return scored(*_from, **_how)

    scored = predict_dicom.predict
    monkeypatch.setattr(predict_dicom, "predict", exchanged)
    answer = run(given, folder, tmp_path / "out")
    assert answer.status == 2 and "model.json: was exchanged after it was verified" in answer.complaint


def test_results_of_ours_are_replaced_with_overwrite_alone(given, model, done):
    before = snapshot(done)
    assert "--overwrite" in run(given, model, done / "out2", "--dicom", done / "dicom").complaint
    assert snapshot(done) == before
    assert run(given, model, done / "out2", "--dicom", done / "dicom", "--overwrite").status == 0
    assert not list((done / "dicom").rglob("heatmap*"))


def test_a_series_that_is_named_by_its_unique_id_stays_out_of_the_scores(given, model, tmp_path):
    shutil.copytree(given / "studies" / "MUELLER" / "case_00", tmp_path / "one")
    uid = f"{next(iter(STUDIES))}.2"
    for words in (("--series", f"T2WI={uid}"), (f"--series=T2WI={uid}",)):
        out = tmp_path / str(len(words))
        answer = autodls("predict", "-i", tmp_path / "one", "--rois", given / "rois", "-o", out, "-m", model, *words)
        assert answer.status == 0, answer.err
        assert not [path for path in out.iterdir() if path.is_file() and uid.encode() in path.read_bytes()]


class TestRefused:
    def test_a_dicom_folder_within_the_scores(self, given, model, tmp_path):
        for dicom in ("out/dicom", ".", "out"):
            answer = run(given, model, tmp_path / "out", "--dicom", tmp_path / dicom)
            assert answer.status == 2 and "--dicom" in answer.complaint
        assert not (tmp_path / "out").exists()

    def test_dicom_output_of_nifti_input(self, given, model, tmp_path):
        answer = autodls(
            "predict",
            "-i",
            given / "dataset" / "imagesTr",
            "-o",
            tmp_path / "o",
            "-m",
            model,
            "--dicom",
            tmp_path / "d",
        )
        assert answer.status == 2 and "no DICOM slice" in answer.complaint

    @pytest.mark.parametrize(
        ("word", "said"),
        [
            ("T2WI=no such series", "none of its 2 series is called 'no such series'"),
            ("CE-T1WI=no such series", "none of its 2 series is called"),
            ("FLAIR=x", "once for a channel of the model, which are CE-T1WI, T2WI"),
            ("T2WI", "expected CHANNEL=DESCRIPTION"),
        ],
    )
    def test_a_series_that_is_not_there(self, given, model, tmp_path, word, said):
        answer = run(given, model, tmp_path / "out", "--series", word)
        assert answer.status == 2 and said in answer.complaint

    def test_where_pydicom_is_not_installed_it_is_named(self, given, model, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pydicom", None)
        answer = run(given, model, tmp_path / "out")
        assert answer.status == 2 and "pip install 'autodls[dicom]'" in answer.complaint

    def test_one_bad_study_does_not_stop_the_other_and_is_a_row(self, given, model, tmp_path):
        shutil.copytree(given / "studies", tmp_path / "studies")
        next((tmp_path / "studies" / "MUELLER" / "case_00" / "1").glob("IM028")).unlink()
        answer = autodls(
            "predict", "-i", tmp_path / "studies", "--rois", given / "rois", "-o", tmp_path / "out", "-m", model,
            "--dicom", tmp_path / "dicom",
        )  # fmt: skip
        assert answer.status == 1
        rows = {row["case"]: row for row in csv.DictReader((tmp_path / "out" / "scores.csv").open())}
        assert "1 missing slices" in rows["P0001"]["failed"] and rows["P0001"]["dls"] == "" and rows["P0002"]["dls"]
        assert not (tmp_path / "dicom" / "P0001").exists() and (tmp_path / "dicom" / "P0002" / "roi.dcm").exists()
        assert answer.err.count("missing slices") == 1, "said once"
        assert "Müller" not in answer.err + answer.out and "MRN" not in answer.err + answer.out


def test_what_holds_dicom(given, tmp_path):
    assert holds_dicom(given / "studies")
    assert not holds_dicom(given / "dataset" / "imagesTr") and not holds_dicom(tmp_path)
    mixed = tmp_path / "mixed"  # images beside what else a person keeps there: the folder is read as before
    shutil.copytree(given / "dataset" / "imagesTr", mixed)
    shutil.copytree(given / "studies", mixed / "originals")
    assert not holds_dicom(mixed)


class TestSeries:
    @pytest.fixture
    def study(self, tmp_path, given):
        images = {
            name: given / "dataset" / "imagesTr" / f"case_00_{index:04d}.nii.gz"
            for name, index in (("t1 tse post", 0), ("T2  TSE", 1))
        }
        return write_study(tmp_path / "study", images)

    def test_are_named_by_description_or_uid(self, study):
        (found,) = studies_in(study)
        for name in ("t2 tse", "1.2.3.4.2"):
            made = found.as_channels(SEQUENCES, "CE-T1WI", {"CE-T1WI": "T1 TSE POST", "T2WI": name})
            assert {channel: one.uid for channel, one in made.series.items()} == {
                "CE-T1WI": "1.2.3.4.1",
                "T2WI": "1.2.3.4.2",
            }

    def test_one_that_is_not_there_and_was_not_named_is_a_missing_sequence(self, study):
        (found,) = studies_in(study)
        assert list(found.as_channels(SEQUENCES, "CE-T1WI", {"CE-T1WI": "t1 tse post"}).series) == ["CE-T1WI"]

    def test_two_of_one_name_are_told_apart_by_their_uid(self, study, given):
        image = given / "dataset" / "imagesTr" / "case_00_0001.nii.gz"
        write_study(study / "more", {"other": image, "t1 tse post": image})
        shutil.rmtree(study / "more" / "1")
        for number, path in enumerate(sorted((study / "more" / "2").iterdir())):
            one = pydicom.dcmread(path)
            one.SeriesInstanceUID, one.SOPInstanceUID = "1.2.3.4.9", f"1.2.3.4.9.{number}"
            one.save_as(path)
        (found,) = studies_in(study)
        with pytest.raises(Exception, match=r"2 series are called 't1 tse post'.*CE-T1WI=UID"):
            found.as_channels(SEQUENCES, "CE-T1WI", {"CE-T1WI": "t1 tse post"})

    def test_are_listed_by_a_dry_run(self, study, model, tmp_path):
        answer = autodls(
            "predict", "-i", study, "-o", tmp_path / "o", "-m", model, "--dry-run", "--series", "CE-T1WI=t1 tse post"
        )
        assert answer.status == 0 and "'T2  TSE' (10)" in answer.out and "P0001: CE-T1WI of 10 slices" in answer.out
        assert not (tmp_path / "o").exists()
        answer = autodls("predict", "-i", study, "-o", tmp_path / "o", "-m", model, "--dry-run")
        assert "P0001: not scored: no series is called 'CE-T1WI'" in " ".join(answer.out.split())

    def test_results_that_went_back_are_no_series(self, done, study):
        (found,) = studies_in(study)
        for path in (done / "dicom" / "P0001").iterdir():
            one = pydicom.dcmread(path)
            one.StudyInstanceUID = "1.2.3.4"
            one.save_as(study / path.name)
        (again,) = studies_in(study)
        assert again.series.keys() == found.series.keys()
