"""Reading and writing volumes: the door to SimpleITK.

Only scalar 3D images are accepted. Every fault, also those that ITK prints or passes over in silence, ends in a
DatasetError of one line.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from autodls.errors import ArgumentError, AutoDLSError, DatasetError
from autodls.imaging.geometry import Geometry, Volume, as_triple, as_triple_of_int
from autodls.imaging.nifti import check_nifti, is_nifti
from autodls.records.files import write_atomically

__all__ = ["Geometry", "Volume", "read_geometry", "read_labels", "read_roi", "read_volume", "write_volume"]

MAX_BYTES = 1 << 31
MAX_COMPRESSION = 1100  # DEFLATE cannot shrink by more than 1032
_STDERR = 2
_VOXEL_BYTES: dict[int, int] = {
    **dict.fromkeys((sitk.sitkUInt8, sitk.sitkInt8), 1),
    **dict.fromkeys((sitk.sitkUInt16, sitk.sitkInt16), 2),
    **dict.fromkeys((sitk.sitkUInt32, sitk.sitkInt32, sitk.sitkFloat32), 4),
}


def read_geometry(path: Path) -> Geometry:
    """The grid of the image `path`, from its header alone.

    Raises DatasetError for a file that is missing, unreadable, not a scalar 3D image, larger than 2 GiB, or whose
    header promises more voxels than its file can hold.
    """
    return _read_header(path)[1]


def read_volume(path: Path) -> Volume:
    """The image `path` as float32 [z, y, x].

    Raises DatasetError as `read_geometry`, and for a truncated file or voxels that are not finite.
    """
    volume = _read(path, sitk.sitkFloat32)
    bad = int(volume.array.size - np.count_nonzero(np.isfinite(volume.array)))
    if bad:
        raise DatasetError(
            f"{path}: {bad} of {volume.array.size} voxels are not finite; replace NaN and infinity before you use it"
        )
    return volume


def read_labels(path: Path) -> Volume:
    """The label image `path` as int32 [z, y, x]; raises DatasetError as `read_geometry`, and for fractional labels."""
    volume = _read(path, sitk.sitkFloat64)
    whole = np.isfinite(volume.array) & (volume.array == np.rint(volume.array)) & (np.abs(volume.array) < 2**31)
    if not whole.all():
        example = float(volume.array[~whole][0])
        raise DatasetError(f"{path}: an ROI holds whole numbers, found {example:g}; threshold it before you use it")
    return Volume(volume.array.astype(np.int32), volume.geometry)


def read_roi(path: Path, labels: frozenset[int]) -> Volume:
    """Where the ROI image `path` has one of `labels`, as bool [z, y, x].

    Raises DatasetError as `read_labels`, and for values that are neither 0 nor one of `labels`.
    """
    volume = read_labels(path)
    unknown = set(np.unique(volume.array).tolist()) - labels - {0}
    if unknown:
        raise DatasetError(
            f"{path}: label {min(unknown)} is not in dataset.json, which has {sorted(labels)}; "
            f"add it to 'labels' or remove it from the ROI"
        )
    return Volume(volume.array != 0, volume.geometry)


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


def _read(path: Path, pixel_type: int) -> Volume:
    reader, geometry = _read_header(path)
    if is_nifti(path):
        check_nifti(path, _claimed_bytes(reader))
    reader.SetOutputPixelType(pixel_type)
    with _faults_of(path):
        image = reader.Execute()
    return Volume(sitk.GetArrayFromImage(image), geometry)


def _read_header(path: Path) -> tuple[sitk.ImageFileReader, Geometry]:
    _require_file(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with _faults_of(path):
        reader.ReadImageInformation()
    _require_scalar_volume(path, reader)
    try:
        return reader, Geometry(
            as_triple_of_int(reader.GetSize()),
            as_triple(reader.GetSpacing()),
            as_triple(reader.GetOrigin()),
            tuple(float(cosine) for cosine in reader.GetDirection()),
        )
    except ArgumentError as failure:
        raise DatasetError(f"{path}: {failure}; export it anew") from None


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
    claimed, held = _claimed_bytes(reader), path.stat().st_size
    if claimed > MAX_BYTES:
        raise DatasetError(
            f"{path}: its header claims {claimed / 2**30:.1f} GiB of voxels, the limit is {MAX_BYTES >> 30} GiB; "
            f"crop or resample the image"
        )
    if claimed > held * (1 if path.suffix == ".nii" else MAX_COMPRESSION):
        raise DatasetError(
            f"{path}: its header claims {claimed} bytes of voxels, the file has {held}; copy or export it anew"
        )


def _claimed_bytes(reader: sitk.ImageFileReader) -> int:
    return math.prod(int(count) for count in reader.GetSize()) * _VOXEL_BYTES.get(int(reader.GetPixelID()), 8)


@contextlib.contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    """Turn ITK's exceptions into a DatasetError, and keep what its C libraries print from the user's terminal.

    Standard error of the whole process is redirected meanwhile: read in processes, not in threads.
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
    if "Unable to determine ImageIO" in message:
        return "not an image that can be read (empty, damaged or of another format); copy or export it anew"
    return "its voxels cannot be read (truncated or damaged); copy or export it anew"
