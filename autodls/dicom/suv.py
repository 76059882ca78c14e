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

_MOST_HOURS, _MOST_FACTOR = 24.0, 1e6
_SUV_OF_COUNTS, _ACTIVITY_OF_COUNTS = (0x7053, 0x1000), (0x7053, 0x1009)  # of Philips
_GE, _SCAN_START = "GEMS_PETD_01", (0x0009, 0x0D)
_ROUNDED_S = 1.0  # some scanners write the time of the series in whole seconds


def suv_factor(dataset: "Dataset") -> float:
    """By what rescaled values are multiplied to be g/ml; raises UnfitError where the header does not say."""
    units = code(dataset, "Units")
    if units == "GML":
        kind = code(dataset, "SUVType")
        if kind not in ("", "BW"):
            raise UnfitError(f"PET in SUV by '{kind}', expected body weight (BW)")
        return 1.0
    if units not in ("CNTS", "BQML"):
        raise UnfitError(f"PET in units '{units}', expected BQML, GML or CNTS")
    if not {"ATTN", "DECY"} <= set(text(dataset, "CorrectedImage").upper().split("\\")):
        raise UnfitError("PET that is not corrected for attenuation and decay")
    if units == "BQML":
        return _of_activity(dataset)
    if (factor := _private(dataset, _SUV_OF_COUNTS)) is not None:
        return factor
    if (activity := _private(dataset, _ACTIVITY_OF_COUNTS)) is not None:
        return activity * _of_activity(dataset)
    raise UnfitError("PET in counts without the scanner's factor of SUV, or of activity")


def _of_activity(dataset: "Dataset") -> float:
    weight_kg = _positive(dataset, "PatientWeight", "body weight")
    return 1000.0 * weight_kg / _dose_bq(dataset)


def _positive(dataset: "Dataset", keyword: str, what: str) -> float:
    found = number(dataset, keyword)
    if found is None or found <= 0:
        raise UnfitError(f"PET without {what} in its header: no SUV can be computed")
    return found


def _private(dataset: "Dataset", tag: tuple[int, int]) -> float | None:
    """A factor of the scanner's own; None where there is none: 0 stands for that too."""
    try:
        factor = float(str(dataset[tag].value))
    except (KeyError, ValueError, TypeError):
        return None
    return factor if 0 < factor < _MOST_FACTOR else None


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
    start = _scan_start(dataset)
    injection, is_dated = _injection(injected, start)
    waited_s = (start - injection).total_seconds()
    if waited_s < 0 and is_dated:
        raise UnfitError("PET whose injection is later than its scan by its header")
    if waited_s < 0:
        waited_s += 86_400  # injected before midnight, with no date
    if waited_s > 3600 * _MOST_HOURS:
        raise UnfitError("PET whose injection and scan lie more than a day apart by its header")
    return float(dose * 2.0 ** (-waited_s / half_life_s))


def _scan_start(dataset: "Dataset") -> datetime:
    """Start of the series; where a reconstruction has changed that, it is later than the acquisition.

    Then GE's own element says when the scan began.
    """
    series = _moment(text(dataset, "SeriesDate"), text(dataset, "SeriesTime"))
    acquired = _moment(text(dataset, "AcquisitionDate"), text(dataset, "AcquisitionTime"))
    if series is None or acquired is None:
        raise UnfitError("PET without the times of series and acquisition: no SUV can be computed")
    if (series - acquired).total_seconds() > _ROUNDED_S:
        if (told := _ge_start(dataset)) is not None:
            return told
        raise UnfitError("PET whose series time is later than its acquisition: a post-processed series, without SUV")
    return series


def _ge_start(dataset: "Dataset") -> datetime | None:
    group, element = _SCAN_START
    try:
        stamp = str(dataset.private_block(group, _GE)[element].value).strip()
    except (KeyError, TypeError, ValueError):
        return None
    return _moment(stamp[:8], stamp[8:])


def _injection(injected: "Dataset", start: datetime) -> tuple[datetime, bool]:
    """When the dose was given, and whether the day is known, or taken for that of the scan."""
    stamp = text(injected, "RadiopharmaceuticalStartDateTime")
    if stamp and (moment := _moment(stamp[:8], stamp[8:])) is not None:
        return moment, True
    moment = _moment(f"{start:%Y%m%d}", text(injected, "RadiopharmaceuticalStartTime"))
    if moment is None:
        raise UnfitError("PET without the time of injection: no SUV can be computed")
    return moment, False


def _moment(day: str, clock: str) -> datetime | None:
    """A date and a time of DICOM, HHMMSS.FFFFFF; an offset from UTC is left out, as all of a file have the same."""
    digits, _, rest = clock.partition(".")
    fraction = rest[: len(rest) - len(rest.lstrip("0123456789"))][:6]
    try:
        return datetime.strptime(f"{day} {digits[:6]}.{fraction or '0'}", "%Y%m%d %H%M%S.%f")
    except ValueError:
        return None
