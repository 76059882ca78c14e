"""One trained fold: images in, logits out. Out-of-fold scoring and `predict` both go through here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autodls.errors import ModelFolderError
from autodls.models.folded import FoldedEncoder
from autodls.models.fusion import FusionTransformer
from autodls.models.pca import ChannelPCA
from autodls.models.tensors import load_tensors, save_tensors
from autodls.records.plan import Plan
from autodls.records.scale import LogisticScale
from autodls.records.scores import FUSED
from autodls.records.workspace import FoldFolder

_REPAIR = "copy the model folder anew, or run 'autodls train fold all'"
_BATCH_CASES = 16


@dataclass(frozen=True)
class FoldLogits:
    """Raw logits of positive against negative, float32 [case]; NaN where a case lacks the sequence."""

    fused: Tensor
    by_sequence: Mapping[str, Tensor]


@dataclass(frozen=True)
class FoldModel:
    """Encoders and projections by sequence, the fusion, and the scale of every row (`FUSED` and each sequence)."""

    encoders: Mapping[str, FoldedEncoder]
    projections: Mapping[str, ChannelPCA]
    fusion: FusionTransformer
    scales: Mapping[str, LogisticScale]

    def logits(self, pixels: Tensor, present: Tensor) -> FoldLogits:
        """Score network input.

        `pixels` is float [case, sequence, plane, H, W] at the plan's input size, `present` bool [case, sequence].
        """
        parts = [
            self._logits(pixels[start : start + _BATCH_CASES], present[start : start + _BATCH_CASES])
            for start in range(0, len(pixels), _BATCH_CASES)
        ]
        fused = torch.cat([part.fused for part in parts])
        return FoldLogits(
            fused, {name: torch.cat([part.by_sequence[name] for part in parts]) for name in self.encoders}
        )

    def _logits(self, pixels: Tensor, present: Tensor) -> FoldLogits:
        by_sequence, maps = {}, []
        with torch.inference_mode():
            for index, (sequence, encoder) in enumerate(self.encoders.items()):
                features = encoder.features(pixels[:, index])
                margin = class_margin(encoder.logits(features))
                by_sequence[sequence] = margin.where(present[:, index], torch.nan)
                maps.append(self.projections[sequence].project(features))
            fused = class_margin(self.fusion(torch.stack(maps, dim=1), present))
        return FoldLogits(fused, by_sequence)


def class_margin(logits: Tensor) -> Tensor:
    """Logit of positive against negative [case], of logits [case, class]: its sigmoid is the softmax output."""
    return logits[:, 1] - logits[:, 0]


def save_encoder(folder: FoldFolder, sequence: str, state: Mapping[str, Tensor], note: Mapping[str, object]) -> None:
    """Write an encoder with torchvision's names."""
    save_tensors(folder.sequence(sequence), state, note)


def load_encoder(folder: FoldFolder, sequence: str) -> FoldedEncoder:
    """Read an encoder for scoring."""
    path = folder.sequence(sequence)
    tensors, _ = load_tensors(path, _REPAIR)
    try:
        return FoldedEncoder.from_state(tensors)
    except (KeyError, RuntimeError) as failure:
        raise _misfit(path, failure) from None


def save_fusion(folder: FoldFolder, model: FoldModel, note: Mapping[str, object]) -> None:
    """Write projections, transformer and scales of a fold."""
    tensors = {f"fusion.{name}": value for name, value in model.fusion.state_dict().items()}
    for sequence, pca in model.projections.items():
        parts = {"mean": pca.mean, "components": pca.components, "scale": pca.scale}
        tensors.update({f"pca.{sequence}/{part}": value for part, value in parts.items()})
    scales = {row: scale.model_dump() for row, scale in model.scales.items()}
    save_tensors(folder.fusion, tensors, {**note, "scales": scales})


def load_fold(folder: FoldFolder, plan: Plan, device: torch.device) -> FoldModel:
    """Read a whole fold for scoring on `device`; raises ModelFolderError for a file that does not fit the plan."""
    tensors, note = load_tensors(folder.fusion, _REPAIR)
    try:
        projections, fusion, scales = _fusion_parts(tensors, note, plan, device)
    except (KeyError, TypeError, ValueError, RuntimeError) as failure:
        raise _misfit(folder.fusion, failure) from None
    encoders = {name: load_encoder(folder, name).to(device, scoring_dtype(plan, device)) for name in plan.sequences}
    return FoldModel(encoders, projections, fusion, scales)


def _fusion_parts(
    tensors: Mapping[str, Tensor], note: Mapping[str, Any], plan: Plan, device: torch.device
) -> tuple[dict[str, ChannelPCA], FusionTransformer, dict[str, LogisticScale]]:
    projections = {
        sequence: ChannelPCA(*(tensors[f"pca.{sequence}/{part}"] for part in ("mean", "components", "scale"))).to(
            device
        )
        for sequence in plan.sequences
    }
    fusion = new_fusion(plan, projections[plan.sequences[0]].components.shape[0])
    prefix = "fusion."
    fusion.load_state_dict({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
    scales = {row: LogisticScale.model_validate(note["scales"][row]) for row in (FUSED, *plan.sequences)}
    return projections, fusion.to(device).eval(), scales


def _misfit(path: Path, failure: Exception) -> ModelFolderError:
    reason = str(failure).splitlines()[0]
    return ModelFolderError(f"{path}: does not fit the plan ({type(failure).__name__}: {reason}); {_REPAIR}")


def new_fusion(plan: Plan, channels: int) -> FusionTransformer:
    """An untrained fusion for `channels` projected channels per sequence."""
    return FusionTransformer(plan.network.fusion, len(plan.sequences), channels, map_size_px(plan))


def map_size_px(plan: Plan) -> int:
    """Side of the encoder's last feature map: the input halved five times, rounded up.

    The paper's 224 px give 7.
    """
    return -(-plan.preprocessing.input_size_px // 32)


def scoring_dtype(plan: Plan, device: torch.device) -> torch.dtype:
    """The type in which encoders are evaluated."""
    return torch.bfloat16 if plan.training.precision == "bf16" and has_bf16(device) else torch.float32


def has_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 in hardware; emulation is many times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
