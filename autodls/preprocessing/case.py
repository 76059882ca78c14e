"""One case: from its volumes and its ROI to its 2.5D sample."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodls.errors import DatasetError
from autodls.imaging.geometry import Geometry, Points, Volume
from autodls.imaging.registration import register_rigid
from autodls.imaging.volumes import read_roi, read_volume
from autodls.preprocessing.intensity import normalise
from autodls.preprocessing.planes import Plane, find_planes
from autodls.preprocessing.sampling import resize, sample_points
from autodls.preprocessing.store import FORMAT, Sample
from autodls.records.files import sha256_of_bytes, sha256_of_file
from autodls.records.plan import PreprocessingPlan


def prepare_case(
    case_id: str,
    images: Mapping[str, Path],
    roi: Path,
    rois: Mapping[str, Path],
    roi_labels: frozenset[int],
    plan: PreprocessingPlan,
) -> Sample:
    """The sample of one case by `plan`.

    `images` holds the sequences that the case has; the others become zeros. `roi` lies on the grid of the ROI channel,
    whose image may be missing: then the ROI's own grid is the frame. `rois`, drawn on other channels, are not used:
    all sequences are sampled at the same physical points, so that one tumour is seen in each. Raises DatasetError,
    which names the case, for anything that keeps the case from being prepared.
    """
    del rois
    try:
        return _prepare(case_id, images, roi, roi_labels, plan)
    except DatasetError as failure:
        raise DatasetError(f"case {case_id}: {failure}") from None


def case_key(images: Mapping[str, Path], roi: Path, roi_labels: frozenset[int], plan: PreprocessingPlan) -> str:
    """SHA-256 over all that a sample is derived from: format, plan, labels, the bytes of its files.

    Raises DatasetError for a file that cannot be read.
    """
    try:
        files = {sequence: sha256_of_file(path) for sequence, path in images.items()}
        content = [FORMAT, plan.sha256(), sorted(roi_labels), sorted(files.items()), sha256_of_file(roi)]
    except OSError as failure:
        raise DatasetError(
            f"{failure.filename}: cannot be read ({failure.strerror}); check the file and its permissions"
        ) from None
    return sha256_of_bytes(json.dumps(content).encode())


def _prepare(
    case_id: str, images: Mapping[str, Path], roi: Path, roi_labels: frozenset[int], plan: PreprocessingPlan
) -> Sample:
    _require_sequences(images, plan)
    key = case_key(images, roi, roi_labels, plan)
    volumes = {sequence: read_volume(images[sequence]) for sequence in plan.intensity if sequence in images}
    planes = _planes(roi, roi_labels, volumes.get(plan.roi_channel), plan)
    matrices, flags = _registrations(volumes, plan)
    if planes[0].area_mm2 == 0:
        flags.append(f"the tumour is smaller than the grid of {plan.spacing_mm:g} mm: planes through its centre")
    pixels = np.zeros((len(plan.intensity), len(planes), plan.slice_size_px, plan.slice_size_px), dtype=np.float32)
    present = np.zeros(len(plan.intensity), dtype=np.bool_)
    for position, sequence in enumerate(plan.intensity):
        if sequence not in volumes:
            continue
        samples = _samples(volumes[sequence], planes, matrices.get(sequence))
        if samples is None:
            flags.append(f"{sequence} does not show the tumour and is taken as missing")
        else:
            normal = normalise(samples, volumes[sequence].array, plan.intensity[sequence], str(images[sequence]))
            pixels[position], present[position] = resize(normal, plan.slice_size_px), True
    if not present.any():
        raise DatasetError("no sequence shows the tumour; check that images and ROI belong together")
    stored = tuple(plane.resized(plan.slice_size_px) for plane in planes)
    return Sample(case_id, pixels, present, stored, tuple(flags), key)


def _require_sequences(images: Mapping[str, Path], plan: PreprocessingPlan) -> None:
    known = list(plan.intensity)
    if unknown := sorted(set(images) - set(known)):
        raise DatasetError(f"sequence '{unknown[0]}' is not in the plan, which has {known}; leave it out or plan anew")
    if not images:
        raise DatasetError(f"no image of any of the sequences {known}; give one at least, or take the case out")


def _planes(roi: Path, labels: frozenset[int], image: Volume | None, plan: PreprocessingPlan) -> tuple[Plane, ...]:
    """The three planes; the ROI must lie on the grid of the ROI channel's `image`, where there is one."""
    drawn = read_roi(roi, labels)
    if image is not None and not image.geometry.same_grid(drawn.geometry):
        raise DatasetError(
            f"{roi}: its grid ({_describe(drawn.geometry)}) is not that of {plan.roi_channel} "
            f"({_describe(image.geometry)}); resample the ROI onto that image with nearest neighbour"
        )
    try:
        return find_planes(drawn.array, drawn.geometry, plan.spacing_mm, plan.crop_mm)
    except DatasetError as failure:
        raise DatasetError(f"{roi}: {failure}") from None


def _describe(grid: Geometry) -> str:
    size = " x ".join(str(count) for count in grid.size_xyz)
    spacing = " x ".join(f"{step:.4g}" for step in grid.spacing_mm)
    origin = ", ".join(f"{coordinate:.4g}" for coordinate in grid.origin_mm)
    return f"{size} voxels of {spacing} mm from {origin}"


def _registrations(
    volumes: Mapping[str, Volume], plan: PreprocessingPlan
) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Where the plan registers: a matrix from the ROI channel to each other sequence, and what was refused."""
    if plan.registration != "rigid":
        return {}, []
    fixed = volumes.get(plan.roi_channel)
    if fixed is None:
        return {}, [f"not registered: {plan.roi_channel} is missing"]
    matrices, flags = {}, []
    for sequence, volume in volumes.items():
        if sequence == plan.roi_channel:
            continue
        result = register_rigid(fixed, volume)
        matrices[sequence] = result.matrix
        if not result.accepted:
            flags.append(f"{sequence} left where it is: {result.reason}")
    return matrices, flags


def _samples(volume: Volume, planes: tuple[Plane, ...], to_volume: NDArray[np.float64] | None) -> Points | None:
    """Samples [plane, row, column] of one sequence; None when its volume does not reach the middle of a plane."""
    samples = np.stack([sample_points(volume, plane.points_mm(), to_volume) for plane in planes])
    middle = samples.shape[-1] // 2
    return None if np.isnan(samples[:, middle, middle]).any() else samples
