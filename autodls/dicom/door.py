"""pydicom and highdicom, where they are installed, and what of a header results need: nothing else is taken along."""

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autodls.errors import ArgumentError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_DATE, _TIME = r"[12]\d{3}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"
_FORMS = {
    "PatientBirthDate": _DATE,
    "StudyDate": _DATE,
    "SeriesDate": _DATE,
    "StudyTime": _TIME,
    "SeriesTime": _TIME,
    "PatientSex": "[MFO]",
}
_EMPTY_IF_ABSENT = (  # type 2 of the standard: there, and empty where not known
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "PositionReferenceIndicator",
)
_AS_IT_IS = (
    "IssuerOfPatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesDate",
    "SeriesTime",
    "SOPClassUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceThickness",
)
IDENTIFYING = (*_EMPTY_IF_ABSENT[:8], "IssuerOfPatientID")


def pydicom() -> Any:
    """The library; raises ArgumentError where it is not installed."""
    return _module("pydicom")


def highdicom(part: str = "") -> Any:
    """The library, or a `part` of it; raises ArgumentError where it is not installed."""
    return _module(f"highdicom.{part}" if part else "highdicom")


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ArgumentError("DICOM needs pydicom and highdicom: pip install 'autodls[dicom]'") from None


def same_needed(dataset: "Dataset") -> "Dataset":
    """A copy of `dataset` with what places a result in its study, its archive and its space; no other element.

    An archive files by the patient's id, name, birth date and sex and by the study; referrer, address, descriptions,
    other ids and everything private stay behind. A date, time or sex that is no such thing is left empty.
    """
    kept = pydicom().dataset.Dataset()
    for word in _EMPTY_IF_ABSENT:
        value = dataset.get(word)
        setattr(kept, word, "" if value is None else str(value))
    for word in _AS_IT_IS:
        if dataset.get(word) not in (None, ""):
            setattr(kept, word, dataset.get(word))
    for word, pattern in _FORMS.items():
        if word in kept and not re.fullmatch(pattern, str(kept.get(word))):
            setattr(kept, word, "")
    kept.SpecificCharacterSet = "ISO_IR 192"
    return kept
