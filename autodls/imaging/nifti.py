"""NIfTI files: their voxels, and their grid where the header has one meaning.

SimpleITK reads a stream that ends early as zeros, NaN and infinity as 0, and a voxel spacing of zero as 1 mm, all
without a word. So voxels are read here, in the type of the file. Where they lie, a header may say twice, in different
ways and units, and then it is for ITK to decide. Of all other headers the grid is read here too, in the very numbers
that ITK reads, and nothing needs to be imported.

Source: the header of NIfTI-1 (nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h).
"""

import contextlib
import gzip
import math
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from autodls.errors import DatasetError
from autodls.imaging.headers import Header
from autodls.limits import MOST_BESIDE_VOXELS_BYTES

_gzip: Any = gzip
_DAMAGED: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
with contextlib.suppress(ImportError):  # half of a case's time is unpacking, and isal takes half of zlib's
    _gzip = import_module("isal.igzip")
    _DAMAGED = (*_DAMAGED, import_module("isal.isal_zlib").error)

_CHUNK_BYTES = 1 << 18  # stays in the cache
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_HEADER_BYTES = 348
_FIELDS: dict[str, tuple[str, int]] = {  # of NIfTI-1, with their offsets; SimpleITK refuses NIfTI-2 itself
    "sizeof_hdr": ("i4", 0), "dim": ("8i2", 40), "intent_code": ("i2", 68), "datatype": ("i2", 70),
    "bitpix": ("i2", 72), "pixdim": ("8f4", 76), "vox_offset": ("f4", 108), "scl_slope": ("f4", 112),
    "scl_inter": ("f4", 116), "xyzt_units": ("u1", 123), "qform_code": ("i2", 252), "sform_code": ("i2", 254),
    "quatern": ("3f4", 256), "qoffset": ("3f4", 268), "srow": ("(3,4)f4", 280), "magic": ("S4", 344),
}  # fmt: skip
_NIFTI1 = np.dtype(
    {
        "names": list(_FIELDS),
        "formats": [kind for kind, _ in _FIELDS.values()],
        "offsets": [offset for _, offset in _FIELDS.values()],
        "itemsize": _HEADER_BYTES,
    }
)
_MOST_HEAD_BYTES = 1 << 16  # of a file, in which its header must be found
_UNIT_OF_LENGTH, _NO_UNIT, _MM, _SCANNER = 0b111, 0, 2, 1
_TO_LPS = np.array([[-1.0], [-1.0], [1.0]])  # NIfTI counts to the right and to the front
_ROUND_OFF, _HALF_TURN = 1e-5, 1e-7
_MOST_STRETCHED = 0.01  # matrices are also written with two or three digits
_LEAST_COSINE = math.sqrt(0.5)  # images registered to an atlas keep their first place beside the new one, turned a bit
_ALIKE, _ALIKE_MM = 1e-3, 1e-2  # a quaternion in float32 loses half of its digits near 180 degrees

HeaderRecord = Any  # a record of `_NIFTI1`


class _Storage(NamedTuple):
    """Type of the stored voxels, where they start, and the line that turns them into values."""

    dtype: np.dtype[Any]
    start_bytes: int
    slope: float
    intercept: float


def is_nifti(path: Path) -> bool:
    """Whether `path` is named like a NIfTI file."""
    return path.name.endswith((".nii", ".nii.gz"))


def read_plain_header(path: Path) -> Header | None:
    """What the header of `path` says; None where it has two meanings, so that ITK must judge it.

    Raises DatasetError where it says two things of which ITK, like any other reader, would take one without a word, and
    where it cannot be read, or makes room for more than a header: ITK would allocate what it claims.
    """
    fields = _read_fields(path)
    if fields is None:
        raise DatasetError(
            f"{path}: not an image, or one that cannot be read (empty, damaged or of another format than NIfTI-1); "
            "copy or export it anew"
        )
    _start_bytes(fields, path)
    _require_one_place(path, fields)
    return _plain(fields)


def is_placed(path: Path) -> bool:
    """Whether the header of `path` says how its axes lie in the patient; if not, ITK takes them for the body's."""
    fields = _read_fields(path)
    return fields is not None and (fields["qform_code"] > 0 or fields["sform_code"] > 0)


def scaling(path: Path) -> tuple[float, float] | None:
    """Slope and intercept by which the header of `path` turns what is stored into values; None where it does not."""
    fields = _read_fields(path)
    found = None if fields is None else _line(fields)
    return None if found == (1.0, 0.0) else found


def _line(fields: HeaderRecord) -> tuple[float, float]:
    """Slope and intercept of a header; a slope of 0 means not scaled, as the standard says."""
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    return (1.0, 0.0) if not math.isfinite(slope) or slope == 0.0 else (slope, intercept)


def _read_fields(path: Path) -> HeaderRecord | None:
    """The fields at the start of the file, of its first stream if it is packed; None where there are none."""
    with path.open("rb") as handle:
        content = handle.read(_MOST_HEAD_BYTES if path.name.endswith(".gz") else _HEADER_BYTES)
    if path.name.endswith(".gz"):
        try:
            content = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, _HEADER_BYTES)
        except zlib.error:
            return None
    return _nifti1(content)


def _require_one_place(path: Path, fields: HeaderRecord) -> None:
    """Refuse a matrix whose columns are not as long as the voxels, and two that point an axis in other directions."""
    steps_mm, qform = fields["pixdim"][1:4].astype(np.float64), fields["qform_code"] > 0
    sound = all(np.isfinite(fields[name]).all() for name in ("pixdim", "quatern", "srow"))
    if fields["sform_code"] <= 0 or not sound or min(steps_mm) <= 0:
        return
    columns = fields["srow"][:, :3].astype(np.float64)
    lengths_mm = np.linalg.norm(columns, axis=0)
    if not lengths_mm.all() or _skew(columns / lengths_mm) > _MOST_STRETCHED:
        return  # no place for an image at all, which ITK says in its own words
    if np.abs(lengths_mm / steps_mm - 1).max() > _MOST_STRETCHED:
        raise DatasetError(
            f"{path}: voxels of {_in_mm(lengths_mm)} mm by its sform, of {_in_mm(steps_mm)} mm by its pixdim; export "
            f"it anew"
        )
    apart = (columns / lengths_mm * _qform(fields)[:, :3] / steps_mm).sum(axis=0)
    if qform and apart.min() < _LEAST_COSINE:
        raise DatasetError(
            f"{path}: its qform and its sform point axis {'xyz'[int(apart.argmin())]} in directions "
            f"{math.degrees(math.acos(np.clip(apart.min(), -1, 1))):.0f} degrees apart: left and right depend on the "
            f"reader; export it anew, or set the code of the wrong one to 0"
        )


def _skew(cosines: NDArray[np.float64]) -> float:
    return float(np.abs(cosines.T @ cosines - np.eye(3)).max())


def _in_mm(steps_mm: NDArray[np.float64]) -> str:
    return " x ".join(f"{step:.4g}" for step in steps_mm)


def read_voxels(path: Path, shape_zyx: tuple[int, ...]) -> NDArray[Any]:
    """The voxels [z, y, x] of a NIfTI file in its own type, or as float64 where its header scales them.

    A slope of 0 means not scaled, as the standard says. Raises DatasetError for a header without a voxel spacing, a
    stream that is damaged or ends early, and a type that holds no single number.
    """
    try:
        with _open(path) as stream:
            header = _read_storage(stream, path)
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
    native = stored if header.dtype.isnative else stored.byteswap(inplace=True).view(header.dtype.newbyteorder("="))
    if (header.slope, header.intercept) == (1.0, 0.0):
        return native
    # Doubles in their place: another array of them would take more memory than a volume may.
    with np.errstate(over="ignore", invalid="ignore"):  # whoever reads refuses what is not finite, in one line
        scaled: NDArray[Any] = np.multiply(native, header.slope, out=native if native.dtype == np.float64 else None)
        scaled += header.intercept
    return scaled


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, _gzip.open(path, "rb")) if path.name.endswith(".gz") else path.open("rb")


def _nifti1(content: bytes) -> HeaderRecord | None:
    """The fields of a header in the order of bytes that it is written in; None where it is none of NIfTI-1."""
    if len(content) < _HEADER_BYTES:
        return None
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    for order in orders:
        fields = np.frombuffer(content, _NIFTI1.newbyteorder(order), count=1)[0]
        if fields["sizeof_hdr"] == _HEADER_BYTES and fields["magic"] == b"n+1":
            return fields
    return None


def _read_storage(stream: BinaryIO, path: Path) -> _Storage:
    fields = _nifti1(stream.read(_HEADER_BYTES))
    if fields is None:
        raise DatasetError(f"{path}: not a NIfTI-1 header of {_HEADER_BYTES} bytes; export it anew as NIfTI-1")
    code = int(fields["datatype"])
    if code not in _TYPES:
        raise DatasetError(f"{path}: voxels of NIfTI type {code}, expected one of {list(_TYPES)}; export it anew")
    spacing_mm = tuple(fields["pixdim"][1:4].tolist())
    if not np.isfinite(spacing_mm).all() or 0.0 in spacing_mm:
        raise DatasetError(f"{path}: voxel spacing {spacing_mm} mm in its header, not positive; export it anew")
    slope, intercept = _line(fields)
    if not math.isfinite(intercept):
        raise DatasetError(f"{path}: intercept {intercept} in its header, not finite; export it anew")
    order, start = fields.dtype["bitpix"].byteorder, _start_bytes(fields, path)
    return _Storage(np.dtype(_TYPES[code]).newbyteorder(order), start, slope, intercept)


def _start_bytes(fields: HeaderRecord, path: Path) -> int:
    start = float(fields["vox_offset"])
    if not _HEADER_BYTES <= start <= MOST_BESIDE_VOXELS_BYTES or start != int(start):
        raise DatasetError(
            f"{path}: first voxel at {start} in its header, expected a whole number from {_HEADER_BYTES} to "
            f"{MOST_BESIDE_VOXELS_BYTES}; export it anew without extensions"
        )
    return int(start)


def _plain(fields: HeaderRecord) -> Header | None:
    """The header in the numbers of ITK; None where it is not that of an ordinary volume in mm."""
    axes, *size = fields["dim"][:4].tolist()
    voxel_bytes = np.dtype(_TYPES.get(int(fields["datatype"]), "V0")).itemsize
    ordinary = (
        axes == 3
        and min(size) > 1
        and fields["bitpix"] == 8 * voxel_bytes > 0
        and fields["intent_code"] == 0
        and fields["xyzt_units"] & _UNIT_OF_LENGTH in (_NO_UNIT, _MM)
        and all(np.isfinite(fields[name]).all() for name in ("pixdim", "quatern", "qoffset", "srow"))
        and min(fields["pixdim"][1:4]) > 0
    )
    affine = _plain_affine(fields) if ordinary else None
    if affine is None:
        return None
    lengths_mm, spacing_mm = np.linalg.norm(affine[:, :3], axis=0), fields["pixdim"][1:4].astype(np.float64)
    if np.abs(lengths_mm / spacing_mm - 1).max() > _ROUND_OFF:
        return None
    cosines, origin_mm = affine[:, :3] / lengths_mm, affine[:, 3]
    if _skew(cosines) > _ROUND_OFF:
        return None
    return Header(
        tuple(size),
        1,
        voxel_bytes,
        tuple(spacing_mm.tolist()),
        tuple(origin_mm.tolist()),
        tuple(cosines.ravel().tolist()),
    )


def _plain_affine(fields: HeaderRecord) -> NDArray[np.float64] | None:
    """Matrix [3, 4] from index to LPS mm; None where two are given, and ITK would not simply take the sform."""
    sform: NDArray[np.float64] = _TO_LPS * fields["srow"].astype(np.float64)
    qform: NDArray[np.float64] = _TO_LPS * _qform(fields)
    codes = int(fields["qform_code"]), int(fields["sform_code"])
    if codes[0] > 0 and codes[1] == 0:
        return qform
    if codes[0] == 0 and codes[1] > 0:
        return sform
    apart = np.abs(qform - sform).max(axis=0)
    alike = (apart[:3] < _ALIKE * fields["pixdim"][1:4]).all() and apart[3] < _ALIKE_MM
    return sform if codes[0] > 0 and codes[1] == _SCANNER and alike else None


def _qform(fields: HeaderRecord) -> NDArray[np.float64]:
    """Matrix [3, 4] from index to RAS mm by the quaternion, whose first number is what the others leave of 1."""
    b, c, d = fields["quatern"].astype(np.float64).tolist()
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < _HALF_TURN:
        a, (b, c, d) = 0.0, np.array([b, c, d]) / math.sqrt(b * b + c * c + d * d)
    else:
        a = math.sqrt(rest)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * b * c - 2 * a * d, 2 * b * d + 2 * a * c],
            [2 * b * c + 2 * a * d, a * a + c * c - b * b - d * d, 2 * c * d - 2 * a * b],
            [2 * b * d - 2 * a * c, 2 * c * d + 2 * a * b, a * a + d * d - c * c - b * b],
        ]
    )
    steps_mm = fields["pixdim"][1:4].astype(np.float64) * [1.0, 1.0, -1.0 if fields["pixdim"][0] < 0 else 1.0]
    matrix = np.column_stack([rotation * steps_mm, fields["qoffset"]])
    return matrix.astype(np.float32).astype(np.float64)  # as NIfTI's own library keeps it


def _fill(stream: BinaryIO, array: NDArray[Any]) -> int:
    """Read as many bytes into `array` as the stream has; how many those were, one more where others follow."""
    room = memoryview(cast(Any, array.reshape(-1).view(np.uint8)))
    filled = 0
    while filled < len(room) and (count := cast(Any, stream).readinto(room[filled : filled + _CHUNK_BYTES])):
        filled += count
    return filled + len(stream.read(1))  # a compressed stream checks its sum at its end
