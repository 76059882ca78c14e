"""The ROI as a DICOM segmentation: where it lies, whose it is, that it is valid, and what it must not carry."""

import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from dicom_studies import (
    PATIENT,
    RESULT,
    WITHHELD,
    highdicom,
    places_of,
    pydicom,
    require_valid,
    source_series,
    source_study,
    studies_in,
    study_and_roi,
    texts_in,
    write_study,
)
from tiny_dicom import edit

from autodls.dicom.results import to_bytes
from autodls.dicom.study import SourceStudy
from autodls.dicom.write_seg import segmentation
from autodls.errors import DatasetError, InputError
from autodls.imaging.geometry import Volume
from autodls.imaging.volumes import read_labels, write_volume

_TRIALS = 60


@pytest.fixture(scope="module")
def case(tmp_path_factory, make_dataset):
    return study_and_roi(tmp_path_factory.mktemp("seg"), make_dataset)


def test_lies_where_the_roi_lies_by_another_reader(case, tmp_path):
    study, roi = case
    (tmp_path / "seg.dcm").write_bytes(to_bytes(segmentation(study, roi, RESULT)))
    write_volume(tmp_path / "roi.nii.gz", Volume(roi.array.astype(np.uint8), roi.geometry))
    found = places_of(tmp_path / "seg.dcm")
    assert found == places_of(tmp_path / "roi.nii.gz") and len(found) > 50


def test_on_an_oblique_series(case):
    study, _ = case
    oblique = study.series["T2WI"]
    array = np.zeros(oblique.geometry.size_xyz[::-1], dtype=np.uint8)
    array[3:6, 10:20, 5:9] = 1
    made = segmentation(replace(study, roi_channel="T2WI"), Volume(array, oblique.geometry), RESULT)
    read = highdicom.seg.Segmentation.from_dataset(made).get_volume(combine_segments=True)
    ends = oblique.geometry.index_to_physical([[0, 0, 3], [0, 0, 5]])
    assert np.abs(ends - read.affine[:3, 3]).max(axis=1).min() < 1e-3
    assert read.array.sum() == 3 * 10 * 4


def test_every_frame_names_its_slice(case):
    study, roi = case
    made = segmentation(study, roi, RESULT)
    drawn = [uid for uid, plane in zip(study.reference.instance_uids, roi.array, strict=True) if plane.any()]
    frames = made.PerFrameFunctionalGroupsSequence
    named = [frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for frame in frames]
    assert sorted(named) == sorted(drawn)
    referenced = made.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == study.reference.uid
    assert {one.ReferencedSOPInstanceUID for one in referenced.ReferencedInstanceSequence} == set(
        study.reference.instance_uids
    )
    assert made.FrameOfReferenceUID == study.reference.datasets[0].FrameOfReferenceUID


def test_says_what_it_is(case):
    study, roi = case
    made = segmentation(study, roi, RESULT)
    segment = made.SegmentSequence[0]
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Neoplasm"
    assert RESULT.model_sha256 in segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert "Research use only; not for diagnosis" in made.SeriesDescription
    manual = segmentation(study, roi, replace(RESULT, roi_kind="manual")).SegmentSequence[0]
    assert manual.SegmentAlgorithmType == "MANUAL" and "SegmentAlgorithmName" not in manual


def test_carries_of_the_patient_what_files_it_and_no_more(case):
    study, roi = case
    made = segmentation(study, roi, RESULT)
    for word in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyID",
        "StudyDate",
    ):
        assert str(made[word].value) == PATIENT[word]
    for word in WITHHELD:
        assert PATIENT[word] not in texts_in(made)
    assert pydicom.dcmread(io.BytesIO(to_bytes(made))).PatientName == "Müller^Jörg"


def test_equal_inputs_are_equal_bytes_and_ids_differ_with_the_content(case):
    study, roi = case
    made = segmentation(study, roi, RESULT)
    assert to_bytes(made) == to_bytes(segmentation(study, roi, RESULT))
    other = roi.array.copy()
    other[tuple(np.argwhere(other)[0])] = 0
    for different in (
        segmentation(study, Volume(other, roi.geometry), RESULT),
        segmentation(study, roi, replace(RESULT, model_sha256="cd" * 32)),
    ):
        assert different.SOPInstanceUID != made.SOPInstanceUID and different.SeriesInstanceUID != made.SeriesInstanceUID
    uids = [str(element.value) for element in made.iterall() if element.VR == "UI"]
    theirs = {*study.reference.instance_uids, study.reference.uid, made.StudyInstanceUID, made.FrameOfReferenceUID}
    standard = {uid for uid in uids if uid.startswith("1.2.840.10008.")}
    assert all(uid.startswith("2.25.") for uid in set(uids) - theirs - standard)


def test_is_valid(case, tmp_path):
    study, roi = case
    require_valid(
        segmentation(study, roi, RESULT),
        segmentation(study, roi, replace(RESULT, roi_kind="manual", target="a\\b " * 40)),
        folder=tmp_path,
    )


def test_is_valid_on_a_real_study(shared_data, tmp_path):
    archive = shared_data / "dicom" / "sts001_raw_T1_T2FS_rtstruct.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no real DICOM at {archive}")
    with tarfile.open(archive, "r|xz") as packed:
        for number, one in enumerate(one for one in packed if one.isfile() and "/MR_T2/image/" in one.name):
            (tmp_path / "T2").mkdir(exist_ok=True)
            (tmp_path / "T2" / str(number)).write_bytes(packed.extractfile(one).read())
    series = source_series(tmp_path / "T2")
    array = np.zeros(series.geometry.size_xyz[::-1], dtype=np.uint8)
    array[10:15, 100:140, 120:150] = 1
    roi = Volume(array, series.geometry)
    made = segmentation(SourceStudy("P0001", {"T2": series}, "T2"), roi, RESULT)
    write_volume(tmp_path / "roi.nii.gz", roi)
    require_valid(made, folder=tmp_path)
    ours, theirs = (np.array(sorted(places_of(tmp_path / name))) for name in ("roi.nii.gz", "0.dcm"))
    assert len(ours) == 6000 and np.abs(ours.mean(axis=0) - theirs.mean(axis=0)).max() < 1e-3


def test_an_roi_elsewhere_or_empty_is_refused_by_name(case):
    study, roi = case
    with pytest.raises(DatasetError, match=r"P0001: its ROI has .* not those of the CE-T1WI series"):
        segmentation(study, Volume(roi.array[1:], replace(roi.geometry, size_xyz=(28, 24, 9))), RESULT)
    with pytest.raises(DatasetError, match="P0001: its ROI is empty"):
        segmentation(study, Volume(0 * roi.array, roi.geometry), RESULT)


def test_header_fields_that_are_not_what_they_should_be_are_left_empty(tmp_path, make_dataset):
    odd = {"PatientSex": "U", "StudyTime": "", "StudyDate": "", "PatientBirthDate": ""}
    made = segmentation(*study_and_roi(tmp_path, make_dataset, ("CE-T1WI",), **odd), RESULT)
    assert made.PatientSex == "" and made.StudyDate in ("", None)
    require_valid(made, folder=tmp_path)


class TestSeries:
    @pytest.fixture
    def folder(self, tmp_path, make_dataset):
        dataset = make_dataset(tmp_path / "dataset", training=1, held_out=0, sequences=("CE-T1WI",))
        return write_study(tmp_path / "study", {"a": dataset / "imagesTr" / "case_00_0000.nii.gz"}) / "1"

    def test_that_is_no_volume_is_refused_in_the_words_of_an_import(self, folder):
        (folder / "IM028").unlink()
        with pytest.raises(DatasetError, match=r"^series T2: 1 missing slices: 10\.00 mm after plane 4, 5\.00 mm"):
            source_series(folder)

    @pytest.mark.parametrize("word", ["FrameOfReferenceUID", "Modality"])
    def test_that_lacks_what_a_reference_needs(self, folder, word):
        edit(folder / "IM021", **{word: None})
        series = source_series(folder)
        with pytest.raises(DatasetError, match=f"^series T2: a slice without {word}"):
            assert series.datasets

    def test_without_a_thickness_the_spacing_stands_for_it(self, folder, tmp_path):
        for path in folder.iterdir():
            edit(path, SliceThickness=None)
        study = source_study(folder.parent, ("CE-T1WI",))
        roi = read_labels(tmp_path / "dataset" / "labelsTr" / "case_00.nii.gz")
        made = segmentation(study, roi, RESULT)
        assert float(made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness) == 5
        require_valid(made, folder=tmp_path)


def test_damaged_files_end_in_a_segmentation_or_in_one_line(tmp_path, make_dataset):
    dataset = make_dataset(tmp_path / "dataset", training=1, held_out=0, sequences=("CE-T1WI",))
    folder = write_study(tmp_path / "study", {"CE-T1WI": dataset / "imagesTr" / "case_00_0000.nii.gz"})
    roi = read_labels(dataset / "labelsTr" / "case_00.nii.gz")
    path = next(iter((folder / "1").iterdir()))
    whole, chance, lines = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(_TRIALS):
        damaged = bytearray(whole)
        for at in chance.integers(132, len(whole) - 1400, size=int(chance.integers(1, 4))):
            damaged[at] = int(chance.integers(256))
        path.write_bytes(damaged[: int(chance.integers(140, len(whole)))] if chance.random() < 0.2 else damaged)
        try:
            for found in studies_in(folder):
                study = found.as_channels(("CE-T1WI",), "CE-T1WI", {})
                segmentation(study, Volume(roi.array, study.reference.geometry), RESULT)
                study.volume("CE-T1WI")
        except InputError as failure:
            assert "\n" not in str(failure) and len(str(failure)) < 600
            lines += 1
    assert 0 < lines < _TRIALS
