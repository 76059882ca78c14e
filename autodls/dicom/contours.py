"""RTSTRUCT contours on the grid of their series.

Each contour lies in one plane: its points are put to the plane that they are nearest to along the normal, so that
oblique series need nothing of their own, and one that lies in none is refused. A voxel is inside where its centre is,
by the even-odd rule over all contours of the plane: a contour within another is a hole (DICOM C.8.8.6.3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autodls.dicom.drawn import DrawnRoi
from autodls.dicom.reading import count, items, numbers, read_dataset, silent, text
from autodls.dicom.stacks import UnfitError
from autodls.imaging.geometry import Geometry, Points

if TYPE_CHECKING:
    from pydicom import Dataset

_OFF_PLANE = 0.1  # of the step between planes
_LEAST_OFF_MM = 0.05
_MOST_POINTS = 1 << 24
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")
_LARGEST_MM = 1e5
_MOST_IN_A_PLANE = 1000


@dataclass(frozen=True)
class Painted:
    """A mask [z, y, x], the volume of what was drawn by its polygons in mm3, and what is to be said of it."""

    mask: NDArray[np.bool_]
    drawn_mm3: float
    notes: tuple[str, ...] = ()


def read_contours(roi: DrawnRoi) -> tuple[list[Points], list[str]]:
    """The closed contours [points, 3] of an ROI in LPS mm, and what of it is no closed contour."""
    with silent():
        try:
            dataset = read_dataset(roi.path)
        except ValueError as failure:
            raise UnfitError(str(failure)) from None
        drawn = [one for one in items(dataset, "ROIContourSequence") if count(one, "ReferencedROINumber") == roi.number]
        found, others = [], 0
        for contour in (contour for one in drawn for contour in items(one, "ContourSequence")):
            if text(contour, "ContourGeometricType").upper() not in _CLOSED:
                others += 1
                continue
            found.append(_points(contour))
    if not found:
        raise UnfitError(f"no closed contour, {others} of other kinds (points or open lines)")
    if sum(map(len, found)) > _MOST_POINTS:
        raise UnfitError(f"more than {_MOST_POINTS} points")
    notes = [f"{others} contours are points or open lines, and left out"] if others else []
    return found, notes


def _points(contour: "Dataset") -> Points:
    values = _coordinates(contour)
    if len(values) < 9 or len(values) % 3:
        raise UnfitError(f"a contour of {len(values)} coordinates, expected three or more points of three")
    points = np.array(values, dtype=np.float64).reshape(-1, 3)
    if not np.abs(points).max() <= _LARGEST_MM:  # NaN too
        raise UnfitError("a contour that lies 100 m away")
    return points


def _coordinates(contour: "Dataset") -> tuple[float, ...]:
    """All numbers of a contour: `text` is cut where a name would be too long."""
    try:
        return tuple(float(value) for value in contour["ContourData"].value)
    except Exception:  # one that is no number, or none at all
        return numbers(contour, "ContourData")


def paint(contours: Sequence[Points], grid: Geometry) -> Painted:
    """The voxels of `grid` whose centres lie inside `contours` [points, 3] in mm.

    Raises UnfitError where a contour lies in no plane of the grid, or where nothing is inside.
    """
    width, height, depth = grid.size_xyz
    by_plane: dict[int, list[NDArray[np.float64]]] = {}
    for points in contours:
        index = grid.physical_to_index(points)
        plane = _plane_of(index[:, 2], grid)
        by_plane.setdefault(plane, []).append(index[:, :2])
    mask = np.zeros((depth, height, width), dtype=np.bool_)
    drawn = 0.0
    for plane, polygons in by_plane.items():
        if len(polygons) > _MOST_IN_A_PLANE:
            raise UnfitError(f"{len(polygons)} contours in one plane, expected at most {_MOST_IN_A_PLANE}")
        mask[plane] = inside(polygons, (height, width))
        drawn += area(polygons)
    if not mask.any():
        raise UnfitError("no centre of a voxel lies inside its contours")
    return Painted(mask, drawn * float(np.prod(grid.spacing_mm)), tuple(_gaps(sorted(by_plane))))


def _plane_of(along: NDArray[np.float64], grid: Geometry) -> int:
    """The plane that all points of a contour lie in, by their place along the normal in planes."""
    plane = round(float(np.median(along)))
    off = np.abs(along - plane).max()
    step_mm = grid.spacing_mm[2]
    if off * step_mm > max(_OFF_PLANE * step_mm, _LEAST_OFF_MM):
        raise UnfitError(
            f"a contour lies {off * step_mm:.2f} mm off every plane of the series (planes are {step_mm:.2f} mm apart)"
        )
    if not 0 <= plane < grid.size_xyz[2]:
        raise UnfitError(f"a contour lies outside the series, at plane {plane + 1} of {grid.size_xyz[2]}")
    return plane


def inside(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels [row, column] of `shape` have their centre inside an odd number of `polygons` [points, (x, y)].

    Each edge that crosses the line of a row toggles all pixels to its right; rows count from their centre on, so that
    a corner that two edges share is met once.

    >>> square = np.array([[0.5, 0.5], [3.5, 0.5], [3.5, 3.5], [0.5, 3.5]])
    >>> inside([square, square / 3 + 1.5], (5, 5)).astype(int).sum()
    np.int64(8)
    """
    height, width = shape
    crossings = np.zeros((height, width + 1), dtype=np.int64)
    for polygon in polygons:
        start, end = polygon, np.roll(polygon, -1, axis=0)
        upward = start[:, 1] < end[:, 1]
        low, high = np.where(upward[:, None], start, end), np.where(upward[:, None], end, start)
        first = np.clip(np.ceil(low[:, 1]), 0, height).astype(np.int64)
        last = np.clip(np.ceil(high[:, 1]), 0, height).astype(np.int64)
        rows = last - first
        edge = np.repeat(np.arange(len(rows)), rows)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows, rows) + first[edge]
        share = (row - low[edge, 1]) / (high[edge, 1] - low[edge, 1])
        x = low[edge, 0] + share * (high[edge, 0] - low[edge, 0])
        column = np.clip(np.ceil(x), 0, width).astype(np.int64)
        np.add.at(crossings, (row, column), 1)
    odd: NDArray[np.bool_] = crossings.cumsum(axis=1)[:, :width] % 2 == 1
    return odd


def area(polygons: Sequence[NDArray[np.float64]]) -> float:
    """The area inside an odd number of polygons that do not cross, in pixels: holes count off."""
    found = 0.0
    for at, polygon in enumerate(polygons):
        depth = sum(_holds(other, polygon[0]) for index, other in enumerate(polygons) if index != at)
        x, y = polygon.T
        size = 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
        found += -size if depth % 2 else size
    return found


def _holds(polygon: NDArray[np.float64], point: NDArray[np.float64]) -> bool:
    start, end = polygon, np.roll(polygon, -1, axis=0)
    across = (start[:, 1] <= point[1]) != (end[:, 1] <= point[1])
    a, b = start[across], end[across]
    x = a[:, 0] + (point[1] - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return bool((x > point[0]).sum() % 2)


def _gaps(planes: Sequence[int]) -> list[str]:
    missing = sorted(set(range(planes[0], planes[-1] + 1)) - set(planes))
    if not missing:
        return []
    return [f"{len(missing)} planes between drawn ones hold no contour (plane {missing[0] + 1} first)"]
