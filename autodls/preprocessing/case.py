"""One case: from its volumes and its ROI to its 2.5D sample."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from autodls.errors import DatasetError
from autodls.imaging.geometry import Volume, transform_points
from autodls.imaging.inside import is_blank, tumour_box
from autodls.imaging.lattice import grid_fault
from autodls.imaging.rois import read_roi_on
from autodls.imaging.volumes import place_doubt, read_geometry, read_volume
from autodls.preprocessing.alignment import MISSING, Alignment
from autodls.preprocessing.intensity import normalise
from autodls.preprocessing.lesions import Target, require_values, targets_of
from autodls.preprocessing.planes import PLANES
from autodls.preprocessing.sampling import resize, sample_points
from autodls.preprocessing.store import FORMAT, Sample
from autodls.records.files import sha256_of_bytes, sha256_of_input
from autodls.records.preprocessing_plan import PreprocessingPlan

Observe = Callable[[str, Volume], None]


def _look_away(_sequence: str, _volume: Volume) -> None:
    """Nobody looks at the volumes."""


def prepare_case(
    case_id: str,
    images: Mapping[str, Path],
    roi: Path,
    roi_labels: frozenset[int],
    plan: PreprocessingPlan,
    key: str | None = None,
    observe: Observe = _look_away,
) -> Sample:
    """The sample of one case by `plan`; two volumes are in memory at a time, or three where the plan registers.

    `images` holds the sequences that the case has; the others become zeros. `roi` lies on the grid of the ROI channel,
    whose image may be missing: then the ROI's own grid is the frame. All sequences are sampled at the same physical
    points, so that one tumour is seen in each. `key` is the `case_key` where it is known already. `observe` is shown
    every volume as it was read, with its sequence. Raises DatasetError, which names the case, for anything that keeps
    the case from being prepared.
    """
    try:
        _require_sequences(images, plan)
        # A second thread spins more than it works on products as small as these.
        with threadpool_limits(1, "blas"):
            key = key or case_key(images, roi, roi_labels, plan)
            return _prepare(case_id, images, roi, roi_labels, plan, key, observe)
    except DatasetError as failure:
        raise DatasetError(f"case {case_id}: {failure}") from None


def case_key(images: Mapping[str, Path], roi: Path, roi_labels: frozenset[int], plan: PreprocessingPlan) -> str:
    """SHA-256 over all that a sample is derived from: format, plan, labels, the bytes of its files.

    Raises DatasetError for a file that cannot be read.
    """
    files = {sequence: sha256_of_input(path) for sequence, path in images.items()}
    content = [FORMAT, plan.sha256(), sorted(roi_labels), sorted(files.items()), sha256_of_input(roi)]
    return sha256_of_bytes(json.dumps(content).encode())


def _prepare(
    case_id: str,
    images: Mapping[str, Path],
    roi: Path,
    roi_labels: frozenset[int],
    plan: PreprocessingPlan,
    key: str,
    observe: Observe,
) -> Sample:
    volumes = _read_ahead([images[sequence] for sequence in plan.intensity if sequence in images])
    flags: list[str] = []
    drawn = _roi(roi, roi_labels, images.get(plan.roi_channel), plan, flags)
    targets = _targets(drawn, roi, plan, flags)
    alignment = Alignment(images, plan, tumour_box(drawn))
    flags += alignment.flags
    flags += [target.named(flag, targets) for target in targets for flag in target.flags(plan)]
    size, side = (len(targets), len(plan.intensity)), plan.slice_size_px
    pixels = np.zeros((*size, len(PLANES), side, side), dtype=np.float32)
    present = np.zeros(size, dtype=np.bool_)
    for position, sequence in enumerate(plan.intensity):
        if sequence not in images:
            continue
        volume = next(volumes)
        observe(sequence, volume)
        if doubt := place_doubt(images[sequence]):
            flags.append(f"{sequence}: {doubt}")
        found = _pictures(volume, images[sequence], sequence, targets, alignment, flags)
        for number, pictures in enumerate(found):
            if pictures is not None:
                pixels[number, position], present[number, position] = pictures, True
    if not present.any():
        raise DatasetError("no sequence shows the tumour; check that images and ROI belong together")
    flags += [target.named("no sequence shows it, and it is not scored", targets)
              for target, seen in zip(targets, present, strict=True) if not seen.any()]  # fmt: skip
    leading, *others = (
        Sample(case_id, of_target, seen, target.roi, target.stored, (), key, target.choice.shown, target.place)
        for target, of_target, seen in zip(targets, pixels, present, strict=True)
        if seen.any()
    )
    return replace(leading, flags=tuple(flags), others=tuple(others))


def _require_sequences(images: Mapping[str, Path], plan: PreprocessingPlan) -> None:
    known = list(plan.intensity)
    if unknown := sorted(set(images) - set(known)):
        raise DatasetError(f"sequence '{unknown[0]}' is not in the plan, which has {known}; leave it out or plan anew")
    if not images:
        raise DatasetError(f"no image of any of the sequences {known}; give one at least, or take the case out")


def _roi(roi: Path, labels: frozenset[int], image: Path | None, plan: PreprocessingPlan, flags: list[str]) -> Volume:
    """The ROI on the grid of the ROI channel's `image`, where there is one; adds to `flags`."""
    require_values(labels, plan.lesions)
    by_value = plan.lesions is not None and plan.lesions.told_by == "labels"
    grid = read_geometry(image) if image is not None else None
    found = read_roi_on(roi, labels, grid, keep_values=by_value)
    flags += [f"ROI: {note}" for note in found.notes]
    drawn = found.volume
    if grid is not None and not drawn.geometry.same_grid(grid):
        what, repair = grid_fault(drawn.geometry, grid)
        raise DatasetError(f"{roi}: the ROI {what}; {repair}")
    return drawn


def _targets(drawn: Volume, roi: Path, plan: PreprocessingPlan, flags: list[str]) -> list[Target]:
    try:
        return targets_of(drawn, plan, flags)
    except DatasetError as failure:
        raise DatasetError(f"{roi}: {failure}") from None


def _read_ahead(paths: Sequence[Path]) -> Iterator[Volume]:
    """The volumes in order, each read while the one before it is used."""
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read_volume, paths[0])
        for path in paths[1:]:
            volume, ahead = ahead.result(), reader.submit(read_volume, path)
            yield volume
        yield ahead.result()


def _pictures(
    volume: Volume, image: Path, sequence: str, targets: Sequence[Target], alignment: Alignment, flags: list[str]
) -> list[NDArray[np.float32] | None]:
    """Network input [plane, row, column] of one sequence of each target, None where it does not show it; adds to
    `flags`.
    """
    aligned = alignment.of(sequence, volume)
    flags += [aligned.flag] if aligned.flag else []
    if not aligned.trusted:
        return [None] * len(targets)
    found: list[NDArray[np.float32] | None] = []
    for target in targets:
        samples = _samples(volume, target, aligned.matrix)
        if isinstance(samples, str):
            flags.append(target.named(f"{sequence} {samples} {MISSING}", targets))
            found.append(None)
            continue
        scheme = alignment.plan.intensity[sequence]
        found.append(resize(normalise(samples, volume.array, scheme, str(image)), alignment.plan.slice_size_px))
    return found


def _samples(volume: Volume, target: Target, motion: NDArray[np.float64] | None) -> NDArray[np.float64] | str:
    """What `volume` has in the planes of a target, [plane, row, column], or why it does not show it."""
    places_mm = target.inside_mm if motion is None else transform_points(motion, target.inside_mm)
    if is_blank(volume, places_mm) and volume.array.min() < volume.array.max():  # of one value: refused, below
        return "has no signal where the tumour lies"
    samples = np.stack([sample_points(volume, plane.points_mm(), motion) for plane in target.choice.planes])
    middle = samples.shape[-1] // 2
    return "does not show the tumour" if np.isnan(samples[:, middle, middle]).any() else samples
