"""DICOM studies made of the images that `make_dataset` writes: a series an image, a file a slice."""

import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: pip install 'autodls[dicom]'")
highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed: pip install 'autodls[dicom]'")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage  # noqa: E402
from real_dicom import found_in  # noqa: E402

from autodls.dicom.results import Result, to_bytes  # noqa: E402
from autodls.dicom.studies import studies_of  # noqa: E402
from autodls.dicom.study import SourceSeries, SourceStudy  # noqa: E402
from autodls.imaging.volumes import read_labels  # noqa: E402

RESULT = Result("PD-L1 high", 0.73, 0.5, "high", 0.04, "auto", "tiny", "ab" * 32, "0.1", {"T2WI": 0.7}, ("flag one",))

PATIENT = {
    "PatientName": "Müller^Jörg",
    "PatientID": "MRN-4711",
    "PatientBirthDate": "19550203",
    "PatientSex": "M",
    "OtherPatientIDs": "SSN-999",
    "PatientAddress": "1 Secret Street",
    "PatientComments": "knows the mayor",
    "ReferringPhysicianName": "House^Gregory",
    "OperatorsName": "Operator^Olga",
    "InstitutionName": "St. Elsewhere",
    "StudyDescription": "Head of the mayor",
    "AccessionNumber": "ACC-1",
    "StudyID": "S1",
    "StudyDate": "20240102",
    "StudyTime": "101112",
}
WITHHELD = (
    "OtherPatientIDs",
    "PatientAddress",
    "PatientComments",
    "ReferringPhysicianName",
    "OperatorsName",
    "InstitutionName",
    "StudyDescription",
)


def write_study(folder, images, study="1.2.3.4", **changes):
    """Write `images`, {description: NIfTI path}, as series of one study; returns the folder."""
    for number, (description, path) in enumerate(images.items(), start=1):
        write_series(folder / f"{number}", sitk.ReadImage(str(path)), description, study, number, **changes)
    return folder


def write_series(folder, image, description, study, number, **changes):
    """A file a slice, named in no order."""
    folder.mkdir(parents=True)
    voxels = np.rint(sitk.GetArrayFromImage(image)).astype(np.int16)
    axes = np.reshape(image.GetDirection(), (3, 3))
    width, height, _ = image.GetSpacing()
    for index, pixels in enumerate(voxels):
        one = Dataset()
        for word, value in (PATIENT | changes).items():
            setattr(one, word, value)
        one.SpecificCharacterSet = "ISO_IR 100"
        one.SOPClassUID, one.SOPInstanceUID = MRImageStorage, f"{study}.{number}.{index + 1}"
        one.StudyInstanceUID, one.SeriesInstanceUID = study, f"{study}.{number}"
        one.FrameOfReferenceUID, one.PositionReferenceIndicator = f"{study}.99", ""
        one.SeriesNumber, one.InstanceNumber, one.Modality = number, index + 1, "MR"
        one.SeriesDescription, one.SeriesDate, one.SeriesTime = description, "20240102", "111213"
        one.ImageType, one.Manufacturer = ["ORIGINAL", "PRIMARY"], "Scanner"
        one.ImagePositionPatient = [round(x, 6) for x in image.TransformIndexToPhysicalPoint((0, 0, index))]
        one.ImageOrientationPatient = [round(x, 8) for x in (*axes[:, 0], *axes[:, 1])]
        one.PixelSpacing, one.SliceThickness = [height, width], image.GetSpacing()[2]
        one.Rows, one.Columns = pixels.shape
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 1
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelData = 16, 16, 15, pixels.tobytes()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        pydicom.dcmwrite(folder / f"IM{(7 * index) % 101:03d}", one, enforce_file_format=True)


def source_study(folder, channels=("CE-T1WI", "T2WI"), case="P0001"):
    """What `write_study` wrote into `folder`, a channel a folder, as results are written back to it."""
    series = {channel: source_series(folder / f"{number}", channel) for number, channel in enumerate(channels, start=1)}
    return SourceStudy(case, series, channels[0])


def source_series(folder, name="series T2"):
    """The only volume in `folder`."""
    (part,) = found_in(folder).parts
    return SourceSeries.of(part, name)


def studies_in(folder):
    """The studies below `folder`."""
    return studies_of(found_in(folder), folder)


def require_valid(*datasets, folder):
    """Hold every dataset against the standard by dciodvfy of dicom3tools; the test is skipped where it is absent."""
    if shutil.which("dciodvfy") is None:
        pytest.skip(
            "dciodvfy is not installed (Debian's package dicom3tools): nothing else holds files to the standard"
        )
    for number, dataset in enumerate(datasets):
        path = folder / f"{number}.dcm"
        path.write_bytes(to_bytes(dataset))
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        told = (said.stdout + said.stderr).splitlines()
        assert [line for line in told if line.startswith("Error")] == [], told
        assert any(line and not line.startswith("Warning") for line in told), told  # the kind of object, recognised


def texts_in(dataset):
    """Every value in a dataset as a text, its sequences included."""
    return " | ".join(str(element.value) for element in dataset.iterall() if element.VR not in ("SQ", "OB", "OW"))


def study_and_roi(folder, make_dataset, channels=("CE-T1WI", "T2WI"), **changes):
    """A study of a series a channel, the second oblique and finer, and the ROI on its first."""
    dataset = make_dataset(folder / "dataset", training=1, held_out=0, sequences=channels)
    images = {name: dataset / "imagesTr" / f"case_00_{index:04d}.nii.gz" for index, name in enumerate(channels)}
    study = source_study(write_study(folder / "study", images, **changes), channels)
    return study, read_labels(dataset / "labelsTr" / "case_00.nii.gz")


def places_of(path):
    """LPS points, to 0.001 mm, of the voxels that are not zero, as ITK reads the image `path`: NIfTI or DICOM."""
    image = sitk.ReadImage(str(path))
    z, y, x = np.nonzero(sitk.GetArrayFromImage(image))
    points = [
        image.TransformIndexToPhysicalPoint(index) for index in zip(*map(np.ndarray.tolist, (x, y, z)), strict=True)
    ]
    return {tuple(round(value, 3) + 0.0 for value in point) for point in points}
