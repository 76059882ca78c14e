"""Voxels of a NIfTI file, read once, and the faults that SimpleITK does not report.

SimpleITK reads a stream that ends early as zeros, NaN and infinity as 0, and a voxel spacing of zero as 1 mm, all
without a word. It says where the voxels lie; what they hold is read here, in the type of the file.
"""

import contextlib
import gzip
import math
import struct
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from autodls.errors import DatasetError

_gzip: Any = gzip
_DAMAGED: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
with contextlib.suppress(ImportError):  # half of a case's time is unpacking, and isal takes half of zlib's
    _gzip = import_module("isal.igzip")
    _DAMAGED = (*_DAMAGED, import_module("isal.isal_zlib").error)

_CHUNK_BYTES = 1 << 18  # stays in the cache
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}

# Offsets in a header of NIfTI-1; SimpleITK refuses NIfTI-2 itself.
_HEADER_BYTES, _TYPE_AT, _SPACING_AT, _START_AT, _MAGIC_AT = 348, 70, 76, 108, 344
_MOST_START = 1 << 24  # what stands between header and voxels is of no use to us


class _Header(NamedTuple):
    """Type of the stored voxels, where they start, and the line that turns them into values."""

    dtype: np.dtype[Any]
    start_bytes: int
    slope: float
    intercept: float


def is_nifti(path: Path) -> bool:
    """Whether `path` is named like a NIfTI file."""
    return path.name.endswith((".nii", ".nii.gz"))


def read_voxels(path: Path, shape_zyx: tuple[int, ...]) -> NDArray[Any]:
    """The voxels [z, y, x] of a NIfTI file in its own type, or as float64 where its header scales them.

    A slope of 0 means not scaled, as the standard says. Raises DatasetError for a header without a voxel spacing, a
    stream that is damaged or ends early, and a type that holds no single number.
    """
    try:
        with _open(path) as stream:
            header = _read_header(stream, path)
            stream.read(header.start_bytes - _HEADER_BYTES)
            stored = np.empty(shape_zyx, header.dtype)
            found = _fill(stream, stored)
    except _DAMAGED as failure:
        raise DatasetError(f"{path}: damaged compressed stream ({failure}); copy or export the file anew") from None
    if found != stored.nbytes:
        amount = "more" if found > stored.nbytes else found
        raise DatasetError(
            f"{path}: holds {amount} bytes of voxels, its header promises {stored.nbytes}; copy or export it anew"
        )
    native = stored.astype(header.dtype.newbyteorder("="), copy=False)
    if (header.slope, header.intercept) == (1.0, 0.0):
        return native
    scaled: NDArray[np.float64] = native * header.slope + header.intercept
    return scaled


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, _gzip.open(path, "rb")) if path.name.endswith(".gz") else path.open("rb")


def _read_header(stream: BinaryIO, path: Path) -> _Header:
    content = stream.read(_HEADER_BYTES)
    order = next((order for order in "<>" if content[:4] == struct.pack(f"{order}i", _HEADER_BYTES)), None)
    if order is None or len(content) < _HEADER_BYTES or content[_MAGIC_AT : _MAGIC_AT + 3] != b"n+1":
        raise DatasetError(f"{path}: not a NIfTI-1 header of {_HEADER_BYTES} bytes; export it anew as NIfTI-1")
    (code,) = struct.unpack_from(f"{order}h", content, _TYPE_AT)
    if code not in _TYPES:
        raise DatasetError(f"{path}: voxels of NIfTI type {code}, expected one of {list(_TYPES)}; export it anew")
    spacing_mm = struct.unpack_from(f"{order}4f", content, _SPACING_AT)[1:]
    if not np.isfinite(spacing_mm).all() or 0.0 in spacing_mm:
        raise DatasetError(f"{path}: voxel spacing {spacing_mm} mm in its header, not positive; export it anew")
    start, slope, intercept = struct.unpack_from(f"{order}3f", content, _START_AT)
    if not math.isfinite(slope) or slope == 0.0:
        slope, intercept = 1.0, 0.0
    if not math.isfinite(intercept) or not _HEADER_BYTES <= start <= _MOST_START or start != int(start):
        raise DatasetError(f"{path}: intercept {intercept} and first voxel at {start} in its header; export it anew")
    return _Header(np.dtype(order + _TYPES[code]), int(start), slope, intercept)


def _fill(stream: BinaryIO, array: NDArray[Any]) -> int:
    """Read as many bytes into `array` as the stream has; how many those were, one more where others follow."""
    room = memoryview(cast(Any, array.reshape(-1).view(np.uint8)))
    filled = 0
    while filled < len(room) and (count := cast(Any, stream).readinto(room[filled : filled + _CHUNK_BYTES])):
        filled += count
    return filled + len(stream.read(1))  # a compressed stream checks its sum at its end
