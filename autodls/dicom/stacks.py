"""From planes to volumes: which planes of a series are one stack, and whether they lie as the planes of a grid do.

The grid is that of DICOM C.7.6.2.1.1 in LPS mm: columns of the direction matrix are the cosines of a row, of a column,
and their normal, along which planes are put in order. A stack that is no grid is refused by what is wrong with it.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autodls.dicom.headers import Frame
from autodls.imaging.geometry import Geometry, as_triple
from autodls.limits import MAX_VOXELS

_SAME_COSINE = 1e-3  # planes of one stack: a twentieth of a degree
_SAME_PLACE_MM = 0.01
_OFF_SHARE, _OFF_MM = 0.01, 0.02  # of the step between planes; positions are written with two digits or more
_DRIFT_MM = 0.1  # over a whole stack
_WHOLE_STEP = 0.05
_MOST_MM = 1e5
_MOST_ALONG = 32_767  # as many as NIfTI-1 can say
_RIGHT_ANGLE = 1e-3


class UnfitError(Exception):
    """Planes that are no volume; the message says why."""


@dataclass(frozen=True)
class Stack:
    """Planes that belong together: in the order of the normal where `geometry` is known, else `refused` says why."""

    frames: tuple[Frame, ...]
    geometry: Geometry | None
    refused: str = ""
    told_apart_by: str = ""


def stacks_of(frames: Sequence[Frame]) -> list[Stack]:
    """The stacks of a series: by matrix, orientation and what was measured, then by what tells repetitions apart."""
    found = []
    for kin in _kindred(frames):
        for part, why in _repetitions(kin):
            found.append(_stack(part, why))
    return found


def _kindred(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames by kind, matrix, spacing and orientation, each in order of first instance."""
    groups: dict[tuple[object, ...], list[list[Frame]]] = {}
    for frame in sorted(frames, key=lambda one: (one.instance, one.uid, one.index)):
        spacing = tuple(round(step, 4) for step in frame.spacing_mm)
        alike = groups.setdefault((frame.kind, frame.rows, frame.columns, spacing, len(frame.orientation)), [])
        for group in alike:
            if np.abs(np.subtract(group[0].orientation, frame.orientation)).max(initial=0.0) < _SAME_COSINE:
                group.append(frame)
                break
        else:
            alike.append([frame])
    return [group for alike in groups.values() for group in alike]


def _places(frames: Sequence[Frame]) -> Counter[tuple[int, ...]]:
    return Counter(tuple(round(mm / _SAME_PLACE_MM) for mm in frame.position_mm) for frame in frames)


_NAMES = ("time point", "time point", "acquisition", "trigger time", "acquisition time", "echo")


def _repetitions(frames: list[Frame]) -> list[tuple[list[Frame], str]]:
    """The frames, divided where several lie at each place by the first step that divides them into alike volumes."""
    if any(len(frame.position_mm) != 3 for frame in frames) or max(_places(frames).values()) == 1:
        return [(frames, "")]
    for at, name in enumerate(_NAMES):
        groups: defaultdict[str, list[Frame]] = defaultdict(list)
        for frame in frames:
            groups[frame.steps[at]].append(frame)
        places = [_places(group) for group in groups.values()]
        alike = all(max(found.values()) == 1 and found == places[0] for found in places)
        if len(groups) > 1 and len(places[0]) > 1 and alike:
            return [(groups[key], name) for key in sorted(groups, key=_numerically)]
    return [(frames, "")]


def _numerically(text: str) -> tuple[float, str]:
    try:
        value = float(text)
    except ValueError:
        return math.inf, text
    return (value if math.isfinite(value) else math.inf), text


def _stack(frames: list[Frame], told_apart_by: str) -> Stack:
    try:
        ordered, geometry = _grid(frames)
    except UnfitError as failure:
        return Stack(tuple(frames), None, str(failure), told_apart_by)
    return Stack(tuple(ordered), geometry, "", told_apart_by)


def _grid(frames: list[Frame]) -> tuple[list[Frame], Geometry]:
    first = frames[0]
    _require_placed(frames)
    row, column = _axes(first)
    normal = np.cross(row, column)
    ordered = sorted(frames, key=lambda frame: float(np.dot(frame.position_mm, normal)))
    positions = np.array([frame.position_mm for frame in ordered], dtype=np.float64)
    step_mm = _even_step(positions, normal)
    size = (first.columns, first.rows, len(ordered))
    if math.prod(size) > MAX_VOXELS or max(size) > _MOST_ALONG:
        raise UnfitError(f"larger than {MAX_VOXELS} voxels, or than {_MOST_ALONG} along one axis")
    between_rows, between_columns = first.spacing_mm
    direction = tuple(np.column_stack([row, column, normal]).ravel().tolist())
    return ordered, Geometry(size, (between_columns, between_rows, step_mm), as_triple(positions[0]), direction)


def _require_placed(frames: Sequence[Frame]) -> None:
    first = frames[0]
    if min(first.rows, first.columns) < 2:
        raise UnfitError(f"not a volume: planes of {first.columns} x {first.rows} pixels")
    if any(len(frame.position_mm) != 3 or len(frame.orientation) != 6 for frame in frames):
        raise UnfitError("not a volume: its header does not say where each plane lies")
    if len(first.spacing_mm) != 2 or min(first.spacing_mm) <= 0 or max(first.spacing_mm) > _MOST_MM:
        raise UnfitError("not a volume: its header gives no pixel spacing")
    if max(abs(mm) for frame in frames for mm in frame.position_mm) > _MOST_MM:
        raise UnfitError("not a volume: a plane lies 100 m away by its header")
    if len(frames) < 2:
        raise UnfitError("not a volume: a single plane")


def _axes(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    row, column = np.array(frame.orientation[:3], dtype=np.float64), np.array(frame.orientation[3:], dtype=np.float64)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 0.01 or abs(np.dot(row, column)) > _RIGHT_ANGLE:
        raise UnfitError("its rows and columns are not at right angles by its header")
    row = row / lengths[0]
    column = column - np.dot(row, column) * row  # what rounding has left of an angle
    return row, column / np.linalg.norm(column)


def _even_step(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """The step from plane to plane in mm; raises UnfitError where planes repeat, are missing, uneven or tilted."""
    along = positions @ normal
    gaps = np.diff(along)
    if gaps.min() < _SAME_PLACE_MM:
        at_once = int((gaps < _SAME_PLACE_MM).sum())
        raise UnfitError(
            f"not a volume: {at_once + 1} planes lie at one place and nothing tells them apart"
            if at_once == len(gaps)
            else f"two volumes in a series: {at_once} planes lie where another one does, and nothing tells them apart"
        )
    _require_no_tilt(positions, normal)
    step = float(along[-1] - along[0]) / len(gaps)
    regular = along[0] + step * np.arange(len(along))
    if np.abs(along - regular).max() > max(_OFF_SHARE * step, _OFF_MM):
        raise UnfitError(_uneven(gaps))
    return step


def _require_no_tilt(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> None:
    apart = positions[-1] - positions[0]
    aside = apart - np.dot(apart, normal) * normal
    drift, length = float(np.linalg.norm(aside)), float(np.dot(apart, normal))
    if drift > _DRIFT_MM:
        angle = math.degrees(math.atan2(drift, length))
        raise UnfitError(f"gantry tilt: planes are shifted by {drift:.2f} mm over the stack ({angle:.1f} degrees)")
    lines = positions[0] + np.outer(np.linspace(0, 1, len(positions)), apart)
    across = positions - lines
    across -= np.outer(across @ normal, normal)
    if float(np.abs(across).max()) > _DRIFT_MM:
        raise UnfitError(f"its planes are shifted against each other by up to {np.abs(across).max():.2f} mm")


def _uneven(gaps: NDArray[np.float64]) -> str:
    least = float(np.median(gaps)) if len(gaps) > 2 else float(gaps.min())
    steps = gaps / least
    if np.abs(steps - np.rint(steps)).max() < _WHOLE_STEP and steps.min() > 1 - _WHOLE_STEP:
        missing = int(np.rint(steps).sum()) - len(gaps)
        where = int(np.argmax(steps)) + 1
        return f"{missing} missing slices: {gaps.max():.2f} mm after plane {where}, {least:.2f} mm elsewhere"
    return f"uneven spacing: from {gaps.min():.2f} to {gaps.max():.2f} mm between planes"
