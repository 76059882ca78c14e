"""Headers of NRRD and MetaImage files, which are text, judged before SimpleITK opens the file.

ITK crashes on some headers, follows names of other files in others, takes a spacing that is not given for 1 mm, and
returns what it could unpack of a damaged stream, all without a word. Only the plain case is let through: one file,
three axes, one number a voxel, raw or compressed with its sum.

Sources: teem's definition of NRRD (teem.sourceforge.net/nrrd/format.html); MetaIO's MetaImage (itk.org/Wiki/MetaIO).
"""

import math
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from autodls.errors import DatasetError
from autodls.imaging.headers import MOST_SPACING_MM
from autodls.limits import MOST_TEXT_HEADER_BYTES

_CHUNK_BYTES = 1 << 20
_AGAIN = "export the image anew as NIfTI"
_NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("float",), 4),
    **dict.fromkeys(("longlong", "long long", "int64", "int64_t", "ulonglong", "uint64", "uint64_t", "double"), 8),
}
_META_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_FLOAT": 4,
    "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_DOUBLE": 8,
}  # fmt: skip
_SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "lps", "ras", "las")

_MM = {"mm", "", "?", "???"}  # or not known
_SHIFTED, _TURNED = ("offset", "position", "origin"), ("transformmatrix", "rotation", "orientation")  # synonyms
_BODY_AXES = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "I": (2, 1), "S": (2, -1)}  # where an axis begins

Fields = Mapping[str, str]
Packing = Literal["raw", "gzip", "zlib"]
_WINDOW = {"gzip": zlib.MAX_WBITS | 16, "zlib": zlib.MAX_WBITS}


@dataclass(frozen=True)
class Layout:
    """Where the voxels of a file begin, how many bytes they are unpacked, and how they are packed.

    `placed` is whether the header says how its axes lie in the patient; ITK takes them for those of the body if not.
    """

    start: int
    voxel_bytes: int
    packing: Packing
    placed: bool


def has_text_header(path: Path) -> bool:
    """Whether `path` is named like an NRRD or a MetaImage file."""
    return path.suffix in (".nrrd", ".mha")


def read_layout(path: Path) -> Layout:
    """Judge the header of an NRRD or MetaImage file; raises DatasetError for all but the plain case."""
    with path.open("rb") as handle:
        content = handle.read(MOST_TEXT_HEADER_BYTES)
    try:
        return _nrrd(content) if path.suffix == ".nrrd" else _meta(content, path.stat().st_size)
    except ValueError as failure:
        raise DatasetError(f"{path}: {failure}") from None


def check_stream(path: Path, layout: Layout) -> None:
    """Unpack the voxels in pieces: raises DatasetError where they are damaged, or not as many as the header says."""
    found = 0
    try:
        with path.open("rb") as handle:
            handle.seek(layout.start)
            for piece in _pieces(handle, layout.packing):
                found += len(piece)
                if found > layout.voxel_bytes:
                    break
    except (EOFError, zlib.error) as failure:
        raise DatasetError(
            f"{path}: its voxels are truncated or damaged ({failure}); copy or export the file anew"
        ) from None
    if found != layout.voxel_bytes:
        amount = "more" if found > layout.voxel_bytes else found
        raise DatasetError(
            f"{path}: holds {amount} bytes of voxels, its header promises {layout.voxel_bytes}: truncated or damaged; "
            f"copy or export the file anew"
        )


def _pieces(handle: BinaryIO, packing: Packing) -> Iterator[bytes]:
    if packing != "raw":
        yield from _inflated(handle, _WINDOW[packing])
        return
    while piece := handle.read(_CHUNK_BYTES):
        yield piece


def _inflated(handle: BinaryIO, window: int) -> Iterator[bytes]:
    """One stream, whose sum is checked; Python's gzip would read on through what follows it, were it a terabyte."""
    unpacker = zlib.decompressobj(window)
    rest = b""
    while not unpacker.eof:
        rest = rest or handle.read(_CHUNK_BYTES)
        piece = unpacker.decompress(rest, _CHUNK_BYTES)
        if not (piece or rest or unpacker.eof):
            raise EOFError("the compressed stream ends early")
        rest = unpacker.unconsumed_tail
        yield piece
    if unpacker.unused_data or handle.read(1):
        raise EOFError("more follows the compressed stream")


def _nrrd(content: bytes) -> Layout:
    head, end, _ = re.sub(rb"\r\n", b"\n", content).partition(b"\n\n")
    if not re.match(rb"NRRD000[1-5]\n", head) or not end:
        raise ValueError(f"not an NRRD header that ends in a blank line; {_AGAIN}")
    lines = [line for line in head.decode("latin-1").split("\n")[1:] if not line.startswith("#") and ":=" not in line]
    fields = _fields(lines, ":")
    if odd := sorted({"datafile", "lineskip", "byteskip"} & fields.keys()):
        raise ValueError(f"its header has the field '{odd[0]}': its voxels do not simply follow; {_AGAIN}")
    packing = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}.get(_need(fields, "encoding").lower())
    voxel_bytes = _NRRD_BYTES.get(_need(fields, "type").lower())
    if packing is None or voxel_bytes is None:
        raise ValueError(f"encoding '{fields['encoding']}' of type '{fields['type']}' is not read; {_AGAIN}")
    _require_three_axes(_need(fields, "dimension"))
    _require_nrrd_place(fields)
    voxels = _voxels(_need(fields, "sizes"))
    start = content.index(b"\n\r\n" if b"\r\n" in content[: len(head)] else b"\n\n") + len(end)
    start += b"\r\n" in content[: len(head)]
    placed = "spacedirections" in fields
    return Layout(start, voxels * voxel_bytes, "gzip" if packing == "gzip" else "raw", placed)


def _require_nrrd_place(fields: Fields) -> None:
    """Refuse an image of unknown or other units, or in a space whose left and right nobody knows."""
    if odd := set(re.findall(r'"([^"]*)"', f"{fields.get('spaceunits', '')} {fields.get('units', '')}")) - _MM:
        raise ValueError(f"units '{min(odd)}' are not mm; {_AGAIN}")
    if "spacedirections" not in fields:
        _numbers(fields, "spacings", 3)
        return
    vectors = re.findall(r"\(([^)]*)\)", fields["spacedirections"])
    if len(vectors) != 3 or not _all_finite(",".join(vectors).split(","), 9, MOST_SPACING_MM):
        raise ValueError(
            f"space directions '{fields['spacedirections']}' are not three vectors of up to {MOST_SPACING_MM:g} mm; "
            f"{_AGAIN}"
        )
    if fields.get("space", "").lower() not in _SPACES:
        raise ValueError(f"space '{fields.get('space', '')}' is none of LPS, RAS and LAS; {_AGAIN}")
    if "spaceorigin" in fields and not _all_finite(fields["spaceorigin"].strip("()").split(","), 3):
        raise ValueError(f"space origin '{fields['spaceorigin']}' is not a point; {_AGAIN}")


def _meta(content: bytes, file_bytes: int) -> Layout:
    found = re.search(rb"^ElementDataFile[ \t]*=[ \t]*([^\r\n]*?)[ \t]*\r?\n", content, re.MULTILINE)
    if found is None:
        raise ValueError(f"not a MetaImage header that ends in ElementDataFile; {_AGAIN}")
    if found[1] != b"LOCAL":
        raise ValueError(f"its voxels lie in another file, '{found[1].decode('latin-1')[:80]}'; {_AGAIN}")
    fields = _fields(content[: found.start()].decode("latin-1").splitlines(), "=")
    plain = {"objecttype": "image", "binarydata": "true", "elementnumberofchannels": "1", "headersize": "0"}
    for name, expected in plain.items():
        if fields.get(name, expected).lower() != expected:
            raise ValueError(f"its header has {name} = '{fields[name]}', only '{expected}' is read; {_AGAIN}")
    _require_three_axes(_need(fields, "ndims"))
    voxel_bytes = _META_BYTES.get(_need(fields, "elementtype"))
    if voxel_bytes is None:
        raise ValueError(f"type '{fields['elementtype']}' is not read; {_AGAIN}")
    _require_meta_place(fields)
    packed = fields.get("compresseddata", "False").lower() == "true"
    packed_bytes = str(file_bytes - found.end())
    if packed and fields.get("compresseddatasize", packed_bytes) != packed_bytes:
        raise ValueError(f"{packed_bytes} bytes follow its header, which says {fields['compresseddatasize']}; {_AGAIN}")
    voxels, placed = _voxels(_need(fields, "dimsize")), bool({*_TURNED, "anatomicalorientation"} & fields.keys())
    return Layout(found.end(), voxels * voxel_bytes, "zlib" if packed else "raw", placed)


def _require_meta_place(fields: Fields) -> None:
    """Refuse an image of unknown or other units, and a place that is not made of numbers or said in two ways."""
    _numbers(fields, "elementspacing", 3)
    if (units := fields.get("distanceunits", "mm").lower()) not in _MM:
        raise ValueError(f"DistanceUnits '{units}' are not mm; {_AGAIN}")
    _one_of(fields, _SHIFTED, 3)
    axes = _one_of(fields, _TURNED, 9) or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    letters = fields.get("anatomicalorientation", "").upper()
    for axis, letter in enumerate(letters[:3]):
        body, sign = _BODY_AXES.get(letter, (0, 0))
        if sign * axes[3 * axis + body] < 0 or (sign and not axes[3 * axis + body]):
            raise ValueError(
                f"AnatomicalOrientation '{letters}' contradicts the directions {list(axes)} of its axes: left and "
                f"right depend on the reader; {_AGAIN}"
            )


def _one_of(fields: Fields, names: Sequence[str], count: int) -> tuple[float, ...] | None:
    """What the fields `names`, which all mean the same, say; refuses two that differ."""
    given = {name: tuple(_numbers(fields, name, count)) for name in names if name in fields}
    if len(set(given.values())) > 1:
        raise ValueError(f"its fields {', '.join(given)} contradict each other; {_AGAIN}")
    return next(iter(given.values()), None)


def _fields(lines: Sequence[str], separator: str) -> dict[str, str]:
    """Values by name, in lower case without blanks; refuses a field that stands twice."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(separator)
        name = re.sub(r"\s", "", name).lower()
        if name in fields:
            raise ValueError(f"its header has the field '{name}' twice; {_AGAIN}")
        fields[name] = value.strip()
    return fields


def _need(fields: Fields, name: str) -> str:
    if name not in fields:
        raise ValueError(f"its header has no field '{name}'; {_AGAIN}")
    return fields[name]


def _numbers(fields: Fields, name: str, count: int) -> list[float]:
    texts = _need(fields, name).split()
    if not _all_finite(texts, count):
        raise ValueError(f"{name} '{fields[name]}' are not {count} finite numbers; {_AGAIN}")
    return [float(text) for text in texts]


def _all_finite(texts: Sequence[str], count: int, most: float = sys.float_info.max) -> bool:
    try:
        return len(texts) == count and all(abs(float(text)) <= most for text in texts)
    except ValueError:
        return False


def _require_three_axes(dimension: str) -> None:
    if dimension != "3":
        raise ValueError(
            f"{dimension} axes of voxels; a sequence is one 3D image with one value a voxel, split series and colour "
            f"images"
        )


def _voxels(sizes: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}( [1-9]\d{0,8}){2}", sizes):
        raise ValueError(f"sizes '{sizes}' are not three numbers of voxels; {_AGAIN}")
    return math.prod(int(size) for size in sizes.split())
