"""pydicom's door: one file read without its warnings, which may hold what names a person, and one element at a time.

Whatever a damaged header raises, an element that cannot be read is one that is not there. All of this, and what uses
the data sets, runs within `silent`.
"""

import contextlib
import logging
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodls.errors import ArgumentError
from autodls.limits import MOST_FILE_BYTES

if TYPE_CHECKING:
    from pydicom import Dataset

_PREAMBLE_BYTES, _MAGIC = 128, b"DICM"
_BARE_GROUPS = (b"\x02\x00", b"\x08\x00")  # how files of old exports begin, which have no preamble
_MOST_BARE_ELEMENT = 0x0018  # of group 8: files that begin with another element are none of DICOM's
_MOST_HEADER_BYTES = 1 << 28  # of a header without its pixels: an enhanced one of 10,000 frames has 40 MiB
_DEFLATED, _META_BYTES = b"1.2.840.10008.1.2.1.99", 2048
_MOST_TEXT_SIGNS = 1024
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}", re.ASCII)


def require_pydicom() -> None:
    """Raise ArgumentError where the extra is not installed."""
    try:
        import highdicom
        import pydicom
    except ImportError:
        raise ArgumentError(
            "DICOM needs pydicom and highdicom, which are not installed; pip install 'autodls[dicom]'"
        ) from None
    del highdicom, pydicom


def looks_like_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM does, with its preamble or, as old exports do, without; raises OSError."""
    with path.open("rb") as handle:
        head = handle.read(_PREAMBLE_BYTES + len(_MAGIC))
    if head[_PREAMBLE_BYTES:] == _MAGIC:
        return True
    element = int.from_bytes(head[2:4], "little")
    return len(head) > _PREAMBLE_BYTES and head[:2] in _BARE_GROUPS and element <= _MOST_BARE_ELEMENT


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep what pydicom and its decoders would print: values of a header, which may name a person."""
    from pydicom import config

    logger = logging.getLogger("pydicom")
    before, mode = logger.disabled, config.settings.reading_validation_mode
    logger.disabled = True
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled, config.settings.reading_validation_mode = before, mode


def read_dataset(path: Path, *, pixels: bool = False) -> "Dataset":
    """The DICOM file `path`, its pixels left out unless asked for; raises ValueError for one that cannot be read."""
    import pydicom

    size = path.stat().st_size
    if size > MOST_FILE_BYTES:
        raise ValueError(f"larger than {MOST_FILE_BYTES >> 30} GiB")
    with path.open("rb") as handle:
        if _DEFLATED in handle.read(_META_BYTES):  # pydicom unpacks all of it, however much that is
            raise ValueError("deflated as a whole; export it uncompressed")
    try:
        return pydicom.dcmread(path, stop_before_pixels=not pixels, force=True, defer_size=_defer(size))
    except MemoryError:
        raise
    except Exception as failure:  # its reader fails in as many ways as a file can be damaged
        raise ValueError(f"damaged header ({type(failure).__name__})") from None


def _defer(size: int) -> int | None:
    return _MOST_HEADER_BYTES if size > _MOST_HEADER_BYTES else None


def element(dataset: "Dataset", keyword: str) -> Any:
    """The value of an element; None where it is not there, empty, or cannot be read."""
    try:
        value = dataset[keyword].value if keyword in dataset else None
    except MemoryError:
        raise
    except Exception:  # a value that its type does not allow
        return None
    return None if value in ("", None) else value


def text(dataset: "Dataset", keyword: str) -> str:
    r"""The value as text, several with a backslash between, as DICOM writes them; "" where there is none."""
    value = element(dataset, keyword)
    parts = value if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else [value]
    try:
        found = "\\".join(str(part).strip() for part in parts if part is not None)
    except Exception:  # a person's name in a character set that is none
        return ""
    return found[:_MOST_TEXT_SIGNS].replace("\0", "").strip()


def code(dataset: "Dataset", keyword: str) -> str:
    """A code of the standard, in capitals; "" for what is none, so that lines which show codes show no free text."""
    found = text(dataset, keyword).upper()
    return found if _CODE.fullmatch(found) else ""


def numbers(dataset: "Dataset", keyword: str) -> tuple[float, ...]:
    """The finite numbers of an element; none where one of them is no number."""
    found = []
    for part in text(dataset, keyword).split("\\"):
        try:
            number = float(part)
        except ValueError:
            return ()
        if not math.isfinite(number):
            return ()
        found.append(number)
    return tuple(found)


def number(dataset: "Dataset", keyword: str) -> float | None:
    """The first finite number of an element; None where there is none."""
    return next(iter(numbers(dataset, keyword)), None)


def count(dataset: "Dataset", keyword: str) -> int:
    """A whole number from 0; 0 where there is none."""
    found = number(dataset, keyword)
    return int(found) if found is not None and 0 <= found < 1 << 31 else 0


def items(dataset: "Dataset", keyword: str) -> list["Dataset"]:
    """The items of a sequence; none where it is not there, or is no sequence."""
    value = element(dataset, keyword)
    if type(value).__name__ != "Sequence":
        return []
    return list(value)


def first(dataset: "Dataset", *keywords: str) -> "Dataset | None":
    """The first item of a sequence, of the first item of the next in it, and so on; None where one is missing."""
    found: Dataset | None = dataset
    for keyword in keywords:
        found = next(iter(items(found, keyword)), None) if found is not None else None
    return found
