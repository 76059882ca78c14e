"""DICOM SEG on the grid of its series: binary, fractional, sparse, overlapping, and label maps.

Every frame says where it lies. Its pixels are put to the voxels of the series at the same places; a SEG on another grid
is refused, as any resampling would move its border.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autodls.dicom.contours import Painted
from autodls.dicom.drawn import DrawnRoi
from autodls.dicom.facts import Facts
from autodls.dicom.headers import Frame, enhanced_frames
from autodls.dicom.reading import code, first, items, number, read_dataset, silent
from autodls.dicom.stacks import UnfitError
from autodls.dicom.volume import decoded
from autodls.imaging.geometry import Geometry, Points

if TYPE_CHECKING:
    from pydicom import Dataset

_SAME_PLACE_VOXELS = 0.05
_HALF = 0.5


def paint_segment(roi: DrawnRoi, grid: Geometry) -> Painted:
    """The voxels of `grid` in one segment; raises UnfitError where it lies on another grid, or is empty."""
    with silent():
        try:
            dataset = read_dataset(roi.path)
        except ValueError as failure:
            raise UnfitError(str(failure)) from None
        kind = code(dataset, "SegmentationType")
        chosen = _frames_of(dataset, roi, kind)
        threshold = _threshold(dataset, kind)
    if not chosen:
        raise UnfitError(f"segment {roi.number} has no frame")
    mask = np.zeros(grid.size_xyz[::-1], dtype=np.bool_)
    planes, _, _ = decoded(chosen, "SEG")
    for frame, pixels in zip(chosen, planes, strict=True):
        drawn = pixels == roi.number if kind == "LABELMAP" else pixels >= threshold
        if drawn.any():
            _put(mask, drawn, frame, grid)
    if not mask.any():
        raise UnfitError(f"segment {roi.number} is empty")
    return Painted(mask, float(mask.sum()) * float(np.prod(grid.spacing_mm)))


def _frames_of(dataset: "Dataset", roi: DrawnRoi, kind: str) -> list[Frame]:
    frames = enhanced_frames(roi.path, dataset, Facts())
    if kind == "LABELMAP":
        return list(frames)
    shared = first(dataset, "SharedFunctionalGroupsSequence", "SegmentIdentificationSequence")
    found = []
    for frame, own in zip(frames, items(dataset, "PerFrameFunctionalGroupsSequence"), strict=False):
        segment = first(own, "SegmentIdentificationSequence") or shared
        if segment is not None and number(segment, "ReferencedSegmentNumber") == roi.number:
            found.append(frame)
    return found


def _threshold(dataset: "Dataset", kind: str) -> float:
    if kind in ("BINARY", "LABELMAP"):
        return 1.0
    if kind != "FRACTIONAL":
        raise UnfitError(f"a segmentation of type '{kind}', expected BINARY, FRACTIONAL or LABELMAP")
    most = number(dataset, "MaximumFractionalValue")
    if most is None or most <= 0:
        raise UnfitError("a fractional segmentation that does not say which value is the whole")
    return _HALF * most


def _put(mask: NDArray[np.bool_], drawn: NDArray[np.bool_], frame: Frame, grid: Geometry) -> None:
    rows, columns = np.nonzero(drawn)
    index = grid.physical_to_index(_places_mm(frame, rows, columns))
    nearest = np.rint(index)
    off = float(np.abs(index - nearest).max())
    if off > _SAME_PLACE_VOXELS:
        raise UnfitError(
            f"lies between the voxels of its series (by {off:.2f} voxels): it was drawn on another grid; draw it on "
            "this series, or export it on its grid"
        )
    x, y, z = nearest.astype(np.int64).T
    outside = (nearest < 0).any(axis=1) | (nearest >= grid.size_xyz).any(axis=1)
    if outside.any():
        raise UnfitError(f"{int(outside.sum())} of its pixels lie outside the series that it refers to")
    mask[z, y, x] = True


def _places_mm(frame: Frame, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Points:
    """LPS mm of pixels of a frame (DICOM C.7.6.2.1.1)."""
    if len(frame.position_mm) != 3 or len(frame.orientation) != 6 or len(frame.spacing_mm) != 2:
        raise UnfitError("a frame does not say where it lies")
    along_row, along_column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    between_rows, between_columns = frame.spacing_mm
    places: Points = (
        np.array(frame.position_mm)
        + np.outer(columns * between_columns, along_row)
        + np.outer(rows * between_rows, along_column)
    )
    return places
