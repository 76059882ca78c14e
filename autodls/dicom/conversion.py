"""One file of the dataset from DICOM: an image, or an ROI on the grid of its image. Work of one process of several.

What was written is known by a key, a hash of all that it depends on: the bytes of its sources, its planes and the rules
here. A file whose key and bytes stand in the log of an earlier life is not made again.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodls.dicom.contours import Painted, paint, read_contours
from autodls.dicom.drawn import DrawnRoi
from autodls.dicom.segments import paint_segment
from autodls.dicom.stacks import Stack, UnfitError
from autodls.dicom.volume import read_stack
from autodls.errors import DatasetError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.volumes import write_volume
from autodls.records.files import sha256_of_file

_RULES = "autodls-import/2"  # another number where the same DICOM would give other bytes
_NOTED_DIFFERENCE, _NOTED_VOXELS = 0.1, 50


@dataclass(frozen=True)
class Task:
    """One file to be made: `rows` names the rows of series.csv that it comes from."""

    rows: str
    target: Path
    name: str
    stack: Stack
    modality: str
    rois: tuple[DrawnRoi, ...] = ()
    log: Path = Path()
    known: tuple[str, str] | None = None


@dataclass(frozen=True)
class Made:
    """What came of a task: `refused` says why nothing did."""

    name: str
    rows: str
    refused: str = ""
    notes: tuple[str, ...] = ()
    voxels: int = 0
    volume_mm3: float = 0.0
    drawn_mm3: float = 0.0


def convert(task: Task) -> Made:
    """Make the file of a task, unless it is there as it would be made; log what it is made of."""
    try:
        return _convert(task)
    except UnfitError as failure:
        return Made(task.name, task.rows, refused=str(failure))
    except DatasetError as failure:
        return Made(task.name, task.rows, refused=str(failure))
    except OSError as failure:
        if failure.filename is None or Path(os.fsdecode(failure.filename)) == task.target:
            raise
        return Made(task.name, task.rows, refused=f"its files cannot be read ({failure.strerror})")


def _convert(task: Task) -> Made:
    key = _key(task)
    kept = task.known is not None and task.known[0] == key and _is_file_of(task.target, task.known[1])
    if not task.rois:
        if not kept:
            _write(task, key, read_stack(task.stack, task.modality))
        return Made(task.name, task.rows)
    grid = task.stack.geometry
    if grid is None:
        raise UnfitError(task.stack.refused)
    painted = [paint_roi(roi, grid) for roi in task.rois]
    mask = np.logical_or.reduce([one.mask for one in painted])
    if not kept:
        _write(task, key, Volume(mask.astype(np.uint8), grid))
    voxel_mm3 = float(np.prod(grid.spacing_mm))
    return Made(
        task.name,
        task.rows,
        notes=tuple(note for one in painted for note in (*one.notes, *_volume_notes(one, voxel_mm3))),
        voxels=int(mask.sum()),
        volume_mm3=float(mask.sum()) * voxel_mm3,
        drawn_mm3=sum(one.drawn_mm3 for one in painted),
    )


def paint_roi(roi: DrawnRoi, grid: Geometry) -> Painted:
    """The voxels of `grid` in an ROI of RTSTRUCT or SEG; raises UnfitError where it does not lie on it."""
    if roi.kind == "SEG":
        return paint_segment(roi, grid)
    contours, notes = read_contours(roi)
    painted = paint(contours, grid)
    return replace(painted, notes=(*notes, *painted.notes))


def _volume_notes(painted: Painted, voxel_mm3: float) -> list[str]:
    voxels: NDArray[np.int64] = painted.mask.sum()
    volume = float(voxels) * voxel_mm3
    apart = abs(volume - painted.drawn_mm3)
    if apart <= _NOTED_DIFFERENCE * painted.drawn_mm3 or apart <= _NOTED_VOXELS * voxel_mm3:
        return []
    return [f"its voxels have {volume / 1000:.2f} ml, its contours {painted.drawn_mm3 / 1000:.2f} ml"]


def _write(task: Task, key: str, volume: Volume) -> None:
    write_volume(task.target, volume)
    log_done(task.log, task.name, key, sha256_of_file(task.target))


def log_done(log: Path, name: str, key: str, sha256: str) -> None:
    """Add a line to the log: a file is whole, of this key and these bytes. One write, so that lines never mix."""
    line = json.dumps({"file": name, "key": key, "sha256": sha256}) + "\n"
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def _key(task: Task) -> str:
    hashes = {path: sha256_of_file(path) for path in sorted({frame.path for frame in task.stack.frames})}
    planes = [(hashes[frame.path], frame.index) for frame in task.stack.frames]
    rois = [(sha256_of_file(roi.path), roi.kind, roi.number) for roi in task.rois]
    content = [_RULES, task.name, task.modality, repr(task.stack.geometry), planes, rois]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _is_file_of(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of_file(path) == sha256


def read_log(log: Path) -> tuple[dict[str, tuple[str, str]], frozenset[str]]:
    """Key and SHA-256 of each file that was made whole, and the names of all that were ever begun."""
    try:
        lines: Sequence[str] = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}, frozenset()
    done, begun = dict[str, tuple[str, str]](), set[str]()
    for line in lines:
        try:
            entry = json.loads(line)
            begun.add(str(entry["file"]))
            if entry.get("sha256"):
                done[str(entry["file"])] = (str(entry["key"]), str(entry["sha256"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # half a line of a killed process
    return done, frozenset(begun)
