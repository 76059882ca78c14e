"""One prepared case through the networks."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from autodls.errors import AutoDLSError
from autodls.inference.model_folder import LockedModel
from autodls.models.ensemble import EnsembleScores
from autodls.preprocessing.store import Sample


def score_sample(model: LockedModel, sample: Sample) -> EnsembleScores:
    """Score one stored sample; raises AutoDLSError where the model gives no finite number."""
    (scores,) = score_samples(model, [sample])
    require_finite(sample, scores)
    return scores


def score_samples(model: LockedModel, samples: Sequence[Sample]) -> list[EnsembleScores]:
    """The score of every stored sample, cropped to the network's input at its centre.

    Of one of several lesions that is the score of the case, with those of its lesions.
    """
    lesions = [lesion for sample in samples for lesion in sample.lesions]
    crops = np.stack([network_input(model, lesion) for lesion in lesions])
    present = np.stack([lesion.present for lesion in lesions])
    told_apart = model.plan.preprocessing.lesions is not None
    counts = [len(sample.lesions) for sample in samples] if told_apart else []
    return model.score(torch.from_numpy(crops), torch.from_numpy(present), counts).by_case()


def shown(sample: Sample) -> NDArray[np.bool_]:
    """The sequences that a case was scored with, bool [sequence]: those that show one of its lesions."""
    found: NDArray[np.bool_] = np.any([lesion.present for lesion in sample.lesions], axis=0)
    return found


def network_input(model: LockedModel, sample: Sample) -> NDArray[np.float32]:
    """The middle of a sample, [sequence, channel, H, W], as the networks of `model` take it."""
    size_px = model.plan.preprocessing.input_size_px
    top, left = ((side - size_px) // 2 for side in sample.pixels.shape[-2:])
    seen = sample.network_input(roi_guided=model.plan.network.roi_guided)
    return seen[:, :, top : top + size_px, left : left + size_px]


def require_finite(sample: Sample, scores: EnsembleScores) -> None:
    """Raise AutoDLSError where the model gives no finite number."""
    seen = [row for row, present in zip(scores.by_sequence.values(), shown(sample), strict=True) if present]
    if not np.isfinite([scores.dls, scores.dls_raw, scores.spread, *seen]).all():
        raise AutoDLSError(f"case {sample.case}: the model gives no finite score; copy the model folder anew")
