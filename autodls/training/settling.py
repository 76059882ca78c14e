"""What follows a fit: scales, and whether the transformer has proven itself."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autodls.models.network import (
    FoldLogits,
    FoldModel,
)
from autodls.models.recalibration import fit_scale
from autodls.records.files import sha256_of_file
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.scale import LogisticScale, Vector
from autodls.records.scores import FUSED
from autodls.training.bags import Bags
from autodls.training.batches import send


def modality_dropout(present: Tensor, share: float, chance: torch.Generator) -> Tensor:
    """`present` [case, sequence] without a random `share` of it; no case is left without any sequence."""
    keep = torch.rand(present.shape, generator=chance) >= share
    kept = present & send(keep, present.device)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)


def encoders_note(folder: FoldFolder, sequences: Sequence[str]) -> dict[str, object]:
    """What a fusion says of the encoders that it is of no use without: the SHA-256 of each one's file in `folder`."""
    with ThreadPoolExecutor() as pool:
        hashes = pool.map(sha256_of_file, [folder.sequence(name) for name in sequences])
        return {"encoders": dict(zip(sequences, hashes, strict=True))}


def settled(
    unscaled: FoldModel, pixels: Tensor, present: Tensor, labels: Tensor, plan: Plan, bags: Bags | None = None
) -> FoldModel:
    """The fold with the scale of every score, and the fused score that stands, from its inner hold-out.

    `pixels` and `present` are [sample, ...], `labels` [case], the samples of each in `bags`, None for one each.

    Where the plan has the mean of the sequences to fall back on, the transformer stands only if it is better than that
    mean by more than two standard errors of the difference. A few cases cannot tell two scores apart, and a transformer
    that was fitted to features of cases that the encoders knew is the one to be proven.
    """
    of_samples, known = unscaled.logits(pixels, present), (labels == 1).cpu().numpy()
    logits = of_samples if bags is None else of_samples.mean_by_case(bags.case_of, len(bags))
    model = replace(unscaled, scales=fit_scales(logits, known))
    if plan.network.fusion.fallback == "none":
        return model
    log_odds = _mean_log_odds(of_samples, model.scales)
    log_odds = log_odds if bags is None else bags.mean(torch.from_numpy(log_odds).to(labels.device)).cpu().numpy()
    scale = fit_scale(log_odds, known)
    losses = log_losses(model.scales[FUSED].log_odds(_numbers(logits.fused)), known)
    if is_shown_better(losses, log_losses(scale.log_odds(log_odds), known)):
        return model
    # The sequences are on the common scale already: a second one from the same few cases would only part the folds.
    return replace(model, scales={**model.scales, FUSED: _AS_IT_IS}, fused_by="mean")


def fit_scales(logits: FoldLogits, labels: NDArray[np.bool_]) -> dict[str, LogisticScale]:
    """The scale of every score, from the logits and labels [case] of the inner hold-out."""
    scores = {name: _numbers(values) for name, values in {FUSED: logits.fused, **logits.by_sequence}.items()}
    return {name: fit_scale(values[~np.isnan(values)], labels[~np.isnan(values)]) for name, values in scores.items()}


def _mean_log_odds(logits: FoldLogits, scales: Mapping[str, LogisticScale]) -> Vector:
    """The mean over the sequences that a sample has, [sample]."""
    by_sequence = [scales[name].log_odds(_numbers(values)) for name, values in logits.by_sequence.items()]
    mean: Vector = np.nanmean(by_sequence, axis=0)
    return mean


def _numbers(values: Tensor) -> Vector:
    return values.double().cpu().numpy()


def log_losses(log_odds: Vector, labels: NDArray[np.bool_]) -> Vector:
    """Minus the log of the probability of each case's class, [case]."""
    return np.logaddexp(0.0, np.where(labels, -log_odds, log_odds))


def is_shown_better(losses: Vector, others: Vector) -> bool:
    """Whether `losses` [case] are lower than those of `others` by more than two standard errors of the difference.

    >>> is_shown_better(np.array([0.1, 0.2, 0.1]), np.array([0.5, 0.5, 0.6]))
    True
    >>> is_shown_better(np.array([0.1, 0.9, 0.1]), np.array([0.5, 0.5, 0.5]))
    False
    """
    gain = others - losses
    return len(gain) > 1 and float(gain.mean()) > 2 * float(gain.std(ddof=1)) / len(gain) ** 0.5


_AS_IT_IS = LogisticScale(slope=1.0, intercept=0.0)
