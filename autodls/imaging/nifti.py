"""Faults of a NIfTI file that SimpleITK does not report.

A stream that ends early is read as zeros, NaN and infinity as 0, and a voxel spacing of zero becomes 1 mm, all without
a word.
"""

import gzip
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from autodls.errors import DatasetError

_CHUNK_BYTES = 1 << 20
_FLOATS = {16: "f4", 64: "f8"}  # NIfTI codes of the types that can hold NaN and infinity


# Offsets in a header of NIfTI-1; SimpleITK refuses NIfTI-2 itself.
_HEADER_BYTES, _TYPE_AT, _SPACING_AT, _START_AT = 348, 70, 76, 108


def is_nifti(path: Path) -> bool:
    """Whether `path` is named like a NIfTI file."""
    return path.name.endswith((".nii", ".nii.gz"))


def check_nifti(path: Path, voxel_bytes: int) -> None:
    """Refuse a NIfTI file without a voxel spacing, with less than `voxel_bytes` of voxels, or with NaN or infinity.

    Reads the whole stream in pieces, so a damaged compressed stream is found as well. Raises DatasetError.
    """
    try:
        with _open(path) as stream:
            float_type = _read_header(stream, path)
            found, bad = _read_voxels(stream, float_type, voxel_bytes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as failure:
        raise DatasetError(f"{path}: damaged compressed stream ({failure}); copy or export the file anew") from None
    if found < voxel_bytes:
        raise DatasetError(
            f"{path}: holds {found} bytes of voxels, its header promises {voxel_bytes}; copy or export it anew"
        )
    if bad:
        raise DatasetError(f"{path}: {bad} voxels are not finite; replace NaN and infinity before you use it")


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.name.endswith(".gz") else path.open("rb")


def _read_header(stream: BinaryIO, path: Path) -> str | None:
    """Read up to the first voxel; returns the type of the voxels where it is a floating one."""
    content = stream.read(_HEADER_BYTES)
    for order in "<>":
        if len(content) == _HEADER_BYTES and content.startswith(struct.pack(f"{order}i", _HEADER_BYTES)):
            (code,) = struct.unpack_from(f"{order}h", content, _TYPE_AT)
            spacing_mm = struct.unpack_from(f"{order}4f", content, _SPACING_AT)[1:]
            (start,) = struct.unpack_from(f"{order}f", content, _START_AT)
            break
    else:
        raise DatasetError(f"{path}: not a NIfTI-1 header of {_HEADER_BYTES} bytes; export it anew as NIfTI-1")
    if not np.isfinite(spacing_mm).all() or 0.0 in spacing_mm:
        raise DatasetError(f"{path}: voxel spacing {spacing_mm} mm in its header, not positive; export it anew")
    stream.read(max(int(start) - _HEADER_BYTES, 0))
    return order + _FLOATS[code] if code in _FLOATS else None


def _read_voxels(stream: BinaryIO, float_type: str | None, most: int) -> tuple[int, int]:
    """Bytes of voxels in `stream`, counted to `most`, and how many voxels are not finite."""
    counted, bad = 0, 0
    while counted < most and (chunk := stream.read(min(_CHUNK_BYTES, most - counted))):
        counted += len(chunk)
        if float_type:
            whole = len(chunk) - len(chunk) % np.dtype(float_type).itemsize
            values = np.frombuffer(chunk[:whole], dtype=float_type)
            bad += values.size - int(np.count_nonzero(np.isfinite(values)))
    stream.read(1)  # a compressed stream checks its sum at its end
    return counted, bad
