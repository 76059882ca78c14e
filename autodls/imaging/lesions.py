"""The lesions of one ROI, told apart."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autodls.imaging.geometry import Geometry, Triple, Volume, as_triple, bounding_box
from autodls.imaging.parts import number_parts

Numbers = NDArray[np.int32]


@dataclass(frozen=True)
class LesionPlace:
    """Which lesion of a patient, by volume from 1, how large it is, and the middle of its voxels, LPS mm."""

    number: int
    volume_ml: float
    centre_mm: Triple


@dataclass(frozen=True)
class Lesions:
    """The lesions of an ROI: `numbers` [z, y, x] on `geometry` has that of its lesion in every voxel, 0 outside.

    `places` are those of the lesions, the largest first; `merged` is how many parts were too small to be one.
    """

    numbers: Numbers
    geometry: Geometry
    places: tuple[LesionPlace, ...]
    merged: int

    def mask(self, number: int) -> Volume:
        """One lesion alone, bool [z, y, x]."""
        return Volume(self.numbers == number, self.geometry)


def tell_lesions(roi: Volume, told_by: Literal["components", "labels"], least_mm3: float) -> Lesions:
    """The lesions of `roi` [z, y, x], bool or labels, which is not empty; the largest is 1.

    `told_by` components they are its connected parts, also at a corner of a voxel, by labels what has one value. One of
    less than `least_mm3` is taken to the lesion that is nearest in mm, by the nearest of their voxels; where none is as
    large, the largest is the lesion.

    >>> row = Volume(np.array([[[5, 5, 0, 0, 7, 7, 7]]]), Geometry((7, 1, 1), (1.0, 1.0, 1.0)))
    >>> tell_lesions(row, "components", 2.0).numbers.tolist()
    [[[2, 2, 0, 0, 1, 1, 1]]]
    >>> found = tell_lesions(row, "labels", 2.5)
    >>> found.numbers.tolist(), found.merged, found.places[0].centre_mm
    ([[[1, 1, 0, 0, 1, 1, 1]]], 1, (3.2, 0.0, 0.0))
    """
    box = bounding_box(roi.array != 0)
    inside = roi.array[box]
    parts, volumes_mm3 = _parts(inside, told_by, float(np.prod(roi.geometry.spacing_mm)))
    kept = max(1, int(np.count_nonzero(volumes_mm3 >= least_mm3)))
    if kept < len(volumes_mm3):
        parts = _merged(parts, kept, roi.geometry.spacing_mm[::-1])
    numbers = np.zeros(roi.array.shape, dtype=np.int32)
    numbers[box] = parts
    start_zyx = np.array([span.start for span in box])
    places = tuple(_place(parts, number, start_zyx, roi.geometry) for number in range(1, kept + 1))
    return Lesions(numbers, roi.geometry, places, len(volumes_mm3) - kept)


def _parts(
    inside: NDArray[np.generic], told_by: Literal["components", "labels"], voxel_mm3: float
) -> tuple[Numbers, NDArray[np.float64]]:
    """The number of its part in every voxel, 1 for the largest, and their volumes in that order."""
    if told_by == "components":
        numbers, count = number_parts(inside != 0)
    else:
        values, of_value = np.unique(inside, return_inverse=True)
        voxels = np.where(values == 0, -1, np.bincount(of_value.ravel(), minlength=len(values)))
        count = int(np.count_nonzero(values))
        rank = np.empty(len(values), dtype=np.int32)
        rank[np.argsort(-voxels, kind="stable")] = np.arange(1, len(values) + 1)
        numbers = np.where(values == 0, 0, rank).astype(np.int32)[of_value].reshape(inside.shape)
    voxels_of_parts = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    return numbers, voxels_of_parts.astype(np.float64) * voxel_mm3


def _merged(parts: Numbers, kept: int, spacing_zyx_mm: Triple) -> Numbers:
    """`parts`, of which those beyond `kept` have the number of the nearest that is not."""
    from scipy.ndimage import distance_transform_edt  # 0.2 s, and seldom needed

    far = (parts == 0) | (parts > kept)
    apart_mm, nearest = distance_transform_edt(far, sampling=spacing_zyx_mm, return_indices=True)
    small = np.nonzero(parts > kept)
    order = np.lexsort((apart_mm[small], parts[small]))
    numbers, first = np.unique(parts[small][order], return_index=True)
    closest = tuple(axis[order][first] for axis in small)
    renamed = np.arange(int(parts.max()) + 1, dtype=np.int32)
    renamed[numbers] = parts[tuple(nearest[(slice(None), *closest)])]
    return renamed[parts]


def _place(parts: Numbers, number: int, start_zyx: NDArray[np.intp], grid: Geometry) -> LesionPlace:
    zyx = np.argwhere(parts == number)
    volume_ml = len(zyx) * float(np.prod(grid.spacing_mm)) / 1000
    centre = zyx.mean(axis=0) + start_zyx
    return LesionPlace(number, volume_ml, as_triple(grid.index_to_physical(centre[::-1])))
