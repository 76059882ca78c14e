"""The radiomic features of the cases of a cohort, measured once for each set of files."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodls.candidates.radiomics import BINS, LEAST_VOXELS, SPACING_MM, library, picture_features, shape_features
from autodls.errors import DatasetError
from autodls.imaging.foreground import foreground
from autodls.imaging.geometry import Geometry, Points, Volume, bounding_box, sample_roi, transform_points
from autodls.imaging.inside import is_blank, roi_points, tumour_box
from autodls.imaging.rois import read_roi_on
from autodls.imaging.volumes import read_geometry, read_volume
from autodls.parallel import map_parallel
from autodls.preprocessing.alignment import Alignment
from autodls.preprocessing.planes import isotropic_frame
from autodls.preprocessing.sampling import sample_points
from autodls.records.case import Case
from autodls.records.comparison import RadiomicFeatures
from autodls.records.files import sha256_of_bytes, sha256_of_input
from autodls.records.preprocessing_plan import IntensityPlan, PreprocessingPlan

_FORMAT = 1  # of how features are computed here: another number, and all are measured anew
_ASKED = 5_000  # voxels of the tumour, at which an image is asked whether it has any signal
_LEAST_SHOWN = 0.9  # of the tumour, in a sequence that is measured
_LEAST_SPREAD = 1e-9


@dataclass(frozen=True)
class _Task:
    case: str
    images: Mapping[str, Path]
    roi: Path
    labels: frozenset[int]
    plan: PreprocessingPlan
    target: Path


def radiomics_of(
    cases: Sequence[Case],
    labels: frozenset[int],
    plan: PreprocessingPlan,
    path_of: Callable[[str], Path],
    workers: int = 1,
    advance: Callable[[str], None] = lambda _case: None,
) -> dict[str, RadiomicFeatures]:
    """Features by case, kept at `path_of` each case; what fits its files still is not measured again.

    Cases without an ROI are left out. Raises ArgumentError where the library is not installed, DatasetError for an
    image or an ROI that cannot be read.
    """
    library()
    tasks = [
        _Task(case.id, dict(case.images), case.roi, labels, plan, path_of(case.id))
        for case in sorted(cases, key=lambda case: case.id)
        if case.roi is not None
    ]
    found = map_parallel(_kept_or_measured, tasks, [task.case for task in tasks], workers, advance)
    return {one.case: one for one in found}


def _kept_or_measured(task: _Task) -> RadiomicFeatures:
    key = _key(task)
    if task.target.is_file():
        try:
            kept = RadiomicFeatures.load(task.target, "", DatasetError)
        except DatasetError:
            kept = None
        if kept is not None and kept.key == key and kept.is_sealed:
            return kept
    try:
        features, flags = _measured(task)
    except DatasetError as failure:
        raise DatasetError(f"case {task.case}: {failure}") from None
    made = RadiomicFeatures(case=task.case, key=key, features=features, flags=tuple(flags)).sealed()
    made.save(task.target)
    return made


def radiomics_of_case(
    case: str,
    images: Mapping[str, Path],
    roi: Path,
    labels: frozenset[int],
    plan: PreprocessingPlan,
    kept_at: Path | None = None,
) -> tuple[dict[str, float], list[str]]:
    """Features of one new case, and what a person should know of them; raises as `radiomics_of`.

    They are kept at `kept_at`, where a run that is stopped finds them again.
    """
    if kept_at is None:
        return _measured(_Task(case, images, roi, labels, plan, Path()))
    found = _kept_or_measured(_Task(case, images, roi, labels, plan, kept_at))
    return dict(found.features), list(found.flags)


def _key(task: _Task) -> str:
    """SHA-256 of all that features are derived from: files, tumour labels, alignment and intensities, the library."""
    files = {sequence: sha256_of_input(path) for sequence, path in task.images.items()}
    intensity = {name: one.model_dump(mode="json") for name, one in task.plan.intensity.items()}
    how = [_FORMAT, library(), SPACING_MM, BINS, task.plan.registration, task.plan.roi_channel, intensity]
    content = [*how, sorted(task.labels), sorted(files.items()), sha256_of_input(task.roi)]
    return sha256_of_bytes(json.dumps(content, sort_keys=True).encode())


def _measured(task: _Task) -> tuple[dict[str, float], list[str]]:
    """Features, "shape:NAME" and "SEQUENCE:NAME", and what a person should know of them."""
    channel = task.images.get(task.plan.roi_channel)
    drawn = read_roi_on(task.roi, task.labels, None if channel is None else read_geometry(channel)).volume
    if not drawn.array.any():
        raise DatasetError(f"{task.roi}: the ROI is empty; draw the tumour, or leave the case out")
    points_mm, inside = tumour_points(drawn)
    if int(inside.sum()) < LEAST_VOXELS:
        return {}, [f"tumour of {int(inside.sum())} voxels of {SPACING_MM:g} mm: too small for radiomic features"]
    found = {f"shape:{name}": value for name, value in shape_features(inside).items()}
    flags: list[str] = []
    alignment = Alignment(task.images, task.plan, tumour_box(drawn))
    asked_mm = roi_points(drawn, _ASKED)
    for sequence, intensity in task.plan.intensity.items():
        if sequence not in task.images:
            continue
        volume = read_volume(task.images[sequence])
        motion = alignment.of(sequence, volume)
        places_mm = asked_mm if motion.matrix is None else transform_points(motion.matrix, asked_mm)
        if not motion.trusted or is_blank(volume, places_mm):
            flags.append(f"{sequence}: not measured, as it does not show the tumour")
            continue
        picture = _picture(volume, points_mm, inside, motion.matrix, intensity)
        if picture is None:
            flags.append(f"{sequence}: not measured: one value, or less than {_LEAST_SHOWN:.0%} of the tumour in view")
            continue
        image, shown = picture
        numbers = picture_features(image, shown, _bin_width(intensity))
        found |= {f"{sequence}:{name}": value for name, value in numbers.items()}
    return found, flags


def tumour_points(drawn: Volume) -> tuple[Points, NDArray[np.bool_]]:
    """LPS mm [z, y, x, 3] of the voxels of an isotropic grid around the tumour, and which of them [z, y, x] it is."""
    frame = isotropic_frame(drawn.geometry, SPACING_MM)
    box = bounding_box(drawn.array)
    corners = [(part.start - 0.5, part.stop - 0.5) for part in box[::-1]]
    ends = Geometry((2, 2, 2), (1.0, 1.0, 1.0)).corners() > 0
    index = np.where(ends, [high for _, high in corners], [low for low, _ in corners])
    placed = frame.physical_to_index(drawn.geometry.index_to_physical(index))
    low, high = np.floor(placed.min(axis=0)).astype(int), np.ceil(placed.max(axis=0)).astype(int)
    x, y, z = (np.arange(start, stop + 1, dtype=np.float64) for start, stop in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], axis=-1)
    points_mm = frame.index_to_physical(grid)
    inside = sample_roi(drawn, points_mm)
    if not inside.any():
        return points_mm, inside
    cut = bounding_box(inside)
    return points_mm[cut], inside[cut]


def _picture(
    volume: Volume,
    points_mm: Points,
    inside: NDArray[np.bool_],
    to_volume: NDArray[np.float64] | None,
    plan: IntensityPlan,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Normalised intensities [z, y, x], 0 outside the tumour, and where they are known; None of too few, or all alike.

    Intensities are clipped as the plan says. Those without a unit become z-scores of the foreground of their image, so
    that a scanner's scale is no feature; those in HU or SUV stay as they are.
    """
    values = sample_points(volume, points_mm[inside], to_volume)
    known = np.isfinite(values)
    if known.mean() < _LEAST_SHOWN:
        return None
    scaled = _normalised(values, volume, plan)
    if scaled is None or np.ptp(scaled[known]) <= _LEAST_SPREAD:
        return None
    image = np.zeros(inside.shape)
    image[inside] = np.where(known, scaled, 0.0)
    shown = np.zeros_like(inside)
    shown[inside] = known
    return image, shown


def _normalised(values: Points, volume: Volume, plan: IntensityPlan) -> Points | None:
    if plan.window is not None:
        return np.clip(values, *plan.window)
    around = foreground(volume.array).astype(np.float64)
    low, high = np.percentile(around, plan.clip_percentiles or (0.0, 100.0))
    around = np.clip(around, low, high)
    if not (spread := float(around.std())) > _LEAST_SPREAD:
        return None
    scaled: Points = (np.clip(values, low, high) - around.mean()) / spread
    return scaled


def _bin_width(plan: IntensityPlan) -> float | None:
    """Of intensities that have a unit: a 64th of their window; None for as many bins in every tumour."""
    return None if plan.window is None else (plan.window[1] - plan.window[0]) / 64
