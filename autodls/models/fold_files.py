"""Weights of a fold as files: written by training, read for scoring and checked against the plan."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from autodls.errors import ModelFolderError
from autodls.models.folded import FoldedEncoder
from autodls.models.fusion import FusionTransformer
from autodls.models.network import FoldModel, FusedBy, new_fusion, scoring_dtype
from autodls.models.pca import ChannelPCA
from autodls.records.encoders import ENCODER_SPECS
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.scale import LogisticScale
from autodls.records.scores import FUSED
from autodls.records.tensors import load_tensors, save_tensors, tensors_sha256

_FUSED_BY: TypeAdapter[FusedBy] = TypeAdapter(FusedBy)
_REPAIR = "copy the model folder anew, or run 'autodls train fold all'"
_FUSION = "fusion."


def save_encoder(folder: FoldFolder, sequence: str, state: Mapping[str, Tensor], note: Mapping[str, object]) -> None:
    """Write an encoder with torchvision's names."""
    save_tensors(folder.sequence(sequence), state, note)


def load_encoder(folder: FoldFolder, sequence: str) -> FoldedEncoder:
    """Read an encoder as it was trained, for scoring."""
    path = folder.sequence(sequence)
    tensors, _ = load_tensors(path, _REPAIR)
    try:
        _require_numbers({name: t for name, t in tensors.items() if not name.endswith("num_batches_tracked")})
        return FoldedEncoder.from_state(tensors)
    except (KeyError, ValueError, RuntimeError) as failure:
        raise _misfit(path, failure) from None


def save_folded(folder: FoldFolder, sequence: str, encoder: FoldedEncoder) -> None:
    """Write an encoder as a model folder holds it."""
    save_tensors(folder.sequence(sequence), encoder.tensors())


def folded_sha256(encoder: FoldedEncoder) -> str:
    """SHA-256 of the file that `save_folded` writes."""
    return tensors_sha256(encoder.tensors())


def load_folded(path: Path, sha256: str) -> FoldedEncoder:
    """Read an encoder of a model folder; raises ModelFolderError for other bytes than those of `sha256`."""
    tensors, _ = load_tensors(path, _REPAIR, sha256)
    try:
        _require_numbers(tensors, (torch.float32, torch.float16))
        return FoldedEncoder.from_tensors(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as failure:
        raise _misfit(path, failure) from None


def save_fusion(folder: FoldFolder, model: FoldModel, note: Mapping[str, object]) -> None:
    """Write projections, transformer and scales of a fold."""
    tensors = {f"fusion.{name}": value for name, value in model.fusion.state_dict().items()}
    for sequence, pca in model.projections.items():
        parts = {"mean": pca.mean, "components": pca.components, "scale": pca.scale}
        tensors.update({f"pca.{sequence}/{part}": value for part, value in parts.items()})
    scales = {row: scale.model_dump() for row, scale in model.scales.items()}
    save_tensors(folder.fusion, tensors, {**note, "scales": scales, "fused_by": model.fused_by})


def load_fold(folder: FoldFolder, plan: Plan, device: torch.device) -> FoldModel:
    """Read a whole fold as it was trained; raises ModelFolderError for a file that does not fit the plan."""
    fold = load_fusion(folder, plan, device)
    encoders = {name: load_encoder(folder, name) for name in plan.sequences}
    for name, encoder in encoders.items():
        require_channels(fold, name, encoder, plan, folder.sequence(name))
    dtype = scoring_dtype(plan, device)
    return replace(fold, encoders={name: encoder.to(device, dtype) for name, encoder in encoders.items()})


def load_fusion(folder: FoldFolder, plan: Plan, device: torch.device, sha256: str | None = None) -> FoldModel:
    """Read a fold without its encoders; raises ModelFolderError for a file that does not fit the plan or `sha256`."""
    tensors, note = load_tensors(folder.fusion, _REPAIR, sha256)
    try:
        return FoldModel({}, *_fusion_parts(tensors, note, plan, device))
    except (KeyError, TypeError, ValueError, RuntimeError) as failure:
        raise _misfit(folder.fusion, failure) from None


def require_channels(fold: FoldModel, sequence: str, encoder: FoldedEncoder, plan: Plan, path: Path) -> None:
    """Raise ModelFolderError unless the encoder of `sequence`, read from `path`, takes what the plan gives it, and
    gives what its PCA and the fusion take.
    """
    spec = ENCODER_SPECS[plan.network.encoder]
    expected = (plan.network.roi_guided, spec.stride_px, spec.family)
    if (found := (encoder.roi_guided, encoder.stride_px, encoder.family.name)) != expected:
        raise _misfit(
            path, ValueError(f"guided by the ROI, stride of its map and family are {found}, expected {expected}")
        )
    if encoder.channels != len(fold.projections[sequence].mean):
        raise _misfit(path, ValueError(f"{encoder.channels} channels are not those of its PCA"))


def _fusion_parts(
    tensors: Mapping[str, Tensor], note: Mapping[str, Any], plan: Plan, device: torch.device
) -> tuple[dict[str, ChannelPCA], FusionTransformer, dict[str, LogisticScale], FusedBy]:
    _require_numbers(tensors)
    fusion = _empty_fusion(tensors, plan)
    _require_shapes(tensors, fusion, plan)
    projections = {
        sequence: ChannelPCA(*(tensors[f"pca.{sequence}/{part}"] for part in ("mean", "components", "scale"))).to(
            device
        )
        for sequence in plan.sequences
    }
    state = {name.removeprefix(_FUSION): t for name, t in tensors.items() if name.startswith(_FUSION)}
    fusion.load_state_dict(state, assign=True)
    scales = {row: LogisticScale.model_validate(note["scales"][row]) for row in (FUSED, *plan.sequences)}
    fused_by: FusedBy = _FUSED_BY.validate_python(note.get("fused_by", "transformer"))
    return projections, fusion.to(device).eval(), scales, fused_by


def _require_numbers(tensors: Mapping[str, Tensor], kinds: tuple[torch.dtype, ...] = (torch.float32,)) -> None:
    """Raise ValueError for a tensor that is not of `kinds`, or holds NaN or infinity."""
    for name, tensor in tensors.items():
        if tensor.dtype not in kinds or not torch.isfinite(torch.stack(tensor.aminmax())).all():
            raise ValueError(f"{name} does not hold finite numbers of {' or '.join(str(kind) for kind in kinds)}")


def _empty_fusion(tensors: Mapping[str, Tensor], plan: Plan) -> FusionTransformer:
    """The plan's fusion, without memory for weights; raises ValueError unless `tensors` have as many layers."""
    layers = {name.split(".")[3] for name in tensors if name.startswith(f"{_FUSION}encoder.layers.")}
    if len(layers) != plan.network.fusion.layers:
        raise ValueError(f"{len(layers)} layers, the plan has {plan.network.fusion.layers}")
    with torch.device("meta"):
        return new_fusion(plan, plan.network.pca_dims)


def _require_shapes(tensors: Mapping[str, Tensor], fusion: FusionTransformer, plan: Plan) -> None:
    """Raise ValueError unless `tensors` are those of `fusion` and of the plan's projections."""
    expected = {f"{_FUSION}{name}": tuple(tensor.shape) for name, tensor in fusion.state_dict().items()}
    for sequence in plan.sequences:
        channels = tensors[f"pca.{sequence}/mean"].numel()
        shapes = {"mean": (channels,), "components": (plan.network.pca_dims, channels), "scale": ()}
        expected |= {f"pca.{sequence}/{part}": shape for part, shape in shapes.items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            raise ValueError(f"{name} is {found.get(name)}, expected {expected.get(name)}")


def _misfit(path: Path, failure: Exception) -> ModelFolderError:
    reason = str(failure).splitlines()[0]
    return ModelFolderError(f"{path}: does not fit the plan ({type(failure).__name__}: {reason}); {_REPAIR}")
