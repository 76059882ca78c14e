"""Reading and writing volumes.

Only scalar 3D images are accepted. A plain NIfTI file is read without SimpleITK, which is imported for all others and
for writing.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodls.errors import AutoDLSError, DatasetError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.headers import Header, checked_geometry
from autodls.imaging.nifti import is_nifti, is_placed, read_plain_header, read_voxels, scaling
from autodls.imaging.text_headers import check_stream, has_text_header, read_layout
from autodls.records.files import write_atomically
from autodls.records.roi_labels import RoiLabels

__all__ = [
    "Geometry",
    "Volume",
    "label_doubt",
    "place_doubt",
    "read_geometry",
    "read_labels",
    "read_roi",
    "read_volume",
    "write_volume",
]

_SMALL_INTEGERS = (np.uint8, np.int8, np.uint16, np.int16)
_LABEL_ROUND_OFF = 0.005  # half a step of 16 bits that a header's slope spreads over 600 labels


def read_geometry(path: Path) -> Geometry:
    """The grid of the image `path`, from its header alone.

    Raises DatasetError for a file that is missing, unreadable, not a scalar 3D image, larger than 2^28 voxels, or
    whose header promises more voxels than its file can hold or a spacing that no scanner has.
    """
    return checked_geometry(path, _read_header(path))


def read_volume(path: Path) -> Volume:
    """The image `path` [z, y, x]: as it is stored where those are integers of 8 or 16 bits, else as float32.

    Raises DatasetError as `read_geometry`, and for a truncated file or voxels that are not finite.
    """
    volume = _read(path)
    if volume.array.dtype in _SMALL_INTEGERS:
        return volume
    with np.errstate(over="ignore"):  # what does not fit into float32 is not finite, and said to be so
        array = volume.array.astype(np.float32, copy=False)
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        raise DatasetError(
            f"{path}: {bad} of {array.size} voxels are not finite; replace NaN and infinity before you use it"
        )
    return Volume(array, volume.geometry)


def read_labels(path: Path) -> Volume:
    """The label image `path` as int32 [z, y, x]; raises DatasetError as `read_geometry`, and for fractional labels.

    A label that is whole but for round-off, as a header's slope leaves it, is the whole number.
    """
    volume = _read(path)
    return Volume(_whole(path, volume.array).astype(np.int32), volume.geometry)


def read_roi(path: Path, labels: frozenset[int], *, keep_values: bool = False) -> Volume:
    """Where the ROI image `path` has one of `labels`, as bool [z, y, x]; `RoiLabels.others` are no tumour.

    To `keep_values` gives the label in each voxel of the tumour and 0 outside, int32 [z, y, x].

    Raises DatasetError as `read_labels`, for values that are neither 0 nor known, and where all that is drawn is no
    tumour.
    """
    others = labels.others if isinstance(labels, RoiLabels) else frozenset[int]()
    volume = _read(path)
    array = _whole(path, volume.array)
    drawn = array != 0
    slabs = zip(array, drawn, strict=True)
    found = {int(value) for slab, inside in slabs for value in np.unique(slab[inside])}
    if unknown := found - labels - others:
        also = f", others {sorted(others)}" if others else ""
        raise DatasetError(
            f"{path}: label {min(unknown)} is not in dataset.json (tumour {sorted(labels)}{also}); name it in 'labels' "
            f"(and in autodls.tumor which of them are tumour), or, for a model that is locked, give the tumour a value "
            f"that it knows, or remove it from the ROI"
        )
    if found and not found & labels:
        raise DatasetError(
            f"{path}: no voxel is tumour {sorted(labels)}, all that is drawn is {sorted(found)}; draw the tumour, or "
            f"correct the labels"
        )
    inside = np.isin(volume.array, sorted(labels)) if found - labels else drawn
    return Volume(np.where(inside, array, 0).astype(np.int32) if keep_values else inside, volume.geometry)


def _whole(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    """The labels without their round-off, in their place: slab by slab, to stay within our memory.

    Raises DatasetError for labels that are fractional or do not fit into 32 bits.
    """
    if np.can_cast(array.dtype, np.int32):
        return array
    for slab in array:
        nearest = np.rint(slab)
        with np.errstate(invalid="ignore"):  # infinity less infinity
            off = np.abs(slab - nearest) > _LABEL_ROUND_OFF
        fractional = ~np.isfinite(slab) | off | (np.abs(nearest.astype(np.float64)) >= 2**31)
        if fractional.any():
            example = slab[fractional][0].item()
            raise DatasetError(
                f"{path}: an ROI holds whole numbers, found {example:.7g}{_slope(path)}; threshold it before you use it"
            )
        slab[...] = nearest
    return array


def _slope(path: Path) -> str:
    found = scaling(path) if is_nifti(path) else None
    return f" (its header scales what is stored: {found[0]:g} times, plus {found[1]:g})" if found else ""


def label_doubt(path: Path) -> str | None:
    """What is to be said of the label image `path` where a slope in its header makes its labels; else None."""
    scaled = _slope(path)
    return f"labels are rounded to whole numbers{scaled}" if scaled else None


def place_doubt(path: Path) -> str | None:
    """What is to be said of the image `path` where its header does not say how it lies in the patient; else None."""
    placed = read_layout(path).placed if has_text_header(path) else is_placed(path)
    return None if placed else "its header does not say how it lies in the patient: left and right are a guess"


def write_volume(path: Path, volume: Volume) -> None:
    """Write `volume` to `path` atomically, compressed where the format is; booleans become 0 and 1.

    Raises AutoDLSError where it cannot be written.
    """
    try:
        write_atomically(path, lambda beside: _write_whole(beside, volume))
    except (OSError, RuntimeError, DatasetError):
        raise AutoDLSError(
            f"{path}: a volume of {volume.array.nbytes} bytes cannot be written; check the name, the folder's "
            f"permissions and the space left"
        ) from None


def _write_whole(path: Path, volume: Volume) -> None:
    """Write and read back: on a full disk ITK leaves half a NIfTI file, and says that all is well."""
    from autodls.imaging.itk import read_array, write_image

    write_image(path, volume, compress=path.suffix != ".nii")
    if not np.all((read_array(path) == volume.array) | ~np.isfinite(volume.array)):  # ITK reads NaN and inf as 0
        raise OSError(f"{path}: written, and reads otherwise")


def _read(path: Path) -> Volume:
    """The voxels of `path` in their own type."""
    geometry = read_geometry(path)
    if is_nifti(path):
        return Volume(read_voxels(path, geometry.size_xyz[::-1]), geometry)
    if has_text_header(path):
        check_stream(path, read_layout(path))
    from autodls.imaging.itk import read_array

    return Volume(read_array(path), geometry)


def _read_header(path: Path) -> Header:
    _require_file(path)
    if has_text_header(path):
        read_layout(path)
    plain = read_plain_header(path) if is_nifti(path) else None
    if plain is not None:
        return plain
    from autodls.imaging.itk import read_header

    return read_header(path)


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; check the name and the folder")
    if not os.access(path, os.R_OK):
        raise DatasetError(f"{path}: cannot be read; check the file's permissions")
    other = path.with_suffix("") if path.name.endswith(".nii.gz") else path.with_name(path.name + ".gz")
    if is_nifti(path) and other.exists():
        raise DatasetError(
            f"{path}: lies beside {other.name}, and readers would mistake one for the other; remove one of them"
        )
