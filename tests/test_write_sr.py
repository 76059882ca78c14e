"""The score as a structured report: every figure, of which ROI, by which model; valid, and readable by others."""

import io
from dataclasses import replace

import numpy as np
import pytest
from dicom_studies import PATIENT, RESULT, WITHHELD, highdicom, pydicom, require_valid, study_and_roi, texts_in

from autodls.dicom.results import to_bytes
from autodls.dicom.write_seg import segmentation
from autodls.dicom.write_sr import code, report


@pytest.fixture(scope="module")
def case(tmp_path_factory, make_dataset):
    study, roi = study_and_roi(tmp_path_factory.mktemp("sr"), make_dataset)
    return study, roi, segmentation(study, roi, RESULT)


@pytest.fixture(scope="module")
def made(case):
    return report(*case, RESULT)


@pytest.fixture(scope="module")
def group(made):
    """The one measurement group, as highdicom reads the file that is sent."""
    read = highdicom.sr.ComprehensiveSR.from_dataset(pydicom.dcmread(io.BytesIO(to_bytes(made))))
    (group,) = read.content.get_volumetric_roi_measurement_groups()
    return group


def test_holds_every_figure_with_all_its_digits(case, group):
    _, roi, _ = case
    values = {one.name.meaning: one.value for one in group.get_measurements()}
    volume = values.pop("Volume")
    assert volume == pytest.approx(np.count_nonzero(roi.array) * np.prod(roi.geometry.spacing_mm))
    assert values == {
        "DLS: probability of the target": RESULT.dls,
        "DLS cut-off": RESULT.cutoff,
        "DLS spread over folds": RESULT.spread,
        "Score of T2WI alone": 0.7,
    }


@pytest.mark.parametrize(("call", "meaning"), [("high", "At or above the cut-off"), ("low", "Below the cut-off")])
def test_holds_the_call(case, call, meaning):
    read = highdicom.sr.ComprehensiveSR.from_dataset(report(*case, replace(RESULT, call=call)))
    (group,) = read.content.get_volumetric_roi_measurement_groups()
    (evaluation,) = group.get_qualitative_evaluations(code("call", "Call at the cut-off"))
    assert evaluation.value.value == call and evaluation.value.meaning == meaning


def test_refers_to_the_segment_and_to_every_image(case, made, group):
    study, _, segment = case
    assert group.reference_type.meaning == "Referenced Segment"
    assert group.referenced_segment.referenced_sop_instance_uid == segment.SOPInstanceUID
    assert group.tracking_uid == segment.SegmentSequence[0].TrackingUID
    evidence = {
        one.ReferencedSOPInstanceUID
        for study_of in made.CurrentRequestedProcedureEvidenceSequence
        for series in study_of.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    images = {uid for series in study.series.values() for uid in series.instance_uids}
    assert evidence == images | {segment.SOPInstanceUID}


def test_says_model_flags_and_what_it_is_for(made):
    said = texts_in(made)
    for text in (f"model_sha256 {RESULT.model_sha256}", "model tiny", "Target: PD-L1 high", "flag one"):
        assert text in said
    assert said.count("Research use only; not for diagnosis") == 2  # the series, and a comment of the group
    assert (made.CompletionFlag, made.VerificationFlag, made.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )


def test_carries_of_the_patient_what_files_it_and_no_more(made):
    assert str(made.PatientName) == PATIENT["PatientName"] and made.PatientID == PATIENT["PatientID"]
    for word in WITHHELD:
        assert PATIENT[word] not in texts_in(made)


def test_equal_inputs_are_equal_bytes(case, made):
    assert to_bytes(made) == to_bytes(report(*case, RESULT))
    assert report(*case, replace(RESULT, dls=0.7300001)).SOPInstanceUID != made.SOPInstanceUID


def test_is_valid(case, made, tmp_path):
    odd = replace(RESULT, flags=("ü" * 3000, "back\\slash"), sequences={"s" * 80: 0.1, "a\\b": 1.0})
    require_valid(made, report(*case, odd), folder=tmp_path)
