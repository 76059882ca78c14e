"""A study as results are written back to it: its series as stacks of slices, with what of their headers that needs.

Read plainly: stacks of single-frame slices, parallel, evenly spaced and not sheared. All else is refused by name.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autodls.dicom.door import pydicom, quiet, same_needed
from autodls.errors import DatasetError, InputError
from autodls.imaging.geometry import Geometry, Volume, as_triple
from autodls.limits import MAX_VOXELS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_COSINE = 1e-4
_APART_MM = 0.05
_SPACING_SHARE = 0.01
_PET = "PT"
_NEEDED = (
    "ImagePositionPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "FrameOfReferenceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
)


@dataclass(frozen=True)
class SourceSeries:
    """Slices in the order of z, with what is needed of their headers alone, and the grid that they make."""

    datasets: Sequence["Dataset"]
    geometry: Geometry

    @classmethod
    def of(cls, datasets: Iterable["Dataset"], name: str) -> "SourceSeries":
        """The stack that `datasets` make, in whatever order; raises DatasetError, which starts with `name`."""
        try:
            with quiet():
                slices = [same_needed(dataset) for dataset in datasets]
                normal, across = _orientation(slices, name)
                slices.sort(key=lambda one: float(np.dot(normal, one.ImagePositionPatient)))
                geometry = _geometry(slices, normal, across, name)
        except InputError:
            raise
        except Exception as failure:  # a value that is not what its element is for
            raise DatasetError(
                f"{name}: a header cannot be read ({type(failure).__name__}); export the series anew"
            ) from None
        for one in slices:  # which readers of a segmentation need
            one.setdefault("SliceThickness", f"{geometry.spacing_mm[2]:.6g}")
        return cls(slices, geometry)

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return str(self.datasets[0].SeriesInstanceUID)

    @property
    def instance_uids(self) -> tuple[str, ...]:
        """SOPInstanceUID of each slice."""
        return tuple(str(one.SOPInstanceUID) for one in self.datasets)


@dataclass(frozen=True)
class SourceStudy:
    """One case: series by the channel of the model that they are; `roi_channel` names that on which the ROI lies.

    `case` names nobody. `files` holds the slices of each series, in the order of its datasets.
    """

    case: str
    series: Mapping[str, SourceSeries]
    roi_channel: str
    files: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    @property
    def reference(self) -> SourceSeries:
        """The series on whose grid the ROI lies."""
        return self.series[self.roi_channel]

    def volume(self, channel: str) -> Volume:
        """The voxels of a channel [z, y, x], rescaled as its headers say; raises DatasetError."""
        series, paths = self.series[channel], self.files[channel]
        slices = [_pixels(path) for path in paths]
        if len({pixels.shape for pixels in slices}) != 1 or slices[0].shape != series.geometry.size_xyz[1::-1]:
            raise DatasetError(f"{paths[0].name}: slices of {channel} are not of one size; export the series anew")
        return Volume(np.stack(slices), series.geometry)


def _pixels(path: Path) -> NDArray[np.float32]:
    library = pydicom()
    try:
        with quiet():
            dataset = library.dcmread(path)
            pixels = dataset.pixel_array.astype(np.float32)
    except Exception as failure:  # each decoder has errors of its own
        reason = " ".join(str(failure).split())[:200] or type(failure).__name__
        raise DatasetError(f"{path.name}: its pixels cannot be read ({reason}); export it uncompressed") from None
    if pixels.ndim != 2:
        raise DatasetError(f"{path.name}: pixels of {pixels.ndim} axes, expected one grey slice; export it as such")
    if dataset.get("Modality") == _PET:
        raise DatasetError(f"{path.name}: PET needs its standardised uptake: convert the study by 'autodls import'")
    slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
    rescaled: NDArray[np.float32] = (pixels * slope + intercept).astype(np.float32)
    return rescaled


def _orientation(slices: Sequence["Dataset"], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The normal of all slices [3], and the axes of their columns and rows [2, 3]."""
    if len(slices) < 2:
        raise DatasetError(f"{name}: {len(slices)} slice, which is no volume; give a stack of slices")
    for one in slices:
        missing = [word for word in _NEEDED if not one.get(word)]
        if missing or len(one.get("ImageOrientationPatient") or ()) != 6:
            raise DatasetError(f"{name}: a slice without {', '.join(missing) or 'orientation'}; export the series anew")
    axes = np.array([one.ImageOrientationPatient for one in slices], dtype=np.float64)
    if np.abs(axes - axes[0]).max() > _COSINE:
        raise DatasetError(f"{name}: slices of more than one orientation; split the series")
    across = axes[0].reshape(2, 3)
    normal = np.cross(across[0], across[1])
    if abs(np.linalg.norm(normal) - 1) > 1e-3:
        raise DatasetError(f"{name}: axes of {axes[0].tolist()} are not at right angles; export the series anew")
    return normal / np.linalg.norm(normal), across


def _geometry(
    slices: Sequence["Dataset"], normal: NDArray[np.float64], across: NDArray[np.float64], name: str
) -> Geometry:
    places = np.array([one.ImagePositionPatient for one in slices], dtype=np.float64)
    shapes = {(int(one.Rows), int(one.Columns), *map(float, one.PixelSpacing)) for one in slices}
    if len(shapes) != 1:
        raise DatasetError(f"{name}: slices of {len(shapes)} sizes or spacings; split the series")
    steps = np.diff(places @ normal)
    spacing = float(steps.mean())
    if steps.min() < 1e-3:
        raise DatasetError(f"{name}: two slices at one place; split the series, or remove what is doubled")
    if np.abs(steps - spacing).max() > max(_SPACING_SHARE * spacing, _APART_MM):
        raise DatasetError(
            f"{name}: slices {steps.min():.2f} to {steps.max():.2f} mm apart; one is missing, or they are uneven"
        )
    sideways = np.linalg.norm(places - places[0] - np.outer((places - places[0]) @ normal, normal), axis=1)
    if sideways.max() > _APART_MM:
        raise DatasetError(f"{name}: slices are shifted by {sideways.max():.2f} mm (gantry tilt?); resample it first")
    rows, columns, row_mm, column_mm = shapes.pop()
    size = int(columns), int(rows), len(slices)
    if math.prod(size) > MAX_VOXELS:
        raise DatasetError(f"{name}: {size} voxels, more than {MAX_VOXELS}; export a smaller one")
    return Geometry(
        size,
        (float(column_mm), float(row_mm), spacing),
        as_triple(places[0]),
        tuple(np.stack([*across, normal], axis=1).ravel().tolist()),
    )
