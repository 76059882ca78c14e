"""`predict` reads DICOM as `import` does: what that can read scores the same, and results refer to it as it is."""

import csv
import json
import shutil
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import autodls
from dicom_studies import RESULT, found_in, places_of, pydicom, require_valid, studies_in, texts_in, write_study
from pydicom.uid import RLELossless
from tiny_candidates import candidate as locked_candidate
from tiny_candidates import clinical_candidate
from tiny_dicom import ENHANCED, Series, Study, edit, enhanced, head, rtstruct, seg
from tiny_model_folder import SEQUENCES, small_volume_plan, write_model_folder
from tiny_models import tiny_model

from autodls.dicom.results import to_bytes
from autodls.dicom.volume import read_stack
from autodls.dicom.write_seg import segmentation
from autodls.dicom.write_sr import report
from autodls.errors import DatasetError
from autodls.imaging.geometry import Volume
from autodls.imaging.volumes import write_volume
from autodls.records.locked_candidate import CANDIDATE
from autodls.records.preprocessing_plan import LesionPlan
from autodls.records.scale import LogisticScale

BQML = {
    "Units": "BQML", "CorrectedImage": ["ATTN", "DECY"], "DecayCorrection": "START", "PatientWeight": "70",
    "SeriesDate": "20200304", "SeriesTime": "110000", "AcquisitionDate": "20200304", "AcquisitionTime": "110000",
    "RescaleSlope": "2", "RescaleIntercept": "0", "SeriesDescription": "PET",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    root = tmp_path_factory.mktemp("model") / "model"
    write_model_folder(root, tiny_model(small_volume_plan()))
    return root


@pytest.fixture(scope="module")
def plain(tmp_path_factory, make_dataset):
    """A study of single slices, which nothing packs, and CASE.nii.gz of its ROI."""
    folder = tmp_path_factory.mktemp("plain")
    dataset = make_dataset(folder / "dataset", training=1, held_out=0)
    images = {name: dataset / "imagesTr" / f"case_00_{index:04d}.nii.gz" for index, name in enumerate(SEQUENCES)}
    write_study(folder / "study", images)
    (folder / "rois").mkdir()
    shutil.copy(dataset / "labelsTr" / "case_00.nii.gz", folder / "rois" / "P0001.nii.gz")
    return folder


def drawn_series(plain):
    """The series of the ROI as `tiny_dicom` writes one, and its ROI [z, y, x]."""
    image, roi = (
        sitk.ReadImage(str(path))
        for path in (plain / "dataset/imagesTr/case_00_0000.nii.gz", plain / "rois/P0001.nii.gz")
    )
    axes, (width, height, step) = np.reshape(image.GetDirection(), (3, 3)), image.GetSpacing()
    place = {"orientation": (*axes[:, 0], *axes[:, 1]), "origin": image.GetOrigin()}
    voxels = np.rint(sitk.GetArrayFromImage(image)).astype(np.int16)
    study = Study(uid="1.2.3.4", frame="1.2.3.4.99", patient="MRN-4711", name="Doe^Jane")
    series = Series(study, voxels, spacing=(height, width), step_mm=step, tags={}, uid="1.2.3.4.1", **place)
    return series, sitk.GetArrayFromImage(roi) > 0


@pytest.fixture(scope="module")
def packed(plain, tmp_path_factory):
    """The same study in a ZIP: the ROI's series as one multi-frame image, the other compressed, and the ROI as SEG."""
    folder = tmp_path_factory.mktemp("packed")
    series, roi = drawn_series(plain)
    image = enhanced(series, folder / "files" / "ENHANCED")
    edit(image, PixelRepresentation=1, SeriesDescription="CE-T1WI", SeriesDate="20240102", SeriesTime="111213")
    shutil.copytree(plain / "study" / "2", folder / "files" / "2")
    for path in (folder / "files" / "2").iterdir():
        one = pydicom.dcmread(path)
        one.compress(RLELossless)
        for word in ("PatientName", "PatientID", "PatientBirthDate"):
            setattr(one, word, pydicom.dcmread(image)[word].value)
        one.save_as(path)
    frames = [(1, plane, drawn) for plane, drawn in enumerate(roi) if drawn.any()]
    seg(series, folder / "files" / "seg", frames)
    (folder / "study").mkdir()
    with zipfile.ZipFile(folder / "study" / "STUDY.zip", "w") as archive:
        for path in sorted((folder / "files").rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return folder


def scores(out):
    (row,) = csv.DictReader((out / "scores.csv").open())
    return row


def predict(folder, out, model, *words):
    return autodls("predict", "-i", folder, "-o", out, "-m", model, "--workers", 1, *words)


@pytest.fixture(scope="module")
def done(packed, model, tmp_path_factory):
    root = tmp_path_factory.mktemp("done")
    answer = predict(packed / "study", root / "out", model, "--roi-name", "tumor*", "--dicom", root / "dicom")
    assert answer.status == 0, answer.err
    return root


def test_a_zip_of_multi_frame_and_compressed_series_with_a_seg_scores_as_plain_slices(plain, model, done, tmp_path):
    assert predict(plain / "study", tmp_path / "out", model, "--rois", plain / "rois").status == 0
    one, other = scores(done / "out"), scores(tmp_path / "out")
    assert float(one["dls"]) == pytest.approx(float(other["dls"]), abs=1e-6) and one["rois"] == other["rois"]
    assert not list((done / "out").rglob("*.nii.gz"))


def test_what_goes_back_names_the_frames_of_a_multi_frame_image_and_is_valid(plain, packed, done, tmp_path):
    segment = pydicom.dcmread(done / "dicom" / "P0001" / "roi.dcm")
    _, roi = drawn_series(plain)
    named = [
        frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in segment.PerFrameFunctionalGroupsSequence
    ]
    uid = pydicom.dcmread(packed / "files" / "ENHANCED").SOPInstanceUID
    assert {one.ReferencedSOPInstanceUID for one in named} == {uid}
    assert sorted(one.ReferencedFrameNumber for one in named) == [at + 1 for at, plane in enumerate(roi) if plane.any()]
    found, expected = (
        np.array(sorted(places_of(path))) for path in (done / "dicom/P0001/roi.dcm", plain / "rois/P0001.nii.gz")
    )
    assert found.shape == expected.shape and np.abs(found.mean(axis=0) - expected.mean(axis=0)).max() < 2e-3
    require_valid(*map(pydicom.dcmread, sorted((done / "dicom").rglob("*.dcm"))), folder=tmp_path)


def test_an_roi_that_went_back_is_not_taken_for_one_that_a_person_drew(plain, done, tmp_path):
    shutil.copytree(plain / "study", tmp_path / "study")
    shutil.copy(done / "dicom" / "P0001" / "roi.dcm", tmp_path / "study" / "roi.dcm")
    (found,) = studies_in(tmp_path / "study")
    part = found.as_channels(SEQUENCES, SEQUENCES[0], {}).reference.part
    with pytest.raises(DatasetError, match=r"P0001: none of 0 ROIs on the series .* fits --roi-name \*"):
        found.rois_on(part, ["*"])


def test_an_roi_of_rtstruct_is_painted_as_in_an_import_and_two_files_of_it_are_no_guess(plain, model, tmp_path):
    shutil.copytree(plain / "study", tmp_path / "study")
    series, _ = drawn_series(plain)
    corners = [(8.0, 9.0), (16.0, 9.0), (16.0, 17.0), (8.0, 17.0)]
    square = [np.array([series.mm(x, y, plane) for x, y in corners]) for plane in (4, 5)]
    rtstruct(series, tmp_path / "study" / "rt", {"GTV_Mass": square, "Brain": square[:1]})
    for rest, said in ((("--roi-name", "gtv*"), ""), (("--roi-name", "PTV"), "none of 2 ROIs")):
        answer = predict(tmp_path / "study", tmp_path / rest[1][:3], model, *rest)
        assert (answer.status == 2 and said in answer.complaint) if said else answer.status == 0, answer.err
    told = predict(tmp_path / "study", tmp_path / "o", model, "--dry-run", "--roi-name", "gtv*")
    assert "ROI 'GTV_Mass'" in told.out and "ROIs 'GTV_Mass', 'Brain'" in told.out
    rtstruct(series, tmp_path / "study" / "rt2", {"GTV old": square})
    answer = predict(tmp_path / "study", tmp_path / "two", model, "--roi-name", "GTV*")
    assert answer.status == 2 and "2 files hold an ROI that fits --roi-name GTV*" in answer.complaint
    answer = predict(tmp_path / "study", tmp_path / "two", model, "--roi-name", "GTV*", "--rois", plain / "rois")
    assert answer.status == 2 and "leave one of them out" in answer.complaint


def test_one_of_several_volumes_of_a_series_is_named_by_its_number(tmp_path):
    study = Study()
    for echo, name in ((12, "a"), (80, "b")):
        tags = {"EchoTime": str(echo), "SeriesDescription": "AX DE", "EchoNumbers": echo}
        Series(study, head(echo), tags=tags, uid="1.2.3.5.1").write(tmp_path / name)
    (found,) = studies_in(tmp_path)
    with pytest.raises(DatasetError, match=r"holds 2 stacks of planes \(#1: 8 planes.*--series 'T2=ax de#1'"):
        found.as_channels(["T2"], "T2", {"T2": "ax de"})
    for number, seed in ((1, 12), (2, 80)):
        chosen = found.as_channels(["T2"], "T2", {"T2": f"ax de#{number}"})
        assert (chosen.volume("T2").array == head(seed)).all() and len(chosen.reference.datasets) == 8


def enhanced_of_two_echoes(series, path):
    """One image: its second half lies where the first does, with another echo."""
    one = pydicom.dcmread(enhanced(series, path))
    half = len(series.array) // 2
    for at, frame in enumerate(one.PerFrameFunctionalGroupsSequence[half:]):
        frame.PlanePositionSequence[0].ImagePositionPatient = [float(mm) for mm in series.position(at)]
        frame.MREchoSequence[0].EffectiveEchoTime = 80.0
    one.SeriesDescription, one.PatientSex = "DE", ""
    one.save_as(path)


def test_frames_of_a_multi_frame_image_keep_their_numbers_where_it_holds_two_volumes(tmp_path):
    enhanced_of_two_echoes(Series(Study(), head(3)), tmp_path / "in" / "one")
    (found,) = studies_in(tmp_path / "in")
    study = found.as_channels(["T1"], "T1", {"T1": "DE#2"})
    assert (study.volume("T1").array == head(3)[4:]).all()
    roi = np.zeros(study.reference.geometry.size_xyz[::-1], dtype=np.uint8)
    roi[1:3, 5:9, 4:9] = 1
    made = segmentation(study, Volume(roi, study.reference.geometry), RESULT)
    frames = [one.DerivationImageSequence[0].SourceImageSequence[0] for one in made.PerFrameFunctionalGroupsSequence]
    assert sorted(one.ReferencedFrameNumber for one in frames) == [6, 7]
    require_valid(made, folder=tmp_path)
    (tmp_path / "seg.dcm").write_bytes(to_bytes(made))
    write_volume(tmp_path / "roi.nii.gz", Volume(roi, study.reference.geometry))
    ours, theirs = (np.array(sorted(places_of(tmp_path / name))) for name in ("roi.nii.gz", "seg.dcm"))
    assert ours.shape == theirs.shape and np.abs(ours.mean(axis=0) - theirs.mean(axis=0)).max() < 2e-3


@pytest.mark.parametrize("planes", [(4, 4), (1,) * 8], ids=["two images", "an image a plane"])
def test_an_roi_on_several_multi_frame_images_goes_back_to_the_frames_of_each(tmp_path, planes):
    whole, images, at = Series(Study(), head(4)), {}, 0
    for count in planes:
        origin = tuple(float(mm) for mm in whole.position(at))
        part = Series(whole.study, whole.array[at : at + count], origin=origin, tags={}, uid=whole.uid)
        path = enhanced(part, tmp_path / "in" / f"image{at}")
        edit(path, SeriesDescription="T1", PatientSex="")
        images |= {at + frame: (pydicom.dcmread(path).SOPInstanceUID, frame + 1) for frame in range(count)}
        at += count
    (found,) = studies_in(tmp_path / "in")
    study = found.as_channels(["T1"], "T1", {})
    assert (study.volume("T1").array == whole.array).all()
    array = np.zeros(whole.array.shape, dtype=np.uint8)
    array[2:7, 3:9, 4:8] = 1
    roi = Volume(array, study.reference.geometry)
    made = segmentation(study, roi, RESULT)
    sources = [one.DerivationImageSequence[0].SourceImageSequence[0] for one in made.PerFrameFunctionalGroupsSequence]
    named = [(one.ReferencedSOPInstanceUID, one.ReferencedFrameNumber) for one in sources]
    assert sorted(named) == sorted(images[plane] for plane in range(2, 7))
    for listed in (made.SourceImageSequence, made.ReferencedSeriesSequence[0].ReferencedInstanceSequence):
        assert {one.ReferencedSOPInstanceUID for one in listed} == {uid for uid, _ in images.values()}
        assert len(listed) == len(planes) and {one.ReferencedSOPClassUID for one in listed} == {ENHANCED}
    require_valid(made, report(study, roi, made, RESULT), folder=tmp_path)
    write_volume(tmp_path / "roi.nii.gz", roi)
    ours, theirs = (np.array(sorted(places_of(tmp_path / name))) for name in ("roi.nii.gz", "0.dcm"))
    assert ours.shape == theirs.shape and np.abs(ours.mean(axis=0) - theirs.mean(axis=0)).max() < 2e-3


def test_compression_with_loss_is_a_flag_of_the_score_and_stands_in_the_report(plain, model, tmp_path):
    shutil.copytree(plain / "study", tmp_path / "study")
    for path in (tmp_path / "study" / "2").iterdir():
        edit(path, LossyImageCompression="01", LossyImageCompressionRatio="12.5")
    words = ("--rois", plain / "rois", "--dicom", tmp_path / "dicom")
    assert predict(tmp_path / "study", tmp_path / "out", model, *words).status == 0
    said = f"{SEQUENCES[1]} was compressed with loss (12.5:1)"
    assert said in scores(tmp_path / "out")["flags"]
    made = {path.name: pydicom.dcmread(path) for path in (tmp_path / "dicom" / "P0001").iterdir()}
    assert said in texts_in(made["score.dcm"]) and made["roi.dcm"].LossyImageCompression == "00"


def test_pet_is_read_in_suv_as_by_an_import(tmp_path):
    injected = pydicom.Dataset()
    injected.RadionuclideTotalDose, injected.RadionuclideHalfLife = "3.5e8", "6586.2"
    injected.RadiopharmaceuticalStartTime = "100000"
    tags = {**BQML, "RadiopharmaceuticalInformationSequence": [injected]}
    Series(Study(), head(1), modality="PT", tags=tags).write(tmp_path / "pet")
    (study,) = studies_in(tmp_path)
    found = study.as_channels(["PET"], "PET", {}).volume("PET").array
    (part,) = found_in(tmp_path).parts
    assert (found == read_stack(part.stack, "PT").array).all()
    dose = 3.5e8 * 2 ** (-3600 / 6586.2)
    assert found == pytest.approx(head(1) * 2.0 * 70_000 / dose, rel=1e-5)


def test_what_is_passed_over_is_told_by_its_reason_and_not_by_its_name(plain, model, tmp_path):
    shutil.copytree(plain / "study", tmp_path / "study")
    path = sorted((tmp_path / "study" / "2").iterdir())[0]
    (tmp_path / "study" / "DOE-JANE").write_bytes(path.read_bytes())
    answer = predict(tmp_path / "study", tmp_path / "out", model, "--rois", plain / "rois")
    assert answer.status == 0 and "not used: 1 file: a duplicate" in answer.err and "DOE" not in answer.err


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_rois_that_are_joined_to_one_value_do_not_tell_lesions_apart_by_labels(packed, tmp_path, dry):
    plan = small_volume_plan()
    lesions = {"lesions": LesionPlan(told_by="labels", least_mm3=1.0, most=4)}
    plan = plan.model_copy(update={"preprocessing": plan.preprocessing.model_copy(update=lesions)})
    write_model_folder(tmp_path / "model", tiny_model(plan))
    answer = predict(packed / "study", tmp_path / "out", tmp_path / "model", "--roi-name", "tumor*", *dry)
    assert answer.status == 2 and "the ROIs that --roi-name names have one" in answer.complaint
    assert not (tmp_path / "out").exists()


class TestCandidate:
    @pytest.fixture
    def candidate(self, tmp_path):
        """A locked candidate of the volume, as numbers."""
        (tmp_path / "candidate").mkdir()
        channels = {str(at): name for at, name in enumerate(SEQUENCES)}
        line = {"middle": (0.0,), "spread": (1.0,), "coefficients": (1.0,)}
        one = locked_candidate(channel_names=channels, recalibration=LogisticScale(slope=1.0, intercept=0.0), **line)
        one.save(tmp_path / "candidate" / CANDIDATE)
        return tmp_path / "candidate"

    def test_scores_studies_and_its_results_go_back(self, plain, packed, candidate, tmp_path):
        words = ("--roi-name", "Tumor 1", "--dicom", tmp_path / "dicom")
        answer = predict(packed / "study", tmp_path / "out", candidate, *words)
        assert answer.status == 0, answer.err
        roi = sitk.ReadImage(str(plain / "rois" / "P0001.nii.gz"))
        ml = (sitk.GetArrayFromImage(roi) > 0).sum() * np.prod(roi.GetSpacing()) / 1000
        assert float(scores(tmp_path / "out")["dls"]) == pytest.approx(ml / (1 + ml), abs=1e-5)
        assert {path.name for path in (tmp_path / "dicom" / "P0001").iterdir()} == {"roi.dcm", "score.dcm", "page.dcm"}
        require_valid(*map(pydicom.dcmread, sorted((tmp_path / "dicom").rglob("*.dcm"))), folder=tmp_path)
        told = predict(packed / "study", tmp_path / "dry", candidate, "--roi-name", "Tumor 1", "--dry-run")
        assert told.status == 0 and "the locked candidate 'volume'" in told.out

    def test_a_study_that_cannot_be_read_is_a_row(self, plain, candidate, tmp_path):
        images = plain / "dataset" / "imagesTr"
        for uid in ("1.2.3.4", "1.2.3.5"):
            write_study(tmp_path / "in" / uid, {SEQUENCES[0]: images / "case_00_0000.nii.gz"}, uid)
        next((tmp_path / "in" / "1.2.3.5").rglob("IM028")).unlink()
        answer = predict(tmp_path / "in", tmp_path / "out", candidate, "--rois", plain / "rois")
        rows = {row["case"]: row for row in csv.DictReader((tmp_path / "out" / "scores.csv").open())}
        assert answer.status == 1 and "1 missing slices" in rows["P0002"]["failed"] and rows["P0001"]["dls"]
        assert len(json.loads((tmp_path / "out" / "predict.json").read_text())["failed"]) == 1
        assert answer.err.count("missing slices") == 1 and "not scored: case P0002: " in answer.err, "said once"

    @pytest.mark.parametrize("dry", [(), ("--dry-run",)])
    def test_a_clinical_table_is_not_joined_to_numbered_studies(self, plain, tmp_path, dry):
        """P0001 is whoever is found first: a row of the table could be another patient's."""
        (tmp_path / "clinical").mkdir()
        clinical_candidate().save(tmp_path / "clinical" / CANDIDATE)
        for given in ((), ("--clinical", tmp_path / "new.csv")):
            answer = predict(plain / "study", tmp_path / "out", tmp_path / "clinical", *given, *dry)
            assert answer.status == 2 and "is not joined to DICOM studies" in answer.complaint, given

    @pytest.mark.parametrize(("words", "said"), [((), "draws no ROIs"), (("--heatmaps",), "no heat maps")])
    def test_says_in_one_line_what_it_does_not_take(self, plain, candidate, tmp_path, words, said):
        answer = predict(plain / "study", tmp_path / "out", candidate, *words)
        assert answer.status == 2 and said in answer.complaint
