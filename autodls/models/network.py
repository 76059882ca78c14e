"""The network of one fold, from network input to logits; out-of-fold scoring and `predict` both go through here.

An encoder for each sequence makes feature maps and logits of the planes of a case; PCA projects the channels of the
maps; the fusion gives one logit for all sequences; a scale makes log-odds of each logit (`FoldModel`). The folds of a
model are brought together, and their mean is recalibrated, in `ensemble`; fine-tuning fits a whole fold (`end_to_end`).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from threading import Event
from typing import Literal

import torch
from torch import Tensor

from autodls.models.folded import FoldedEncoder
from autodls.models.fusion import FusionTransformer
from autodls.models.lesions import mean_by_case
from autodls.models.pca import ChannelPCA
from autodls.records.plan import Plan
from autodls.records.scale import LogisticScale

FusedBy = Literal["transformer", "mean"]
_MANY_BATCHES = 4  # for so many it is quicker to unpack the weights once


@dataclass(frozen=True)
class FoldLogits:
    """Raw logits of positive against negative, float32 [case]; NaN where a case lacks the sequence."""

    fused: Tensor
    by_sequence: Mapping[str, Tensor]

    def mean_by_case(self, case_of: Tensor | None, cases: int) -> "FoldLogits":
        """The mean over the lesions of each case, where these are those of lesions; see `lesions.mean_by_case`."""
        rows = {name: mean_by_case(values, case_of, cases) for name, values in self.by_sequence.items()}
        return FoldLogits(mean_by_case(self.fused, case_of, cases), rows)


@dataclass(frozen=True)
class EncoderOutput:
    """What one encoder makes of cases: their logits, float32 [case], and projected feature maps [case, dim, h, w]."""

    margin: Tensor
    maps: Tensor


@dataclass(frozen=True)
class FoldModel:
    """Encoders and projections by sequence, the fusion, and the scale of every row (`FUSED` and each sequence).

    `fused_by` says what the fused score is: the transformer's, or the mean of the log-odds of the sequences that a case
    has, each on its scale. `common` leads from these scales to the one that all folds of a locked model share.
    """

    encoders: Mapping[str, FoldedEncoder]
    projections: Mapping[str, ChannelPCA]
    fusion: FusionTransformer
    scales: Mapping[str, LogisticScale]
    fused_by: FusedBy = "transformer"
    common: Mapping[str, LogisticScale] = field(default_factory=dict)

    def scale_of(self, row: str) -> LogisticScale:
        """From raw logits of `row` to log-odds as they are pooled and averaged over folds."""
        own, common = self.scales[row], self.common.get(row)
        return own if common is None else own.followed_by(common)

    def logits(self, pixels: Tensor, present: Tensor, batch_cases: int = 16) -> FoldLogits:
        """Score network input, `batch_cases` at once: the last digits may depend on how many, so give 1 where a case
        must score the same in any company.

        `pixels` is float [case, sequence, channel, H, W] at the plan's input size, `present` bool [case, sequence].
        """
        seen = [self.encode_planes(name, pixels[:, index], batch_cases) for index, name in enumerate(self.encoders)]
        return self.fuse(seen, present, batch_cases)

    def encode_planes(
        self, sequence: str, planes: Tensor, batch_cases: int, given_up: Event | None = None
    ) -> EncoderOutput:
        """What the encoder of `sequence` makes of its input, float [case, channel, H, W].

        Raises CancelledError as soon as it is `given_up`, of which another thread tells.
        """
        encoder = self.encoders[sequence]
        if len(planes) >= _MANY_BATCHES * batch_cases:
            encoder = encoder.unpacked()
        margins, maps = [], []
        with torch.inference_mode():
            for batch in torch.split(planes, batch_cases):
                if given_up is not None and given_up.is_set():
                    raise CancelledError(f"{sequence}: another network failed, or the run was stopped")
                seen = self._seen(sequence, encoder, batch)
                margins.append(seen.margin)
                maps.append(seen.maps)
        return EncoderOutput(torch.cat(margins), torch.cat(maps))

    def _seen(self, sequence: str, encoder: FoldedEncoder, planes: Tensor) -> EncoderOutput:
        features = encoder.features(planes)
        margin = class_logit(encoder.logits(features, planes))
        return EncoderOutput(margin, self.projections[sequence].project(features))

    def all_logits(self, pixels: Tensor, present: Tensor) -> Tensor:
        """The same as `logits` as one expression, which can be traced: float32 [case, row], the fused one first."""
        seen = [self._seen(name, self.encoders[name], pixels[:, at]) for at, name in enumerate(self.encoders)]
        margins = torch.stack([one.margin for one in seen], dim=1)
        fused = self.fused_margin(torch.stack([one.maps for one in seen], dim=1), margins, present)
        return torch.cat([fused[:, None], margins.where(present, torch.nan)], dim=1)

    def fuse(self, seen: Sequence[EncoderOutput], present: Tensor, batch_cases: int) -> FoldLogits:
        """The logits of cases of which the sequences, in their order, have been `seen`."""
        columns = zip(self.encoders, seen, present.unbind(dim=1), strict=True)
        by_sequence = {name: one.margin.where(there, torch.nan) for name, one, there in columns}
        together = (
            torch.stack([one.maps for one in seen], dim=1),
            torch.stack([one.margin for one in seen], dim=1),
            present,
        )
        parts = (torch.split(whole, batch_cases) for whole in together)
        with torch.inference_mode():
            fused = torch.cat([self.fused_margin(*batch) for batch in zip(*parts, strict=True)])
        return FoldLogits(fused, by_sequence)

    def fused_margin(self, maps: Tensor, margins: Tensor, present: Tensor) -> Tensor:
        """The fused logit [case], of projected maps [case, sequence, dim, h, w], the sequences' own logits
        [case, sequence], and `present` [case, sequence].
        """
        if self.fused_by == "transformer":
            return class_logit(self.fusion(maps, present))
        scales = [self.scales[name] for name in self.encoders]
        slopes = margins.new_tensor([scale.slope for scale in scales])
        log_odds = slopes * margins + margins.new_tensor([scale.intercept for scale in scales])
        return (log_odds * present).sum(dim=1) / present.sum(dim=1)


def class_logit(logits: Tensor) -> Tensor:
    """Logit of positive against negative [case], of logits [case, class]: its sigmoid is the softmax output."""
    return logits[:, 1] - logits[:, 0]


def new_fusion(plan: Plan, channels: int) -> FusionTransformer:
    """An untrained fusion for `channels` projected channels per sequence."""
    fusion = plan.network.fusion
    return FusionTransformer(
        len(plan.sequences),
        channels,
        plan.map_px,
        patch_px=fusion.patch_px,
        heads=fusion.heads,
        layers=fusion.layers,
        dropout=fusion.dropout,
    )


def scoring_dtype(plan: Plan, device: torch.device) -> torch.dtype:
    """The type in which encoders are evaluated."""
    return torch.bfloat16 if plan.training.precision == "bf16" and has_bf16(device) else torch.float32


def computed_in(plan: Plan, device: torch.device) -> str:
    """Kind of device and type of number that networks of `plan` are evaluated in: last digits depend on both."""
    return f"{device.type} {scoring_dtype(plan, device)}".replace("torch.", "")


def has_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 in hardware; emulation is many times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
