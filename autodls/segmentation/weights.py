"""Weights of a segmentation network as safetensors."""

import errno
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from autodls.errors import ModelFolderError
from autodls.records.files import write_atomically

_NOTE = "autodls"


def save_weights(path: Path, network: nn.Module, note: Mapping[str, str]) -> None:
    """Write the parameters of `network`, each once, and `note`; the same content gives the same bytes.

    Raises OSError where the disk does not take them.
    """
    parameters = {name: value.detach().cpu().contiguous() for name, value in network.named_parameters()}
    metadata = {_NOTE: json.dumps(note, sort_keys=True)}
    try:
        write_atomically(path, lambda beside: save_file(parameters, beside, metadata=metadata))
    except SafetensorError as failure:
        raise OSError(errno.EIO, f"cannot be written ({failure})", str(path)) from None


def read_note(path: Path) -> dict[str, str]:
    """What was noted with the weights `path`; raises ModelFolderError for a file that cannot be read."""
    try:
        with safe_open(path, framework="pt") as handle:
            note: dict[str, str] = json.loads((handle.metadata() or {}).get(_NOTE, "{}"))
            return note
    except (SafetensorError, OSError, ValueError) as failure:
        raise ModelFolderError(f"{path}: not a readable safetensors file ({failure})") from None


def load_weights(path: Path) -> dict[str, Tensor]:
    """The weights in `path`, on the CPU; raises ModelFolderError for a file that cannot be read."""
    try:
        with safe_open(path, framework="pt") as handle:
            return {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as failure:
        raise ModelFolderError(f"{path}: not a readable safetensors file ({failure})") from None


def check_weights(network: nn.Module, weights: Mapping[str, Tensor], where: Path) -> None:
    """Raise ModelFolderError unless `weights` are the parameters of `network`, by name, shape and finite values."""
    expected = dict(network.named_parameters())
    if odd := sorted(expected.keys() ^ weights.keys()):
        raise ModelFolderError(f"{where}: tensor '{odd[0]}' is missing or unknown to plans.json; copy the folder anew")
    for name, value in weights.items():
        if value.shape != expected[name].shape or not torch.isfinite(value).all():
            raise ModelFolderError(
                f"{where}: {name} has shape {tuple(value.shape)}, expected {tuple(expected[name].shape)} of finite "
                f"numbers; copy the folder anew"
            )


def put_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy checked `weights` into `network`."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(weights[name])
