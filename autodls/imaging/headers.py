"""What the header of an image says, whoever read it, and what is refused before a voxel is. NumPy only."""

import math
from pathlib import Path
from typing import NamedTuple

from autodls.errors import ArgumentError, DatasetError
from autodls.imaging.geometry import Geometry, as_triple, as_triple_of_int
from autodls.limits import MAX_COMPRESSION, MAX_VOXELS, MOST_BESIDE_VOXELS_BYTES

_MOST_GROWTH = 100  # DEFLATE adds less than a hundredth to what it cannot shrink
LEAST_SPACING_MM, MOST_SPACING_MM, MOST_OFFSET_MM = 0.01, 100.0, 1e6


class Header(NamedTuple):
    """Size, values a voxel, bytes a voxel in the file, and the grid in LPS mm; an image may have 2 or 4 axes."""

    size_xyz: tuple[int, ...]
    values: int
    voxel_bytes: int
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]


def checked_geometry(path: Path, header: Header) -> Geometry:
    """The grid of the image `path`; raises DatasetError unless it is a plausible volume that the file can hold."""
    _require_scalar_volume(path, header)
    try:
        geometry = Geometry(
            as_triple_of_int(header.size_xyz),
            as_triple(header.spacing_mm),
            as_triple(header.origin_mm),
            header.direction,
        )
    except ArgumentError as failure:
        raise DatasetError(f"{path}: {failure}; export it anew") from None
    _require_plausible(path, geometry)
    return geometry


def _require_scalar_volume(path: Path, header: Header) -> None:
    size, values = header.size_xyz, header.values
    if len(size) != 3 or values != 1:
        each = "" if values == 1 else f" with {values} values each"
        raise DatasetError(
            f"{path}: {' x '.join(map(str, size))} voxels{each}; a sequence is one 3D image with one value a voxel, "
            f"split series and colour images"
        )
    if min(size) < 2:
        raise DatasetError(
            f"{path}: {' x '.join(map(str, size))} voxels; a volume has at least two voxels along each axis"
        )
    voxels, held = math.prod(size), path.stat().st_size
    claimed = voxels * header.voxel_bytes
    if voxels > MAX_VOXELS:
        raise DatasetError(
            f"{path}: its header claims {voxels} voxels ({claimed / 2**30:.1f} GiB), the limit is {MAX_VOXELS}; "
            f"crop or resample the image"
        )
    if claimed > held * (1 if path.suffix == ".nii" else MAX_COMPRESSION):
        raise DatasetError(
            f"{path}: its header claims {claimed} bytes of voxels, the file has {held}; copy or export it anew"
        )
    if held > claimed + claimed // _MOST_GROWTH + MOST_BESIDE_VOXELS_BYTES:
        raise DatasetError(
            f"{path}: its header claims {claimed} bytes of voxels, the file has {held}: what follows them would be "
            f"read for nothing; copy or export it anew"
        )


def _require_plausible(path: Path, geometry: Geometry) -> None:
    """Refuse a spacing in other units, metres or micrometres, and a place that float32 cannot hold to 0.1 mm."""
    spacing_mm = geometry.spacing_mm
    if not (min(spacing_mm) >= LEAST_SPACING_MM and max(spacing_mm) <= MOST_SPACING_MM):
        raise DatasetError(
            f"{path}: voxel spacing {' x '.join(f'{step:g}' for step in spacing_mm)} mm, expected {LEAST_SPACING_MM:g} "
            f"to {MOST_SPACING_MM:g} mm; correct its header (are the units metres or micrometres?)"
        )
    if max(map(abs, geometry.origin_mm)) > MOST_OFFSET_MM:
        raise DatasetError(
            f"{path}: first voxel at {geometry.origin_mm} mm, expected within {MOST_OFFSET_MM:g} mm of the scanner's "
            f"centre; correct its header"
        )
