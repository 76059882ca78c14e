"""Files through SimpleITK, which takes 0.2 s and 94 MiB to import: what plain NIfTI files do without.

Every fault, also those that ITK prints or passes over in silence, ends in a DatasetError of one line.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from autodls.errors import DatasetError
from autodls.imaging.geometry import Volume
from autodls.imaging.headers import Header

_IMAGE_IO = {".nii.gz": "NiftiImageIO", ".nii": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}
_STDERR = 2
_NO_MEMORY = re.compile(r"allocat|bad_alloc|out of memory", re.IGNORECASE)
_VOXEL_BYTES: dict[int, int] = {
    **dict.fromkeys((sitk.sitkUInt8, sitk.sitkInt8), 1),
    **dict.fromkeys((sitk.sitkUInt16, sitk.sitkInt16), 2),
    **dict.fromkeys((sitk.sitkUInt32, sitk.sitkInt32, sitk.sitkFloat32), 4),
}


def read_header(path: Path) -> Header:
    """What the header of the image `path` says; raises DatasetError where ITK cannot read it."""
    reader = _reader(path)
    with _faults_of(path):
        reader.ReadImageInformation()
    return Header(
        tuple(int(count) for count in reader.GetSize()),
        int(reader.GetNumberOfComponents()),
        _stored_bytes(reader),
        reader.GetSpacing(),
        reader.GetOrigin(),
        reader.GetDirection(),
    )


def read_array(path: Path) -> NDArray[Any]:
    """The voxels [z, y, x] of the image `path` in their own type; raises DatasetError where ITK cannot read them."""
    reader = _reader(path)
    with _faults_of(path):
        image = reader.Execute()
    array: NDArray[Any] = sitk.GetArrayFromImage(image)
    return array


def write_image(path: Path, volume: Volume, compress: bool) -> None:
    """Write `volume` to `path` in the format of its name; raises RuntimeError where ITK cannot."""
    sitk.WriteImage(to_sitk(volume), str(path), useCompression=compress)


def to_sitk(volume: Volume) -> sitk.Image:
    """`volume` as a SimpleITK image; booleans become 0 and 1."""
    array = volume.array.astype(np.uint8) if volume.array.dtype == np.bool_ else volume.array
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(volume.geometry.spacing_mm)
    image.SetOrigin(volume.geometry.origin_mm)
    image.SetDirection(volume.geometry.direction)
    return image


def _reader(path: Path) -> sitk.ImageFileReader:
    """The reader of ITK for the name of `path`: what a file holds must not choose among its many others."""
    for ending, image_io in _IMAGE_IO.items():
        if path.name.endswith(ending):
            reader = sitk.ImageFileReader()
            reader.SetImageIO(image_io)
            reader.SetFileName(str(path))
            return reader
    raise DatasetError(f"{path}: its name ends in none of {', '.join(_IMAGE_IO)}; convert it to one of them")


def _stored_bytes(reader: sitk.ImageFileReader) -> int:
    """Bytes of a voxel in the file; NIfTI says so itself, as ITK takes scaled integers for floats."""
    if reader.HasMetaDataKey("bitpix"):
        return int(reader.GetMetaData("bitpix")) // 8
    return _VOXEL_BYTES.get(int(reader.GetPixelID()), 8)


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
        if _NO_MEMORY.search(str(failure)):
            raise MemoryError(f"reading {path}") from None
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
