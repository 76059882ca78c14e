"""Small DICOM studies for tests: classic series, RTSTRUCT and SEG, written on the spot by pydicom alone."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CLASSES = {
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
}
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
ENHANCED = "1.2.840.10008.5.1.4.1.1.4.1"
T1 = {"RepetitionTime": "550", "EchoTime": "12", "ScanningSequence": "SE", "SeriesDescription": "AX T1"}
T2 = {"RepetitionTime": "4500", "EchoTime": "95", "ScanningSequence": "SE", "SeriesDescription": "AX T2"}
_COUNTER = itertools.count(100_001)  # as text in the order in which they are made
TILT = np.deg2rad(12.0)
OBLIQUE = (1.0, 0.0, 0.0, 0.0, float(np.cos(TILT)), float(-np.sin(TILT)))


def new_uid() -> str:
    """A UID that no other object of the run has; the same in every run."""
    return f"1.2.826.0.1.3680043.8.498.{next(_COUNTER)}"


@dataclass
class Study:
    """Who and when: what the files of a study have in common."""

    patient: str = "MRN-4711"
    name: str = "Doe^Jane"
    birth: str = "19500102"
    date: str = "20200304"
    uid: str = field(default_factory=new_uid)
    frame: str = field(default_factory=new_uid)


def dataset_of(study: Study, sop_class: str, modality: str, series: str) -> FileDataset:
    """A file's worth of header: patient, study and series, no image."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, sop_class
    meta.MediaStorageSOPInstanceUID = new_uid()
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = sop_class, meta.MediaStorageSOPInstanceUID, modality
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study.uid, series, study.frame
    one.PatientID, one.PatientName, one.PatientBirthDate = study.patient, study.name, study.birth
    one.StudyDate, one.StudyTime, one.StudyID, one.AccessionNumber = study.date, "101500", "ST-9", "ACC-0815"
    one.InstitutionName, one.ReferringPhysicianName = "St. Eligius", "House^Gregory"
    one.OperatorsName, one.StationName, one.DeviceSerialNumber = "Operator^Otto", "STATION7", "SN-99881"
    return one


@dataclass
class Series:
    """A classic series: `array` [z, y, x] on planes from `origin` on along the normal, `step_mm` apart."""

    study: Study
    array: np.ndarray
    modality: str = "MR"
    orientation: tuple[float, ...] = OBLIQUE
    origin: tuple[float, float, float] = (-20.0, -15.0, 30.0)
    spacing: tuple[float, float] = (1.2, 0.8)
    step_mm: float = 3.0
    tags: dict[str, object] = field(default_factory=dict)
    uid: str = field(default_factory=new_uid)
    files: list[Path] = field(default_factory=list)

    @property
    def normal(self) -> np.ndarray:
        """Along which planes are stacked."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    def position(self, plane: int) -> np.ndarray:
        """Centre of the first pixel of a plane, mm."""
        return np.array(self.origin) + plane * self.step_mm * self.normal

    def mm(self, column: float, row: float, plane: int) -> np.ndarray:
        """LPS mm of a place in a plane, in pixels."""
        along_row, along_column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        return self.position(plane) + along_row * self.spacing[1] * column + along_column * self.spacing[0] * row

    def write(self, folder: Path, change=lambda one, plane: None) -> "Series":
        """A file a plane, named without an extension; `change` may alter each."""
        folder.mkdir(parents=True, exist_ok=True)
        for plane, pixels in enumerate(self.array):
            one = self.plane(plane, pixels)
            change(one, plane)
            path = folder / f"I{len(self.files):04d}"
            one.save_as(path, enforce_file_format=True)
            self.files.append(path)
        return self

    def plane(self, plane: int, pixels: np.ndarray) -> FileDataset:
        """The file of one plane."""
        one = dataset_of(self.study, CLASSES[self.modality], self.modality, self.uid)
        one.Rows, one.Columns = pixels.shape
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
        one.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
        one.PixelData = pixels.astype("<i2" if one.PixelRepresentation else "<u2").tobytes()
        one.PixelSpacing, one.SliceThickness = list(self.spacing), str(self.step_mm)
        one.ImageOrientationPatient = list(self.orientation)
        one.ImagePositionPatient = [float(mm) for mm in self.position(plane)]
        one.ImageType, one.InstanceNumber, one.SeriesNumber = ["ORIGINAL", "PRIMARY", "M"], plane + 1, 1
        one.Manufacturer, one.MagneticFieldStrength = "SIEMENS", "1.5"
        one.AcquisitionTime = "102000"
        for keyword, value in self.tags.items():
            setattr(one, keyword, value)
        return one


def head(seed: int = 0, shape: tuple[int, int, int] = (8, 24, 20)) -> np.ndarray:
    """Voxels [z, y, x] that differ from place to place, so that no flip goes unseen."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 1200, shape).astype(np.int16)


def mr(study: Study, folder: Path, seed: int = 0, **tags: object) -> Series:
    """A T1 series, unless `tags` say otherwise, written to `folder`."""
    return Series(study, head(seed), tags={**T1, **tags}).write(folder)


def rtstruct(series: Series, path: Path, rois: dict[str, list[np.ndarray]], kind: str = "CLOSED_PLANAR") -> Path:
    """ROIs by name, each a list of contours [points, 3] in mm."""
    one = dataset_of(series.study, RTSTRUCT, "RTSTRUCT", new_uid())
    one.StructureSetLabel, one.StructureSetDate, one.StructureSetTime = "set", "20200305", "120000"
    referenced, study, frame = Dataset(), Dataset(), Dataset()
    referenced.SeriesInstanceUID = series.uid
    study.RTReferencedSeriesSequence, frame.RTReferencedStudySequence = [referenced], [study]
    frame.FrameOfReferenceUID = series.study.frame
    one.ReferencedFrameOfReferenceSequence = [frame]
    one.StructureSetROISequence, one.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(rois.items(), start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, series.study.frame
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [f"{mm:.6f}" for mm in np.ravel(points)]
            drawn.ContourSequence.append(contour)
        one.StructureSetROISequence.append(roi)
        one.ROIContourSequence.append(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)
    return path


def seg(series: Series, path: Path, frames, *, kind: str = "BINARY", bits: int = 1, change=lambda one: None) -> Path:
    """A SEG whose `frames` are (segment, plane, pixels)."""
    one = dataset_of(series.study, SEG, "SEG", new_uid())
    one.SegmentationType, one.Rows, one.Columns = kind, *series.array.shape[1:]
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
    one.BitsAllocated, one.BitsStored, one.HighBit = bits, bits, bits - 1
    if kind == "FRACTIONAL":
        one.SegmentationFractionalType, one.MaximumFractionalValue = "PROBABILITY", 200
    referenced, shared, orientation, measures = Dataset(), Dataset(), Dataset(), Dataset()
    referenced.SeriesInstanceUID = series.uid
    one.ReferencedSeriesSequence = [referenced]
    orientation.ImageOrientationPatient, measures.PixelSpacing = list(series.orientation), list(series.spacing)
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    one.SharedFunctionalGroupsSequence, one.PerFrameFunctionalGroupsSequence, one.SegmentSequence = [shared], [], []
    for number in sorted({number for number, _, _ in frames}):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, f"Tumor {number}"
        one.SegmentSequence.append(segment)
    for number, plane, _ in frames:
        own, position, identified = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [float(mm) for mm in series.position(plane)]
        identified.ReferencedSegmentNumber = number
        own.PlanePositionSequence, own.SegmentIdentificationSequence = [position], [identified]
        one.PerFrameFunctionalGroupsSequence.append(own)
    one.NumberOfFrames = len(frames)
    pixels = np.stack([pixels for _, _, pixels in frames]).astype(np.uint8)
    packed = np.packbits(pixels.ravel(), bitorder="little") if bits == 1 else pixels.ravel()
    one.PixelData = packed.tobytes() + b"\0" * (len(packed.tobytes()) % 2)
    change(one)
    one.save_as(path, enforce_file_format=True)
    return path


def enhanced(series: Series, path: Path) -> Path:
    """The same planes as one enhanced MR file."""
    one = dataset_of(series.study, ENHANCED, "MR", series.uid)
    one.Rows, one.Columns = series.array.shape[1:]
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
    one.ImageType, one.NumberOfFrames = ["ORIGINAL", "PRIMARY", "T1", "NONE"], len(series.array)
    shared, orientation, measures, timing = Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient, measures.PixelSpacing = list(series.orientation), list(series.spacing)
    timing.RepetitionTime, timing.FlipAngle = 550.0, 90.0
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    shared.MRTimingAndRelatedParametersSequence = [timing]
    one.SharedFunctionalGroupsSequence, one.PerFrameFunctionalGroupsSequence = [shared], []
    for plane in range(len(series.array)):
        own, position, echo = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient, echo.EffectiveEchoTime = [float(mm) for mm in series.position(plane)], 12.0
        own.PlanePositionSequence, own.MREchoSequence = [position], [echo]
        one.PerFrameFunctionalGroupsSequence.append(own)
    one.PixelData = series.array.astype("<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)
    return path


def edit(path: Path, **tags: object) -> None:
    """Change elements of a file; None takes one out."""
    one = pydicom.dcmread(path)
    for keyword, value in tags.items():
        if value is None:
            delattr(one, keyword)
        else:
            setattr(one, keyword, value)
    one.save_as(path)
