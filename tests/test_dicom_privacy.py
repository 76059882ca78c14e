"""Nothing that names a person leaves the confidential folder: every byte is searched for every identifying value."""

import gzip
import shutil

import pydicom
import pytest
from command_line import autodls
from pydicom.dataset import Dataset
from tiny_dicom import T1, T2, Series, Study, head, rtstruct

LEAST_SIGNS = 4
TCIA = b"1.3.6.1.4.1.14519.5.2.1"
# Of the basic profile of DICOM PS3.15, table E.1-1, what names a person, a place, a device or a moment.
IDENTIFYING = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientBirthTime", "OtherPatientIDs", "OtherPatientNames",
    "PatientAddress", "PatientTelephoneNumbers", "PatientMotherBirthName", "PatientComments", "EthnicGroup",
    "IssuerOfPatientID", "MedicalRecordLocator", "MilitaryRank", "Occupation", "AccessionNumber", "StudyID",
    "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "StudyDate", "SeriesDate",
    "AcquisitionDate", "ContentDate", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstitutionName",
    "InstitutionAddress", "InstitutionalDepartmentName", "ReferringPhysicianName", "PerformingPhysicianName",
    "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "OperatorsName", "RequestingPhysician", "StationName",
    "DeviceSerialNumber", "StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments",
    "RequestedProcedureDescription", "PerformedProcedureStepDescription", "AdmittingDiagnosesDescription",
    "AdditionalPatientHistory", "RequestAttributesSequence", "ContrastBolusAgent", "StructureSetLabel", "ROIName",
)  # fmt: skip
WRITTEN = {
    "OtherPatientIDs": "OTHER-0099",
    "PatientAddress": "Elm Street 5",
    "PatientComments": "Jane lives alone",
    "IssuerOfPatientID": "HOSPITAL-X",
    "InstitutionAddress": "Main Road 1",
    "InstitutionalDepartmentName": "Radiology North",
    "PerformingPhysicianName": "Wilson^James",
    "StudyDescription": "MR for Jane Doe",
    "ProtocolName": "proto Jane Doe",
    "ImageComments": "looks like Jane",
    "StudyTime": "101112",
    "SeriesTime": "101213",
    "AcquisitionDate": "20200304",
    "AcquisitionTime": "101314",
    "RequestedProcedureDescription": "Jane first visit",
    "AdditionalPatientHistory": "fell off a horse",
    "ContrastBolusAgent": "Gadojane",
    "ManufacturerModelName": "Skyra of Jane",
    "Manufacturer": "SIEMENS of Jane Doe",
    "PixelPaddingValue": 0,
}


def values_of(dataset, found):
    """All identifying values of a header, as texts of their own."""
    for element in dataset.iterall():
        if element.keyword in IDENTIFYING and element.value is not None and not isinstance(element.value, Dataset):
            parts = element.value if element.VM > 1 else [element.value]
            for part in parts:
                found |= {str(part), *str(part).replace("^", " ").split()}
    return found


def secrets_of(folder):
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                values_of(pydicom.dcmread(path, stop_before_pixels=True), found)
            except pydicom.errors.InvalidDicomError:
                continue
    return {value.encode() for value in found - {"Tumor"} if len(value) >= LEAST_SIGNS}


def leaks(folder, secrets):
    """Which secrets stand in a name or in a byte of `folder`, packed or unpacked."""
    found = []
    for path in folder.rglob("*"):
        contents = [path.relative_to(folder).as_posix().encode()]
        if path.is_file():
            contents.append(path.read_bytes())
            if path.name.endswith(".gz"):
                contents.append(gzip.decompress(path.read_bytes()))
        lowered = [content.lower() for content in contents]
        found += [(path.name, secret) for secret in secrets for content in lowered if secret.lower() in content]
    return found


@pytest.fixture
def named(tmp_path):
    """A study that says everywhere whose it is, also in the names of its files."""
    study = Study(patient="MRN-471199", name="Doe^Jane^Quentina", date="20200304")
    folder = tmp_path / "in" / "DOE_JANE_19500102"
    for number, tags in enumerate((T1, T2)):
        described = {"SeriesDescription": f"{'t1' if tags is T1 else 't2'} Jane Doe", "SeriesNumber": number + 1}
        series = Series(study, head(number), tags={**tags, **WRITTEN, **described}).write(folder / f"Jane-{number}")
    contour = [[series.mm(*place, 3) for place in ((4, 4), (14, 4), (14, 14))]]
    rtstruct(series, folder / "rt-Jane", {"Tumor of Jane Doe": contour})
    (folder / "letter-to-Jane.txt").write_text("Dear Jane " * 30)
    return tmp_path / "in"


def run(*words):
    answer = autodls(*words)
    assert answer.status in (0, 2), answer.err
    return (answer.out + answer.err).encode()


def test_nothing_that_names_a_person_is_written_or_said(named, tmp_path):
    secrets = secrets_of(named) | {b"Jane", b"DOE_JANE", b"letter-to"}
    assert len(secrets) > 50 and {b"MRN-471199", b"19500102", b"Gadojane", b"Quentina", b"SN-99881"} <= secrets
    words = ("import", named, "-o", tmp_path / "DS", "--workers", "1", "--log", tmp_path / "out.log", "-v")
    said = run(*words) + run(*words) + run(*words, "--json") + run("check", "-d", tmp_path / "DS")
    said += (tmp_path / "out.log").read_bytes()
    assert (tmp_path / "DS" / "labelsTr" / "P0001.nii.gz").is_file()
    assert leaks(tmp_path / "DS", secrets) == []
    shown = said.replace(str(named).encode(), b"")
    assert [secret for secret in secrets if secret.lower() in shown.lower()] == []
    confidential = b"".join(path.read_bytes() for path in (tmp_path / "DS-confidential").iterdir())
    assert b"MRN-471199" in confidential and b"Confidential" in confidential


def test_nor_where_it_fails(named, tmp_path):
    """Truncated files, a table that asks for what cannot be, an unreadable archive: the line names rows alone."""
    secrets = secrets_of(named) | {b"Jane", b"DOE_JANE"}
    words = ("import", named, "-o", tmp_path / "DS", "--workers", "1")
    run(*words)
    table = tmp_path / "DS-confidential" / "series.csv"
    kept = table.read_text()
    said = b""
    for old, new in (("T1WI", "T2WI"), ("P0001", "Doe"), ("P0001", "MRN-471199"), ("ROI", "T1WI"), ("xroi", "x")):
        table.write_text(kept.replace(old, new))
        said += run(*words)
    table.write_text(kept)
    for at, path in zip((40, 400, -60), sorted(named.rglob("I*")), strict=False):
        whole = path.read_bytes()
        path.write_bytes(whole[:at])
        said += run(*words) + run(*words, "--restart") + run(*words)
        path.write_bytes(whole)
        shutil.rmtree(tmp_path / "DS-confidential")
        shutil.rmtree(tmp_path / "DS", ignore_errors=True)
        said += run(*words)
    assert said.count(b"autodls: error: ") >= 5
    shown = said.replace(str(named).encode(), b"")
    assert [secret for secret in secrets if secret.lower() in shown.lower()] == []


@pytest.mark.long
def test_real_studies_leave_nothing_either(real_dicom, tmp_path):
    """STS_001 and the prostate, with all that their headers say of patients, places, devices and moments."""
    for name in ("sts001_raw_T1_T2FS_rtstruct", "prostatex0000_t2tra_t2sag_missing_slice"):
        secrets = secrets_of(real_dicom / name)
        ambiguous = {b"AXIAL", b"EXTREMITY", b"RESEARCH", b"prostate"}  # words, not names
        words = ("import", real_dicom / name, "-o", tmp_path / name / "DS", "--workers", "1", "--roi-name", "GTV_Mass")
        said = b"".join(run(*words) for _ in range(2)).replace(str(real_dicom).encode(), b"")
        secrets = {secret for secret in secrets - ambiguous if not secret.isalpha()}
        uids = {secret for secret in secrets if secret.startswith(TCIA)}
        assert len(uids) > 60 and len(secrets - uids) > 10
        secrets = {TCIA, *(secrets - uids)}  # which begins them all
        assert leaks(tmp_path / name / "DS", secrets) == []
        assert [secret for secret in secrets if secret in said] == []
