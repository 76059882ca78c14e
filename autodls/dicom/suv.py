"""Standardized uptake value by body weight, from the header of a PET file.

Source: QIBA, SUV vendor-neutral pseudo-code ("happy path" of 2012-11-20): the dose is decayed to the time that the
images are corrected to. What that needs and the header lacks is refused: no value is guessed.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from autodls.dicom.reading import code, first, number, text
from autodls.dicom.stacks import UnfitError

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_HOURS = 24.0
_PHILIPS = (0x7053, 0x1000)


def suv_factor(dataset: "Dataset") -> float:
    """By what rescaled values are multiplied to be g/ml; raises UnfitError where the header does not say."""
    units = code(dataset, "Units")
    if units == "GML":
        kind = code(dataset, "SUVType")
        if kind not in ("", "BW"):
            raise UnfitError(f"PET in SUV by '{kind}', expected body weight (BW)")
        return 1.0
    if units == "CNTS":
        return _philips_factor(dataset)
    if units != "BQML":
        raise UnfitError(f"PET in units '{units}', expected BQML, GML or CNTS")
    corrected = set(text(dataset, "CorrectedImage").upper().split("\\"))
    if not {"ATTN", "DECY"} <= corrected:
        raise UnfitError("PET that is not corrected for attenuation and decay")
    weight_kg = _positive(dataset, "PatientWeight", "body weight")
    return 1000.0 * weight_kg / _dose_bq(dataset)


def _positive(dataset: "Dataset", keyword: str, what: str) -> float:
    found = number(dataset, keyword)
    if found is None or found <= 0:
        raise UnfitError(f"PET without {what} in its header: no SUV can be computed")
    return found


def _philips_factor(dataset: "Dataset") -> float:
    try:
        factor = float(str(dataset[_PHILIPS].value))
    except (KeyError, ValueError, TypeError):
        factor = 0.0
    if not 0 < factor < 1e6:
        raise UnfitError("PET in counts without the scanner's factor of SUV")
    return factor


def _dose_bq(dataset: "Dataset") -> float:
    """The injected dose, decayed to the time that the images are corrected to."""
    injected = first(dataset, "RadiopharmaceuticalInformationSequence")
    if injected is None:
        raise UnfitError("PET without the radiopharmaceutical in its header: no SUV can be computed")
    dose = _positive(injected, "RadionuclideTotalDose", "injected dose")
    correction = code(dataset, "DecayCorrection")
    if correction == "ADMIN":
        return dose
    if correction != "START":
        raise UnfitError(f"PET with decay correction '{correction}', expected START or ADMIN")
    half_life_s = _positive(injected, "RadionuclideHalfLife", "half-life")
    waited_s = (_scan_start(dataset) - _injection(injected, dataset)).total_seconds()
    if waited_s < 0:
        waited_s += 86_400  # injected before midnight, with no date
    if waited_s > 3600 * _MOST_HOURS:
        raise UnfitError("PET whose injection and scan lie more than a day apart by its header")
    return float(dose * 2.0 ** (-waited_s / half_life_s))


def _scan_start(dataset: "Dataset") -> datetime:
    """Start of the series; where a reconstruction has changed that, the first acquisition is earlier than it."""
    series = _moment(text(dataset, "SeriesDate"), text(dataset, "SeriesTime"))
    acquired = _moment(text(dataset, "AcquisitionDate"), text(dataset, "AcquisitionTime"))
    if series is None or acquired is None:
        raise UnfitError("PET without the times of series and acquisition: no SUV can be computed")
    if series > acquired:
        raise UnfitError("PET whose series time is later than its acquisition: a post-processed series, without SUV")
    return series


def _injection(injected: "Dataset", dataset: "Dataset") -> datetime:
    stamp = text(injected, "RadiopharmaceuticalStartDateTime")
    moment = _moment(stamp[:8], stamp[8:]) if stamp else None
    moment = moment or _moment(text(dataset, "SeriesDate"), text(injected, "RadiopharmaceuticalStartTime"))
    if moment is None:
        raise UnfitError("PET without the time of injection: no SUV can be computed")
    return moment


def _moment(day: str, clock: str) -> datetime | None:
    try:
        return datetime.strptime(f"{day} {clock[:6]}", "%Y%m%d %H%M%S")
    except ValueError:
        return None
