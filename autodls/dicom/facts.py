"""What a DICOM header says was measured, and how: what the role of a series is proposed from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autodls.dicom.reading import code, count, first, number, numbers, text

if TYPE_CHECKING:
    from pydicom import Dataset

_GAUSS = 100.0  # no scanner has so many tesla: old GE headers give gauss


@dataclass(frozen=True)
class Facts:
    """What was measured, and how: what a role is proposed from. Nothing here but numbers and the words of a scanner."""

    modality: str = ""
    description: str = ""
    protocol: str = ""
    sequence_name: str = ""
    scanning: tuple[str, ...] = ()
    variant: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    image_type: tuple[str, ...] = ()
    dimensions: str = ""
    tr_ms: float | None = None
    te_ms: float | None = None
    ti_ms: float | None = None
    flip_deg: float | None = None
    echo_train: float | None = None
    b_value: float | None = None
    field_tesla: float | None = None
    manufacturer: str = ""
    model: str = ""
    agent: str = ""
    agent_start_s: float | None = None
    acquired_s: float | None = None
    series_number: int = 0
    kernel: str = ""
    corrections: tuple[str, ...] = ()
    units: str = ""


def _words(dataset: "Dataset", keyword: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text(dataset, keyword).upper().split("\\") if word.strip())


def read_facts(dataset: "Dataset") -> Facts:
    """The facts of a header, of an enhanced image by its first frame."""
    field_tesla = number(dataset, "MagneticFieldStrength")
    if field_tesla is not None and field_tesla > _GAUSS:
        field_tesla /= 10_000
    return Facts(
        modality=code(dataset, "Modality"),
        description=text(dataset, "SeriesDescription"),
        protocol=text(dataset, "ProtocolName"),
        sequence_name=text(dataset, "SequenceName") or text(dataset, "PulseSequenceName"),
        scanning=_words(dataset, "ScanningSequence") or _enhanced_scanning(dataset),
        variant=_words(dataset, "SequenceVariant"),
        options=_words(dataset, "ScanOptions") or _enhanced_options(dataset),
        image_type=_words(dataset, "ImageType"),
        dimensions=code(dataset, "MRAcquisitionType"),
        tr_ms=_timing(dataset, "MRTimingAndRelatedParametersSequence", "RepetitionTime"),
        te_ms=_timing(dataset, "MREchoSequence", "EffectiveEchoTime", "EchoTime"),
        ti_ms=_inversion(dataset),
        flip_deg=_timing(dataset, "MRTimingAndRelatedParametersSequence", "FlipAngle"),
        echo_train=_timing(dataset, "MRTimingAndRelatedParametersSequence", "EchoTrainLength"),
        b_value=_timing(dataset, "MRDiffusionSequence", "DiffusionBValue"),
        field_tesla=field_tesla,
        manufacturer=text(dataset, "Manufacturer"),
        model=text(dataset, "ManufacturerModelName"),
        agent=text(dataset, "ContrastBolusAgent"),
        agent_start_s=_seconds(text(dataset, "ContrastBolusStartTime")),
        acquired_s=_seconds(text(dataset, "AcquisitionTime") or text(dataset, "AcquisitionDateTime")[8:]),
        series_number=count(dataset, "SeriesNumber"),
        kernel=text(dataset, "ConvolutionKernel"),
        corrections=_words(dataset, "CorrectedImage"),
        units=code(dataset, "Units"),
    )


def _holders(dataset: "Dataset", macro: str) -> list["Dataset"]:
    """Where an enhanced image has a macro: with its first frame, or with what all share."""
    paths = (("PerFrameFunctionalGroupsSequence", macro), ("SharedFunctionalGroupsSequence", macro))
    return [item for path in paths if (item := first(dataset, *path)) is not None]


def _timing(dataset: "Dataset", macro: str, keyword: str, classic: str | None = None) -> float | None:
    found = number(dataset, classic or keyword)
    if found is not None:
        return found
    return next((value for item in _holders(dataset, macro) if (value := number(item, keyword)) is not None), None)


def _inversion(dataset: "Dataset") -> float | None:
    found = number(dataset, "InversionTime")
    if found is None:
        values = [numbers(item, "InversionTimes") for item in _holders(dataset, "MRModifierSequence")]
        found = next((value[0] for value in values if value), None)
    return found or None  # 0 where nothing was inverted


def _enhanced_scanning(dataset: "Dataset") -> tuple[str, ...]:
    echo = text(dataset, "EchoPulseSequence").upper()
    planar = ("EP",) if text(dataset, "EchoPlanarPulseSequence").upper() == "YES" else ()
    return (*(word for word, name in (("SE", "SPIN"), ("GR", "GRADIENT")) if name in echo or echo == "BOTH"), *planar)


def _enhanced_options(dataset: "Dataset") -> tuple[str, ...]:
    words = [text(item, "SpectrallySelectedSuppression").upper() for item in _holders(dataset, "MRModifierSequence")]
    return ("FS",) if any("FAT" in word for word in words) else ()


def _seconds(clock: str) -> float | None:
    """Seconds since midnight of a DICOM time, HHMMSS.FFFFFF.

    >>> _seconds("101530.5"), _seconds("")
    (36930.5, None)
    """
    plain = clock.replace(":", "")
    digits = plain.partition(".")[0]
    if not (digits.isascii() and digits.isdecimal() and len(digits) >= 4):
        return None
    try:
        seconds = float(plain[4:] or 0)
    except ValueError:
        return None
    return 3600.0 * int(plain[:2]) + 60.0 * int(plain[2:4]) + seconds
