"""From the networks' foreground probabilities to the one ROI that the classifier is given. NumPy and SciPy only.

A classifier cannot score a case without an ROI, so there is always one: the mask at a threshold of 0.5, else the mask
at the plan's lower threshold, else the whole field. Which of them it is, and why, stands in the flags of the mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autodls.errors import ArgumentError
from autodls.imaging.geometry import Triple
from autodls.records.automatic_roi import MaskSource
from autodls.records.segmentation_plan import MaskPolicy

SOURCES: tuple[MaskSource, ...] = get_args(MaskSource)
THRESHOLD = 0.5
TOUCHING = np.ones((3, 3, 3), dtype=np.bool_)  # voxels that share a corner are connected, as in the fingerprint

Bools = NDArray[np.bool_]
Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class Mask:
    """An automatic ROI [z, y, x], which is never empty, and how far it can be trusted.

    `confidence` is the mean foreground probability inside it, and `disagreement` 1 - the mean pairwise Dice of the
    folds' own masks (None for one fold). `components` counts the connected parts at the threshold that was used (at
    0.5 for the whole field), before the policy chose among them. `flags` says in words what a person should know.
    """

    array: Bools
    confidence: float
    disagreement: float | None
    source: MaskSource
    components: int
    flags: tuple[str, ...]


@dataclass(frozen=True)
class _Candidate:
    """What one threshold leaves, and why it is doubtful (None where it is not)."""

    array: Bools
    components: int
    doubt: str | None


def mask_from_probability(folds: Sequence[Probabilities], spacing_mm: Triple, policy: MaskPolicy) -> Mask:
    """The ROI from one foreground probability map [z, y, x] a fold, which are averaged.

    `spacing_mm` is the size of a voxel in x, y, z. A mask is doubtful where it is empty, its volume is under
    `policy.least_volume_mm3`, or its confidence under `policy.least_confidence`; then the lower threshold is tried,
    then the whole field. Folds that disagree are flagged, but their mean is used: no other threshold mends that.
    Raises ArgumentError without maps, for maps of different shapes, and for values outside 0 to 1.

    >>> policy = MaskPolicy(components="largest", lower_threshold=0.1, least_confidence=0.6, least_volume_mm3=1.0,
    ...                     most_disagreement=0.5)
    >>> faint = np.zeros((3, 3, 3), dtype=np.float32)
    >>> faint[1, 1, 1] = 0.4
    >>> mask = mask_from_probability([faint], (1.0, 1.0, 1.0), policy)
    >>> mask.source, mask.flags, int(mask.array.sum())
    ('lower-threshold', ('nothing found at 0.5', 'automatic ROI at a threshold of 0.1'), 1)
    """
    probability = _mean(folds)
    voxel_mm3 = float(np.prod(spacing_mm))
    first = _candidate(probability, THRESHOLD, voxel_mm3, policy)
    disagreement = _disagreement(folds, policy)
    flags = _disagreement_flags(disagreement, policy)
    if first.doubt is None:
        return _mask(probability, first, disagreement, "threshold", flags)
    flags = (*flags, first.doubt)
    second = _candidate(probability, policy.lower_threshold, voxel_mm3, policy)
    if second.doubt is None:
        flags = (*flags, f"automatic ROI at a threshold of {policy.lower_threshold:g}")
        return _mask(probability, second, disagreement, "lower-threshold", flags)
    flags = (*flags, second.doubt, "no tumour found: the whole field is the ROI")
    field = _Candidate(whole_field(probability.shape), first.components, None)
    return _mask(probability, field, disagreement, "whole-field", flags)


def keep_components(found: Bools, components: Literal["largest", "all"] | tuple[int, ...]) -> tuple[Bools, int]:
    """`found` [z, y, x] without the parts that are not to be kept, and how many connected parts it has.

    Numbers count the parts by volume, 1 is the largest, of equal ones that with the first voxel. Numbers beyond the
    last part keep nothing.

    >>> keep_components(np.array([[[True, False, True, True]]]), "largest")
    (array([[[False, False,  True,  True]]]), 2)
    >>> keep_components(np.array([[[True, False, True, True]]]), (2,))
    (array([[[ True, False, False, False]]]), 2)
    """
    labels, count = ndimage.label(found, structure=TOUCHING)
    if components == "all":
        return found, int(count)
    by_volume = np.argsort(-np.bincount(labels.ravel(), minlength=count + 1)[1:], kind="stable") + 1
    numbers = (1,) if components == "largest" else components
    kept = [by_volume[number - 1] for number in numbers if 0 < number <= count]
    return np.isin(labels, kept), int(count)


def whole_field(shape: tuple[int, ...]) -> Bools:
    """The ellipsoid that fits the field of `shape`.

    Not the box: all its planes would have the same area, while those of the ellipsoid are largest in the middle.

    >>> whole_field((1, 3, 5)).astype(int).tolist()
    [[[0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0]]]
    """
    places = np.ogrid[tuple(slice(count) for count in shape)]
    apart = [(place - (count - 1) / 2) / (count / 2) for place, count in zip(places, shape, strict=True)]
    return np.asarray(sum(place**2 for place in apart) <= 1)


def dice(first: Bools, second: Bools) -> float:
    """Twice the overlap over the sum of both volumes; 1 for two empty masks, which say the same."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / total if total else 1.0


def _mean(folds: Sequence[Probabilities]) -> Probabilities:
    if not folds:
        raise ArgumentError("no probability map: a mask needs at least that of one fold")
    total = np.zeros(folds[0].shape, dtype=np.float64)
    for number, fold in enumerate(folds):
        if fold.shape != total.shape:
            raise ArgumentError(f"probability map {number} has shape {fold.shape}, the first one {total.shape}")
        low, high = fold.min(initial=0.0), fold.max(initial=0.0)
        if not (low >= 0 and high <= 1):
            raise ArgumentError(f"probability map {number} reaches from {low:g} to {high:g}; it must stay in 0 to 1")
        total += fold
    # In double precision, and rounded after: the order of the folds must not decide about a voxel.
    return (total / len(folds)).astype(np.float32)


def _candidate(probability: Probabilities, threshold: float, voxel_mm3: float, policy: MaskPolicy) -> _Candidate:
    kept, components = keep_components(probability >= threshold, policy.components)
    return _Candidate(kept, components, _doubt(probability[kept], components, threshold, voxel_mm3, policy))


def _doubt(
    inside: Probabilities, components: int, threshold: float, voxel_mm3: float, policy: MaskPolicy
) -> str | None:
    if not components:
        return f"nothing found at {threshold:g}"
    if not inside.size:
        return f"{components} parts found at {threshold:g}, but none of the chosen {policy.components}"
    if (volume_mm3 := inside.size * voxel_mm3) < policy.least_volume_mm3:
        return f"{volume_mm3:.3g} mm3 found at {threshold:g}, less than {policy.least_volume_mm3:.4g}"
    confidence, least = float(inside.mean(dtype=np.float64)), least_confidence_at(threshold, policy)
    if confidence < least:
        return f"confidence of {confidence:.2f} at {threshold:g}, less than {least:.2f}"
    return None


def least_confidence_at(threshold: float, policy: MaskPolicy) -> float:
    """The policy's least confidence, which is meant for a threshold of 0.5, for a mask at another threshold.

    A threshold bounds the confidence from below, so the limit keeps its place between the threshold and 1.

    >>> policy = MaskPolicy(components="all", lower_threshold=0.1, least_confidence=0.6, least_volume_mm3=0.0,
    ...                     most_disagreement=0.5)
    >>> round(least_confidence_at(0.5, policy), 3), round(least_confidence_at(0.1, policy), 3)
    (0.6, 0.28)
    """
    return threshold + (1 - threshold) * (policy.least_confidence - THRESHOLD) / (1 - THRESHOLD)


def _disagreement(folds: Sequence[Probabilities], policy: MaskPolicy) -> float | None:
    own = [keep_components(fold >= THRESHOLD, policy.components)[0] for fold in folds]
    pairs = [dice(first, second) for first, second in combinations(own, 2)]
    return 1.0 - float(np.mean(np.sort(pairs))) if pairs else None


def _disagreement_flags(disagreement: float | None, policy: MaskPolicy) -> tuple[str, ...]:
    if disagreement is None or disagreement <= policy.most_disagreement:
        return ()
    return (f"the folds' masks disagree: {disagreement:.2f}, more than {policy.most_disagreement:g}",)


def _mask(
    probability: Probabilities,
    chosen: _Candidate,
    disagreement: float | None,
    source: MaskSource,
    flags: tuple[str, ...],
) -> Mask:
    confidence = float(probability[chosen.array].mean(dtype=np.float64))
    return Mask(chosen.array, confidence, disagreement, source, chosen.components, flags)
