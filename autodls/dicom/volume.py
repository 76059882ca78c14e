"""The voxels of a stack: stored values, rescaled as the header says (Hounsfield units for CT, SUV for PET).

Compressed pixels are decoded in a process of their own, with a limit of memory and of time: decoders in C end a process
on a damaged stream, or print what it holds.
"""

import math
import os
import resource
from collections.abc import Sequence
from concurrent.futures import TimeoutError as LateError
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autodls.dicom.headers import Frame
from autodls.dicom.reading import count, element, read_dataset, silent, text
from autodls.dicom.stacks import Stack, UnfitError
from autodls.dicom.suv import suv_factor
from autodls.errors import AutoDLSError
from autodls.imaging.geometry import Volume
from autodls.parallel import worker_processes

if TYPE_CHECKING:
    from pydicom import Dataset

_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "")
_DECODER_BYTES = 1 << 33
_DECODER_SECONDS, _FRAME_SECONDS = 120, 2
_STDERR = 2


def read_stack(stack: Stack, modality: str) -> Volume:
    """The volume [z, y, x]; integers stay integers where the header scales them by 1.

    Raises UnfitError where pixels are damaged, or where a PET cannot be put into SUV.
    """
    if stack.geometry is None:
        raise UnfitError(stack.refused)
    planes, scales, factor = decoded(stack.frames, modality)
    return Volume(_scaled(planes, scales, factor), stack.geometry)


def decoded(frames: Sequence[Frame], modality: str) -> tuple[NDArray[Any], list[tuple[float, float]], float]:
    """Stored values [plane, row, column] of `frames`, slope and intercept of each, and the factor of SUV."""
    with silent():
        packed = any(_is_packed(path) for path in {frame.path for frame in frames})
    return _decoded_apart(frames, modality) if packed else _decode(frames, modality)


def _is_packed(path: Path) -> bool:
    try:
        dataset = read_dataset(path)
    except ValueError as failure:
        raise UnfitError(str(failure)) from None
    return _syntax(dataset) not in _NATIVE


def _syntax(dataset: "Dataset") -> str:
    meta = getattr(dataset, "file_meta", None)
    return text(meta, "TransferSyntaxUID") if meta is not None else ""


def _decoded_apart(frames: Sequence[Frame], modality: str) -> tuple[NDArray[Any], list[tuple[float, float]], float]:
    try:
        with worker_processes(1) as pool:
            work = pool.submit(_decode_limited, tuple(frames), modality)
            return work.result(timeout=_DECODER_SECONDS + _FRAME_SECONDS * len(frames))
    except LateError:
        raise UnfitError("its compressed pixels are not decoded in reasonable time; export it uncompressed") from None
    except MemoryError:
        raise UnfitError("its compressed pixels take more memory than an image may") from None
    except AutoDLSError:
        raise UnfitError("its compressed pixels end the decoder; export it uncompressed") from None


def _decode_limited(frames: tuple[Frame, ...], modality: str) -> tuple[NDArray[Any], list[tuple[float, float]], float]:
    """Work of the process of its own."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDERR)
    os.dup2(nowhere, 1)
    resource.setrlimit(resource.RLIMIT_AS, (_DECODER_BYTES, _DECODER_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return _decode(frames, modality)


def _decode(frames: Sequence[Frame], modality: str) -> tuple[NDArray[Any], list[tuple[float, float]], float]:
    planes: list[NDArray[Any]] = []
    factors = set()
    with silent():
        for path, group in groupby(frames, key=lambda frame: frame.path):
            try:
                dataset = read_dataset(path, pixels=True)
            except ValueError as failure:
                raise UnfitError(str(failure)) from None
            planes += [_plane(dataset, frame) for frame in group]
            factors.add(suv_factor(dataset) if modality == "PT" else 1.0)
    if max(factors) > min(factors) * (1 + 1e-6):
        raise UnfitError("PET whose planes have different factors of SUV")
    kind = np.result_type(*{plane.dtype for plane in planes})
    return np.stack(planes).astype(kind, copy=False), [frame.scale for frame in frames], min(factors)


def _plane(dataset: "Dataset", frame: Frame) -> NDArray[Any]:
    _require_pixels(dataset, frame)
    from pydicom.pixels import pixel_array

    try:
        found: NDArray[Any] = pixel_array(dataset, index=frame.index, raw=True)
    except MemoryError:
        raise
    except Exception as failure:  # decoders fail in as many ways as a stream can be damaged
        raise UnfitError(f"its pixels cannot be decoded ({type(failure).__name__})") from None
    if found.shape != (frame.rows, frame.columns):
        raise UnfitError(f"its pixels are {found.shape}, its header promises {(frame.rows, frame.columns)}")
    return found


def _require_pixels(dataset: "Dataset", frame: Frame) -> None:
    pixels = element(dataset, "PixelData")
    if not isinstance(pixels, bytes):
        raise UnfitError("not an image: it has no pixels, or pixels of no whole numbers")
    if _syntax(dataset) in _NATIVE:
        total = frame.rows * frame.columns * max(1, count(dataset, "NumberOfFrames"))
        needed = math.ceil(total * count(dataset, "BitsAllocated") / 8)
        if needed > len(pixels):
            raise UnfitError(f"truncated: {len(pixels)} bytes of pixels, its header promises {needed}")


def _scaled(planes: NDArray[Any], scales: Sequence[tuple[float, float]], factor: float) -> NDArray[Any]:
    """Stored values times slope plus intercept, plane by plane; whole numbers in the smallest type that holds them."""
    slopes, intercepts = (np.array(values, dtype=np.float64) for values in zip(*scales, strict=True))
    whole = factor == 1.0 and (slopes == 1.0).all() and (intercepts == np.rint(intercepts)).all()
    if whole and np.abs(intercepts).max() < 1 << 30 and np.issubdtype(planes.dtype, np.integer):
        shifted = planes.astype(np.int64) + intercepts.astype(np.int64)[:, None, None]
        return shifted.astype(_smallest(int(shifted.min()), int(shifted.max())))
    values = np.empty(planes.shape, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for at, plane in enumerate(planes):
            values[at] = (plane.astype(np.float64) * slopes[at] + intercepts[at]) * factor
    if not np.isfinite(values).all():
        raise UnfitError("values that are not finite, as its header scales them")
    return values


def _smallest(low: int, high: int) -> type[np.integer[Any]]:
    for kind in (np.int16, np.uint16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return kind
    raise UnfitError(f"values from {low} to {high}, more than 32 bits")
