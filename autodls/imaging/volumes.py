"""Reading and writing volumes: the door to SimpleITK.

Only scalar 3D images are accepted. Every fault, also those that ITK prints or passes over in silence, ends in a
DatasetError of one line.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from autodls.errors import ArgumentError, AutoDLSError, DatasetError
from autodls.imaging.geometry import Geometry, Volume, as_triple, as_triple_of_int
from autodls.imaging.nifti import is_nifti, read_voxels
from autodls.imaging.text_headers import check_stream, has_text_header, read_layout
from autodls.records.files import write_atomically

__all__ = ["Geometry", "Volume", "read_geometry", "read_labels", "read_roi", "read_volume", "write_volume"]

MAX_VOXELS = 1 << 28  # 645 along each axis; reading so many takes 4 GiB at most
MAX_COMPRESSION = 1100  # DEFLATE cannot shrink by more than 1032
_SMALL_INTEGERS = (np.uint8, np.int8, np.uint16, np.int16)
LEAST_SPACING_MM, MOST_SPACING_MM, MOST_OFFSET_MM = 0.01, 100.0, 1e6
_IMAGE_IO = {".nii.gz": "NiftiImageIO", ".nii": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}
_STDERR = 2
_VOXEL_BYTES: dict[int, int] = {
    **dict.fromkeys((sitk.sitkUInt8, sitk.sitkInt8), 1),
    **dict.fromkeys((sitk.sitkUInt16, sitk.sitkInt16), 2),
    **dict.fromkeys((sitk.sitkUInt32, sitk.sitkInt32, sitk.sitkFloat32), 4),
}


def read_geometry(path: Path) -> Geometry:
    """The grid of the image `path`, from its header alone.

    Raises DatasetError for a file that is missing, unreadable, not a scalar 3D image, larger than 2^28 voxels, or
    whose header promises more voxels than its file can hold or a spacing that no scanner has.
    """
    return _read_header(path)[1]


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
    """The label image `path` as int32 [z, y, x]; raises DatasetError as `read_geometry`, and for fractional labels."""
    volume = _read(path)
    _require_whole(path, volume.array)
    return Volume(volume.array.astype(np.int32), volume.geometry)


def read_roi(path: Path, labels: frozenset[int]) -> Volume:
    """Where the ROI image `path` has one of `labels`, as bool [z, y, x].

    Raises DatasetError as `read_labels`, and for values that are neither 0 nor one of `labels`.
    """
    volume = _read(path)
    _require_whole(path, volume.array)
    drawn = volume.array != 0
    unknown = set(np.unique(volume.array[drawn]).astype(int).tolist()) - labels
    if unknown:
        raise DatasetError(
            f"{path}: label {min(unknown)} is not in dataset.json, which has {sorted(labels)}; "
            f"add it to 'labels' or remove it from the ROI"
        )
    return Volume(drawn, volume.geometry)


def _require_whole(path: Path, array: NDArray[Any]) -> None:
    """Refuse labels that are fractional or do not fit into 32 bits."""
    if np.can_cast(array.dtype, np.int32):
        return
    whole = np.isfinite(array) & (array == np.rint(array)) & (np.abs(array.astype(np.float64)) < 2**31)
    if not whole.all():
        example = float(array[~whole][0])
        raise DatasetError(f"{path}: an ROI holds whole numbers, found {example:g}; threshold it before you use it")


def write_volume(path: Path, volume: Volume) -> None:
    """Write `volume` to `path` atomically, compressed where the format is; booleans become 0 and 1.

    Raises AutoDLSError where it cannot be written.
    """
    image, compress = to_sitk(volume), path.suffix != ".nii"
    try:
        write_atomically(path, lambda beside: sitk.WriteImage(image, str(beside), useCompression=compress))
    except (OSError, RuntimeError):
        raise AutoDLSError(
            f"{path}: a volume of {volume.array.nbytes} bytes cannot be written; check the name, the folder's "
            f"permissions and the space left"
        ) from None


def to_sitk(volume: Volume) -> sitk.Image:
    """`volume` as a SimpleITK image; booleans become 0 and 1."""
    array = volume.array.astype(np.uint8) if volume.array.dtype == np.bool_ else volume.array
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(volume.geometry.spacing_mm)
    image.SetOrigin(volume.geometry.origin_mm)
    image.SetDirection(volume.geometry.direction)
    return image


def _read(path: Path) -> Volume:
    """The voxels of `path` in their own type."""
    reader, geometry = _read_header(path)
    if is_nifti(path):
        return Volume(read_voxels(path, geometry.size_xyz[::-1]), geometry)
    if has_text_header(path):
        check_stream(path, read_layout(path))
    with _faults_of(path):
        image = reader.Execute()
    return Volume(sitk.GetArrayFromImage(image), geometry)


def _read_header(path: Path) -> tuple[sitk.ImageFileReader, Geometry]:
    _require_file(path)
    if has_text_header(path):
        read_layout(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_image_io(path))
    reader.SetFileName(str(path))
    with _faults_of(path):
        reader.ReadImageInformation()
    _require_scalar_volume(path, reader)
    try:
        geometry = Geometry(
            as_triple_of_int(reader.GetSize()),
            as_triple(reader.GetSpacing()),
            as_triple(reader.GetOrigin()),
            tuple(float(cosine) for cosine in reader.GetDirection()),
        )
    except ArgumentError as failure:
        raise DatasetError(f"{path}: {failure}; export it anew") from None
    _require_plausible(path, geometry)
    return reader, geometry


def _image_io(path: Path) -> str:
    """The reader of ITK for the name of `path`: what a file holds must not choose among its many others."""
    for ending, image_io in _IMAGE_IO.items():
        if path.name.endswith(ending):
            return image_io
    raise DatasetError(f"{path}: its name ends in none of {', '.join(_IMAGE_IO)}; convert it to one of them")


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


def _require_scalar_volume(path: Path, reader: sitk.ImageFileReader) -> None:
    size, components = reader.GetSize(), reader.GetNumberOfComponents()
    if len(size) != 3 or components != 1:
        values = "" if components == 1 else f" with {components} values each"
        raise DatasetError(
            f"{path}: {' x '.join(map(str, size))} voxels{values}; a sequence is one 3D image with one value a voxel, "
            f"split series and colour images"
        )
    if min(size) < 2:
        raise DatasetError(
            f"{path}: {' x '.join(map(str, size))} voxels; a volume has at least two voxels along each axis"
        )
    voxels, held = math.prod(int(count) for count in size), path.stat().st_size
    claimed = voxels * _stored_bytes(reader)
    if voxels > MAX_VOXELS:
        raise DatasetError(
            f"{path}: its header claims {voxels} voxels ({claimed / 2**30:.1f} GiB), the limit is {MAX_VOXELS}; "
            f"crop or resample the image"
        )
    if claimed > held * (1 if path.suffix == ".nii" else MAX_COMPRESSION):
        raise DatasetError(
            f"{path}: its header claims {claimed} bytes of voxels, the file has {held}; copy or export it anew"
        )


def _stored_bytes(reader: sitk.ImageFileReader) -> int:
    """Bytes of a voxel in the file; NIfTI says so itself, as ITK takes scaled integers for floats."""
    if reader.HasMetaDataKey("bitpix"):
        return int(reader.GetMetaData("bitpix")) // 8
    return _VOXEL_BYTES.get(int(reader.GetPixelID()), 8)


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


@contextlib.contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    """Turn ITK's exceptions into a DatasetError, and keep what its C libraries print from the user's terminal.

    Standard error of the whole process is redirected meanwhile: read in one thread at a time. What another thread
    writes there in that moment, such as a frame of a progress bar, is not seen.
    """
    kept = os.dup(_STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    except RuntimeError as failure:
        raise DatasetError(f"{path}: {_cause(str(failure))}") from None
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.close(nowhere)


def _cause(message: str) -> str:
    if "orthonormal" in message:
        return "its axes are not at right angles (sheared or tilted); resample it onto an orthogonal grid"
    if "not recognized as" in message:
        return "not an image, or one that cannot be read (empty, damaged or of another format); copy or export it anew"
    return "its voxels cannot be read (truncated or damaged); copy or export it anew"
