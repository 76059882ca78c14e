"""ROIs that a folder holds, by name: those of RTSTRUCT and the segments of SEG, each with the series it is drawn on."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.dicom.headers import RTSTRUCT, Instance
from autodls.dicom.reading import code, count, first, items, number, read_dataset, silent, text

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_ROIS = 1000
TUMOUR_WORDS = ("tumor", "tumour", "gtv", "lesion", "cancer", "neoplasm", "mass")


@dataclass(frozen=True)
class DrawnRoi:
    """One ROI of a file: `number` names it there, `series` and `images` what the file says that it is drawn on."""

    path: Path
    kind: str
    uid: str
    number: int
    name: str
    study: str
    frame_of_reference: str
    series: tuple[str, ...]
    images: frozenset[str]
    doubt: str = ""


def list_rois(instances: Sequence[Instance]) -> tuple[list[DrawnRoi], dict[Path, str]]:
    """The ROIs of RTSTRUCT and SEG files in the order of their numbers, and why a file has none, by its path."""
    found: list[DrawnRoi] = []
    faults: dict[Path, str] = {}
    with silent():
        for instance in instances:
            try:
                dataset = read_dataset(instance.path)
            except ValueError as failure:
                faults[instance.path] = str(failure)
                continue
            listed = _structures(instance, dataset) if instance.sop_class == RTSTRUCT else _segments(instance, dataset)
            if not listed:
                faults[instance.path] = "holds no ROI that can be named"
            found += listed[:_MOST_ROIS]
    return found, faults


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of `patterns` (`*` and `?` as in file names), whatever the case of its letters.

    >>> matches("GTV_Mass", ["gtv*"]), matches("Brain", ["gtv*"])
    (True, False)
    """
    return any(fnmatchcase(name.casefold(), pattern.casefold()) for pattern in patterns)


def _structures(instance: Instance, dataset: "Dataset") -> list[DrawnRoi]:
    contours = {count(one, "ReferencedROINumber"): one for one in items(dataset, "ROIContourSequence")}
    series = _structure_series(dataset)
    found = []
    for roi in items(dataset, "StructureSetROISequence"):
        at = count(roi, "ROINumber")
        drawn = items(contours[at], "ContourSequence") if at in contours else []
        if not drawn:
            continue
        images = {
            text(image, "ReferencedSOPInstanceUID") for one in drawn for image in items(one, "ContourImageSequence")
        }
        frame = text(roi, "ReferencedFrameOfReferenceUID") or instance.frame_of_reference
        name = text(roi, "ROIName") or f"ROI {at}"
        found.append(_roi(instance, "RTSTRUCT", at, name, frame, series, frozenset(images - {""})))
    return found


def _structure_series(dataset: "Dataset") -> tuple[str, ...]:
    found = [
        text(series, "SeriesInstanceUID")
        for frame in items(dataset, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
    ]
    return tuple(dict.fromkeys(uid for uid in found if uid))


def _segments(instance: Instance, dataset: "Dataset") -> list[DrawnRoi]:
    series = tuple(dict.fromkeys(text(one, "SeriesInstanceUID") for one in items(dataset, "ReferencedSeriesSequence")))
    fractional = code(dataset, "SegmentationType") == "FRACTIONAL"
    kind = code(dataset, "SegmentationFractionalType").lower() or "of what, it does not say"
    doubt = f"fractional ({kind}): what is at least half counts as tumour" if fractional else ""
    images = _source_images(dataset)
    found = []
    for segment in items(dataset, "SegmentSequence"):
        at = number(segment, "SegmentNumber")
        name = text(segment, "SegmentLabel") or f"segment {at}"
        if at is None or (at == 0 and name.casefold() == "background"):
            continue
        found.append(_roi(instance, "SEG", int(at), name, instance.frame_of_reference, series, images, doubt))
    return found


def _source_images(dataset: "Dataset") -> frozenset[str]:
    found = set()
    for frame in items(dataset, "PerFrameFunctionalGroupsSequence"):
        source = first(frame, "DerivationImageSequence", "SourceImageSequence")
        if source is not None:
            found.add(text(source, "ReferencedSOPInstanceUID"))
    return frozenset(found - {""})


def _roi(
    instance: Instance,
    kind: str,
    at: int,
    name: str,
    frame: str,
    series: tuple[str, ...],
    images: frozenset[str],
    doubt: str = "",
) -> DrawnRoi:
    return DrawnRoi(instance.path, kind, instance.uid, at, name, instance.study, frame, series, images, doubt)
