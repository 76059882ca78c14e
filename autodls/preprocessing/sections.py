"""The tumour as the isotropic frame samples it: areas of its sections, where they lie, what a window of one shows.

A sample of the frame takes the ROI voxel that is nearest to it. As the axes of both grids are parallel, that voxel is
found axis by axis, and the area of a plane is a weighted sum over the voxels of one ROI slice: nothing is resampled,
and the cost is that of the tumour's bounding box.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autodls.imaging.geometry import Geometry, Points, bounding_box, lps_orientation
from autodls.imaging.parts import largest_run, middle, number_parts

LARGEST = 1  # the number of the part that planes are chosen for

# A sample half way between two voxels takes the upper one, also where rounding puts it a little below.
_TIE = 1e-9
_ROUNDED = 6  # digits of a distance in voxels: rounding must not decide which of two samples is nearer


@dataclass(frozen=True)
class Sections:
    """The ROI in its bounding box, with axes L, P, S, and what the samples of the frame take from it.

    `numbers` holds the number of its connected part in every voxel, 1 for the largest and 0 outside, `voxels_of_parts`
    how many voxels each part has, the largest first. `places[axis]` gives, for each sample of the frame along `axis`,
    where it lies, in voxels of the box, `voxels[axis]` the voxel that it takes; -1 outside. `is_sampled` is False where
    the largest part falls between all samples.
    """

    numbers: NDArray[np.int32]
    voxels_of_parts: NDArray[np.int64]
    voxels: tuple[NDArray[np.int64], ...]
    places: tuple[Points, ...]
    is_sampled: bool = True

    @property
    def parts(self) -> int:
        """How many connected parts the tumour has."""
        return len(self.voxels_of_parts)

    def counts(self, axis: int) -> NDArray[np.int64]:
        """How many samples of the frame take each index along `axis`."""
        return self._counts(self.voxels[axis], axis)

    def areas(self, axis: int) -> NDArray[np.int64]:
        """Samples inside the largest part in each plane of the frame normal to `axis`."""
        first, second = (other for other in range(3) if other != axis)
        slices = np.moveaxis(self.numbers == LARGEST, axis, 0).astype(np.int64)
        per_slice = slices @ self.counts(second) @ self.counts(first)
        voxels = self.voxels[axis]
        return np.where(voxels >= 0, per_slice[voxels], 0)

    def largest(self, axis: int) -> int:
        """The plane normal to `axis` that shows most of the largest part.

        A thick slice is taken by several samples: of equal planes those are looked at that follow each other without a
        gap, of them the middle slice of the ROI's grid, the lower of two, and of its samples the one nearest to its
        centre. So the plane lies where an image was acquired, not between two.
        """
        run = largest_run(self.areas(axis))
        taken = self.voxels[axis][run]
        voxel = middle(np.unique(taken))
        of_voxel = run[taken == voxel]
        apart = np.abs(self.places[axis][of_voxel] - voxel).round(_ROUNDED)
        return int(of_voxel[apart.argmin()])

    def extent(self, normal: int, index: int, axis: int) -> tuple[int, int]:
        """First and last sample of the largest part along `axis`, in plane `index` normal to `normal`."""
        third = 3 - normal - axis
        in_plane = np.moveaxis(self.numbers == LARGEST, (normal, axis, third), (0, 1, 2))[self.voxels[normal][index]]
        touched = in_plane[:, self.counts(third) > 0].any(axis=1)
        voxels = self.voxels[axis]
        samples = np.flatnonzero((voxels >= 0) & touched[voxels])
        return int(samples[0]), int(samples[-1])

    def seen(self, normal: int, index: int, windows: dict[int, tuple[float, float]]) -> tuple[float, set[int]]:
        """Share of all tumour in plane `index` normal to `normal` that lies in a window of it, and the parts in there.

        `windows` gives the borders of the window by axis, in samples.
        """
        first, second = sorted(windows)
        section = np.moveaxis(self.numbers, (normal, first, second), (0, 1, 2))[self.voxels[normal][index]]
        total = self._weight(section, self.counts(first), self.counts(second))
        inside = {axis: self._counts_within(axis, *windows[axis]) for axis in (first, second)}
        shown = section[inside[first] > 0][:, inside[second] > 0]
        share = self._weight(section, inside[first], inside[second]) / total
        return share, set(np.unique(shown[shown > 0]).tolist())

    @staticmethod
    def _weight(section: NDArray[np.int32], first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
        return int(first @ (section > 0).astype(np.int64) @ second)

    def _counts_within(self, axis: int, low: float, high: float) -> NDArray[np.int64]:
        start, stop = max(0, int(np.ceil(low - _TIE))), max(0, int(np.floor(high + _TIE)) + 1)
        return self._counts(self.voxels[axis][start:stop], axis)

    def _counts(self, voxels: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
        return np.bincount(voxels[voxels >= 0], minlength=self.numbers.shape[axis])


def sections_of(roi: NDArray[np.bool_], grid: Geometry, frame: Geometry) -> Sections:
    """The sections of `roi` [z, y, x], which lies on `grid` and is not empty, by the isotropic `frame` of `grid`.

    A largest part that falls between all samples is represented by the sample nearest to the centre of its box.
    """
    orientation = lps_orientation(grid)
    mask = orientation.array(roi)
    box = bounding_box(mask)
    numbers, parts = number_parts(mask[box])
    volumes = np.bincount(numbers.ravel(), minlength=parts + 1)[1:]
    ratios = [frame.spacing_mm[axis] / grid.spacing_mm[orientation.axes[axis]] for axis in range(3)]
    places = tuple(
        np.arange(count, dtype=np.float64) * ratio - span.start
        for count, ratio, span in zip(frame.size_xyz, ratios, box[::-1], strict=True)
    )
    lengths = numbers.shape[::-1]
    taken = tuple(_voxels_at(place, length) for place, length in zip(places, lengths, strict=True))
    found = Sections(numbers.T, volumes, taken, places)
    return found if found.areas(0).any() else _single(found)


def _voxels_at(places: Points, length: int) -> NDArray[np.int64]:
    nearest = np.floor(places + 0.5 + _TIE).astype(np.int64)
    return np.where((nearest >= 0) & (nearest < length), nearest, -1)


def _single(found: Sections) -> Sections:
    """The sample nearest to the centre of the largest part, alone."""
    box = bounding_box(found.numbers == LARGEST)
    middles = [(span.start + span.stop - 1) / 2 for span in box]
    voxels = tuple(
        np.where(np.arange(place.size) == np.abs(place - centre).argmin(), 0, -1)
        for place, centre in zip(found.places, middles, strict=True)
    )
    return replace(found, numbers=np.ones((1, 1, 1), dtype=np.int32), voxels=voxels, is_sampled=False)
