"""How large a tumour is, and what is wrong with its ROI."""

import numpy as np
from numpy.typing import NDArray

from autodls.imaging.geometry import Geometry, Volume, bounding_box, lps_orientation
from autodls.imaging.inside import shown_share, tumour_box
from autodls.imaging.lattice import grid_fault
from autodls.imaging.parts import largest_run, middle, number_parts
from autodls.records.plane_names import PlaneName

PLANES_ZYX: tuple[PlaneName, PlaneName, PlaneName] = (
    "axial",
    "coronal",
    "sagittal",
)  # at right angles to S, P and L: axes z, y, x

LEAST_LESION_MM3 = 65.0  # a ball of 5 mm across


def extent_mm(roi: Volume) -> dict[PlaneName, float]:
    """Side in mm of the smallest axis-aligned square around the tumour's largest part in the plane of its largest area.

    That part is what planes are chosen and centred by (`preprocessing.planes`). Planes are those of the ROI's own grid,
    named by the body axis that is nearest to their normal, the middle one of planes of one area. `roi` is a bool array
    that is not empty.

    >>> mask = np.zeros((4, 10, 10), dtype=bool)
    >>> mask[1:3, 2:8, 5:8] = True
    >>> extent_mm(Volume(mask, Geometry((10, 10, 4), (1.0, 1.0, 5.0))))
    {'axial': 6.0, 'coronal': 10.0, 'sagittal': 10.0}
    """
    orientation = lps_orientation(roi.geometry)
    mask = orientation.array(roi.array)
    mask = number_parts(mask[bounding_box(mask)])[0] == 1
    spacing_zyx = orientation.geometry(roi.geometry).spacing_mm[::-1]
    return {plane: _side_mm(mask, axis, spacing_zyx) for axis, plane in enumerate(PLANES_ZYX)}


def _side_mm(mask: NDArray[np.bool_], normal: int, spacing_mm: tuple[float, ...]) -> float:
    across = tuple(axis for axis in range(3) if axis != normal)
    section = mask.take(middle(largest_run(mask.sum(axis=across))), axis=normal)
    sides = []
    for axis, name in enumerate(across):
        reached = np.flatnonzero(np.any(section, axis=1 - axis))
        sides.append(float(reached[-1] - reached[0] + 1) * spacing_mm[name])
    return max(sides)


def volume_ml(roi: Volume) -> float:
    """Volume of the tumour in millilitres: its voxels times the volume of one."""
    return float(np.count_nonzero(roi.array) * np.prod(roi.geometry.spacing_mm) / 1000.0)


def part_volumes_ml(roi: Volume) -> tuple[float, ...]:
    """Volume in millilitres of each connected part of the tumour, the largest first; voxels that touch at a corner are
    connected.
    """
    numbers, parts = number_parts(roi.array[bounding_box(roi.array)])
    voxels = np.bincount(numbers.ravel(), minlength=parts + 1)[1:]
    return tuple((voxels * np.prod(roi.geometry.spacing_mm) / 1000.0).tolist())


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
    what, repair = grid_fault(roi.geometry, image)
    return f"the ROI {what}", repair
