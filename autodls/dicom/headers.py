"""What an import takes from a DICOM header: where each plane lies, what was measured, and which study it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.dicom.facts import Facts, read_facts
from autodls.dicom.lossy import loss_of
from autodls.dicom.reading import count, first, items, number, numbers, read_dataset, text
from autodls.limits import MAX_VOXELS

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_FRAMES = 1 << 16
_DIRECTORY = "1.2.840.10008.1.3.10"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


@dataclass(frozen=True)
class Frame:
    """One plane of an image: `index` is its place in its file.

    `orientation` holds the cosines of a row and of a column, `spacing_mm` the step from row to row and from column to
    column (DICOM C.7.6.2). `kind` is what planes of one volume have in common, `steps` what tells volumes of a series
    apart where they lie at the same places: times, echoes, acquisitions.
    """

    path: Path
    index: int
    uid: str
    rows: int
    columns: int
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    scale: tuple[float, float]
    kind: tuple[str, ...]
    steps: tuple[str, ...]
    instance: float


@dataclass(frozen=True)
class Person:
    """Who a file is of; kept for ids.csv alone, which never lies in a dataset."""

    patient_id: str
    issuer: str
    name: str
    birth_date: str


@dataclass(frozen=True)
class Instance:
    """One file: a plane, or all planes of an enhanced image, or a set of ROIs, which has none.

    `fault` says why its planes can be no volume, `loss` how its pixels were compressed with loss.
    """

    path: Path
    sop_class: str
    uid: str
    series: str
    study: str
    study_date: str
    frame_of_reference: str
    person: Person
    facts: Facts
    frames: tuple[Frame, ...]
    fault: str | None = None
    loss: str = ""


def read_instance(path: Path) -> Instance | None:
    """What the file says of itself; None for a directory of files; raises ValueError where it is no usable DICOM."""
    dataset = read_dataset(path)
    sop_class, uid, series = (text(dataset, name) for name in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"))
    meta = getattr(dataset, "file_meta", None)
    if _DIRECTORY in (sop_class, text(meta, "MediaStorageSOPClassUID") if meta is not None else ""):
        return None
    if not (sop_class and uid and series):
        raise ValueError("no DICOM object: it names no class, instance or series")
    facts = read_facts(dataset)
    has_planes = sop_class != RTSTRUCT and sop_class not in SEGMENTATIONS and count(dataset, "Rows") > 0
    frames = _frames(path, dataset, uid, facts) if has_planes else ()
    return Instance(
        path,
        sop_class,
        uid,
        series,
        text(dataset, "StudyInstanceUID") or series,
        text(dataset, "StudyDate"),
        text(dataset, "FrameOfReferenceUID"),
        _person(dataset),
        facts,
        frames,
        _fault(dataset, frames) if has_planes else None,
        loss_of(dataset) if has_planes else "",
    )


def _person(dataset: "Dataset") -> Person:
    return Person(
        text(dataset, "PatientID"),
        text(dataset, "IssuerOfPatientID"),
        text(dataset, "PatientName"),
        text(dataset, "PatientBirthDate"),
    )


def _fault(dataset: "Dataset", frames: Sequence[Frame]) -> str | None:
    """Why the pixels can be no planes of a volume, by the header; None where they may."""
    samples = count(dataset, "SamplesPerPixel") or 1
    if samples > 1:
        return f"not a volume: colour, with {samples} samples a pixel"
    if "MOSAIC" in text(dataset, "ImageType").upper():
        return "not a volume: a mosaic of planes in one image; export it as planes"
    first_frame = frames[0] if frames else None
    if first_frame is not None and first_frame.rows * first_frame.columns * len(frames) > MAX_VOXELS:
        return f"larger than {MAX_VOXELS} voxels"
    return None


def _frames(path: Path, dataset: "Dataset", uid: str, facts: Facts) -> tuple[Frame, ...]:
    if items(dataset, "PerFrameFunctionalGroupsSequence"):
        return enhanced_frames(path, dataset, facts)
    if count(dataset, "NumberOfFrames") > 1:
        return ()  # old multi-frame images: their planes do not say where they lie
    return (_frame(path, dataset, uid, (dataset, dataset), 0, facts),)


def enhanced_frames(path: Path, dataset: "Dataset", facts: Facts) -> tuple[Frame, ...]:
    """The frames of an enhanced image or a SEG, by their functional groups (DICOM C.7.6.16)."""
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = first(dataset, "SharedFunctionalGroupsSequence")
    uid = text(dataset, "SOPInstanceUID")
    return tuple(
        _frame(path, dataset, uid, (own, shared if shared is not None else own), index, facts)
        for index, own in enumerate(groups[:_MOST_FRAMES])
    )


def _frame(
    path: Path, dataset: "Dataset", uid: str, groups: tuple["Dataset", "Dataset"], index: int, facts: Facts
) -> Frame:
    def found(macro: str, keyword: str) -> tuple[float, ...]:
        """Of the frame, else what all share, else of the file: what classic images have alone."""
        for holder in groups:
            item = first(holder, macro)
            if item is not None and (values := numbers(item, keyword)):
                return values
        return numbers(dataset, keyword)

    slope = next(iter(found("PixelValueTransformationSequence", "RescaleSlope")), 1.0)
    intercept = next(iter(found("PixelValueTransformationSequence", "RescaleIntercept")), 0.0)
    echo = next(iter(found("MREchoSequence", "EffectiveEchoTime") or numbers(dataset, "EchoTime")), None)
    b_value = next(iter(found("MRDiffusionSequence", "DiffusionBValue")), None)
    kind = (
        "\\".join(_frame_type(groups) or facts.image_type),
        "" if echo is None else f"{echo:.2f}",
        "" if b_value is None else f"{b_value:g}",
        text(dataset, "ComplexImageComponent"),
        _content(groups, "StackID"),
    )
    return Frame(
        path,
        index,
        uid,
        count(dataset, "Rows"),
        count(dataset, "Columns"),
        found("PlanePositionSequence", "ImagePositionPatient"),
        found("PlaneOrientationSequence", "ImageOrientationPatient"),
        found("PixelMeasuresSequence", "PixelSpacing"),
        (slope or 1.0, intercept),
        kind,
        _steps(dataset, groups),
        number(dataset, "InstanceNumber") or 0.0,
    )


def _frame_type(groups: Sequence["Dataset"]) -> tuple[str, ...]:
    for holder in groups:
        for macro in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"):
            item = first(holder, macro)
            if item is not None and (words := text(item, "FrameType")):
                return tuple(words.upper().split("\\"))
    return ()


def _content(groups: Sequence["Dataset"], keyword: str) -> str:
    item = first(groups[0], "FrameContentSequence")
    return text(item, keyword) if item is not None else ""


_STEPS = ("TemporalPositionIdentifier", "AcquisitionNumber", "TriggerTime", "AcquisitionTime", "EchoNumbers")


def _steps(dataset: "Dataset", groups: Sequence["Dataset"]) -> tuple[str, ...]:
    return (_content(groups, "TemporalPositionIndex"), *(text(dataset, name) for name in _STEPS))
