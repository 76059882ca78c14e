"""What is common to every object that goes back: what it says, whose it is, and its identity.

Unique ids are made of the content: equal inputs give equal bytes and equal ids, so that an archive that is sent the
same result twice holds it once, and two different results never share an id.
"""

import io
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from autodls.dicom.door import IDENTIFYING, pydicom
from autodls.dicom.reading import silent
from autodls.errors import DatasetError, InputError
from autodls.records.files import sha256_of_bytes

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from autodls.dicom.study import SourceStudy

MANUFACTURER = "AutoDLS"
DEVICE = "AutoDLS research software"
RESEARCH = "Research use only; not for diagnosis"
_OURS = uuid.UUID("6d0c4c3e-1f0b-5b57-9f6f-0d2a3b6d7a51")
_GENERATED = "1.2.826.0.1.3680043.10.511.3."  # highdicom's own, at random
_PLACEHOLDER = "2.25.0"
_FIRST_SERIES = 9000  # above those that scanners number


@dataclass(frozen=True)
class Result:
    """What was found of a case, and by what: the row of scores.csv that a person would be told of."""

    target: str
    dls: float
    cutoff: float
    call: Literal["high", "low"]
    spread: float | None
    roi_kind: Literal["manual", "auto"]
    model: str
    model_sha256: str
    version: str
    sequences: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def roi_words(self) -> str:
        """Who drew the ROI."""
        return "drawn automatically" if self.roi_kind == "auto" else "given with the images"


def uid_of(*parts: str) -> str:
    """The same unique id for the same `parts`: a UUID by name below 2.25, as PS3.5 B.2 has it.

    >>> uid_of("a") == uid_of("a"), uid_of("a") == uid_of("b"), uid_of("a").startswith("2.25.")
    (True, False, True)
    """
    return f"2.25.{uuid.uuid5(_OURS, sha256_of_bytes(chr(0).join(parts).encode())).int}"


def short_text(text: str) -> str:
    r"""`text` as a header holds it: 64 characters of one line, and no backslash, which would begin a second value.

    >>> short_text("a\\b  c")
    'a/b c'
    """
    return " ".join(text.replace("\\", "/").split())[:64].rstrip()


def series_number(kind: Literal["seg", "sr", "pdf", "heatmap"]) -> int:
    """The number under which a result stands among the series of its study."""
    return _FIRST_SERIES + ("seg", "sr", "pdf", "heatmap").index(kind) + 1


def sealed(build: Callable[[str], "Dataset"], source: "Dataset", series: str | None = None) -> "Dataset":
    """What `build` makes, given a unique id for both series and instance, with ids and dates of its own.

    Ids that were drawn at random are replaced. Dates are those of the images `source`: the moment of making would make
    two of one result; a series is named by `series`, or by its only object. Raises DatasetError where a header of the
    study does not allow it.
    """
    try:
        with silent():
            dataset = build(_PLACEHOLDER)
            _date(dataset, source)
            _name_generated(dataset)
            to_bytes(dataset)
    except InputError:
        raise
    except Exception as failure:  # highdicom refuses what a header must not say, each thing in a way of its own
        raise DatasetError(
            f"no DICOM can be made for a study with such headers ({type(failure).__name__}); correct the study"
        ) from None
    digest = sha256_of_bytes(to_bytes(dataset))
    dataset.SOPInstanceUID = uid_of(digest, "instance")
    dataset.SeriesInstanceUID = uid_of(digest, "series") if series is None else series
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def to_bytes(dataset: "Dataset") -> bytes:
    """The file that `dataset` is."""
    buffer = io.BytesIO()
    pydicom().dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _date(dataset: "Dataset", source: "Dataset") -> None:
    for word in ("InstanceCreationDate", "InstanceCreationTime"):
        if word in dataset:
            delattr(dataset, word)
    for equipment in dataset.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in equipment:
            del equipment.ContributionDateTime
    date = str(source.get("SeriesDate") or source.get("StudyDate") or "")
    time = str(source.get("SeriesTime") or source.get("StudyTime") or "") if date else ""
    dataset.ContentDate, dataset.ContentTime = date or "19000101", time or "000000"
    for word, value in (("SeriesDate", date), ("SeriesTime", time)):
        if value:
            setattr(dataset, word, value)
        elif word in dataset:
            delattr(dataset, word)


def _name_generated(dataset: "Dataset") -> None:
    """Replace ids that the library drew at random by their number in the order of the file."""
    named: dict[str, str] = {}
    whose = str(dataset.StudyInstanceUID)
    for element in dataset.iterall():
        if element.VR == "UI" and isinstance(element.value, str) and element.value.startswith(_GENERATED):
            element.value = named.setdefault(element.value, uid_of(whose, "generated", str(len(named))))


def shell(uid: str, sop_class: str, modality: str, study: "SourceStudy", result: "Result") -> "Dataset":
    """What a series of one more object in `study` begins with: the patient, the study, series and equipment."""
    library, source = pydicom(), study.reference.datasets[0]
    made = library.dataset.Dataset()
    made.file_meta = library.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = library.uid.ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = sop_class, uid
    for word in (*IDENTIFYING, "StudyInstanceUID", "SpecificCharacterSet"):
        if word in source:
            made[word] = source[word]
    made.ReferringPhysicianName = ""
    made.SOPClassUID, made.SOPInstanceUID, made.SeriesInstanceUID = sop_class, uid, uid
    made.Modality, made.ConversionType = modality, "WSD"
    made.Manufacturer, made.ManufacturerModelName = MANUFACTURER, DEVICE
    made.SoftwareVersions, made.DeviceSerialNumber = result.version, result.model_sha256[:16]
    made.SecondaryCaptureDeviceManufacturer, made.SecondaryCaptureDeviceManufacturerModelName = MANUFACTURER, DEVICE
    return made  # type: ignore[no-any-return]


def sources_of(study: "SourceStudy") -> "list[Dataset]":
    """A reference to each slice of every series that was used."""
    references = []
    for slice_of in (slice_of for series in study.series.values() for slice_of in series.datasets):
        one = pydicom().dataset.Dataset()
        one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = slice_of.SOPClassUID, slice_of.SOPInstanceUID
        references.append(one)
    return references
