"""Where a tumour lies, how large it is, and how much of it an image shows."""

import itertools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autodls.imaging.geometry import Geometry, Points, Volume, bounding_box, lps_orientation

Plane = Literal["axial", "coronal", "sagittal"]
PLANES: tuple[Plane, Plane, Plane] = ("axial", "coronal", "sagittal")  # at right angles to S, P and L: axes z, y, x

_BOX_POINTS = 9


def extent_mm(roi: Volume) -> dict[Plane, float]:
    """Side in mm of the smallest axis-aligned square around the tumour in the plane of its largest area.

    Planes are those of the ROI's own grid, named by the body axis that is nearest to their normal. `roi` is a bool
    array that is not empty.

    >>> mask = np.zeros((4, 10, 10), dtype=bool)
    >>> mask[1:3, 2:8, 5:8] = True
    >>> extent_mm(Volume(mask, Geometry((10, 10, 4), (1.0, 1.0, 5.0))))
    {'axial': 6.0, 'coronal': 10.0, 'sagittal': 10.0}
    """
    orientation = lps_orientation(roi.geometry)
    mask = orientation.array(roi.array)
    spacing_zyx = orientation.geometry(roi.geometry).spacing_mm[::-1]
    return {plane: _side_mm(mask, axis, spacing_zyx) for axis, plane in enumerate(PLANES)}


def _side_mm(mask: NDArray[np.bool_], normal: int, spacing_mm: tuple[float, ...]) -> float:
    across = tuple(axis for axis in range(3) if axis != normal)
    section = mask.take(int(mask.sum(axis=across).argmax()), axis=normal)
    sides = []
    for axis, name in enumerate(across):
        reached = np.flatnonzero(np.any(section, axis=1 - axis))
        sides.append(float(reached[-1] - reached[0] + 1) * spacing_mm[name])
    return max(sides)


def volume_ml(roi: Volume) -> float:
    """Volume of the tumour in millilitres: its voxels times the volume of one."""
    return float(np.count_nonzero(roi.array) * np.prod(roi.geometry.spacing_mm) / 1000.0)


def components(roi: Volume) -> int:
    """Connected parts of the tumour; voxels that touch at a corner are connected."""
    from scipy import ndimage  # scoring, which counts no parts, goes without its import of 0.2 s

    box = bounding_box(roi.array)
    return int(ndimage.label(roi.array[box], structure=np.ones((3, 3, 3)))[1])


def tumour_box(roi: Volume) -> Points:
    """Points in LPS mm, [729, 3], that are spread evenly over the box around the tumour on the ROI's grid."""
    box = bounding_box(roi.array)
    axes = [np.linspace(part.start - 0.5, part.stop - 0.5, 2 * _BOX_POINTS + 1)[1::2] for part in box[::-1]]
    return roi.geometry.index_to_physical(list(itertools.product(*axes)))


def shown(points_mm: Points, grid: Geometry) -> NDArray[np.bool_]:
    """Which of the points [n, 3] lie in a voxel of `grid`."""
    index = grid.physical_to_index(points_mm)
    return np.asarray(((index >= -0.5) & (index <= np.asarray(grid.size_xyz) - 0.5)).all(axis=1))


def shown_share(box_mm: Points, grid: Geometry) -> float:
    """Share of the points of a `tumour_box` that an image on `grid` shows."""
    return float(shown(box_mm, grid).mean())


def roi_fault(roi: Volume, image: Geometry | None) -> tuple[str, str] | None:
    """What is wrong with an ROI that was drawn on `image` (None where there is none), and its repair; else None."""
    if not roi.array.any():
        return "the ROI is empty", "draw the tumour, or remove the file"
    if image is None or roi.geometry.same_grid(image):
        return None
    share = shown_share(tumour_box(roi), image)
    if share < 1.0:
        what = f"the ROI reaches outside its image, which shows {100 * share:.0f}% of the box around the tumour"
        return what, "draw it on this image, or give it the image's origin and direction"
    return f"the ROI is on another grid ({_grid(roi.geometry)}) than its image ({_grid(image)})", (
        "resample the ROI onto the image with nearest neighbours"
    )


def _grid(grid: Geometry) -> str:
    size, spacing = " x ".join(map(str, grid.size_xyz)), " x ".join(f"{side:g}" for side in grid.spacing_mm)
    origin = ", ".join(f"{place:.5g}" for place in grid.origin_mm)
    return f"{size} voxels of {spacing} mm from {origin}"
