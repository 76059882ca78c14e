"""Parameters of a segmentation network, each once: nnU-Net's decoder holds its encoder, and so names some twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from autodls.errors import ModelFolderError
from autodls.records.tensors import read_tensors, save_tensors

_COPY = "copy the folder anew"


def save_weights(path: Path, network: nn.Module, note: Mapping[str, object]) -> None:
    """Write the parameters of `network`, and `note`; raises OSError where the disk does not take them."""
    save_tensors(path, dict(network.named_parameters()), note)


@dataclass(frozen=True)
class FoldWeights:
    """The parameters of one fold's network, on the CPU, and the SHA-256 of the file that they were read from."""

    tensors: dict[str, Tensor]
    sha256: str


def load_weights(path: Path, sha256: str | None = None) -> FoldWeights:
    """The weights in `path`; raises ModelFolderError for a file that cannot be read, or has not the hash `sha256`."""
    read = read_tensors(path, _COPY, sha256)
    return FoldWeights(read.tensors, read.sha256)


def check_weights(network: nn.Module, weights: Mapping[str, Tensor], where: Path) -> None:
    """Raise ModelFolderError unless `weights` are the parameters of `network`, by name, shape and finite values."""
    expected = dict(network.named_parameters())
    if odd := sorted(expected.keys() ^ weights.keys()):
        raise ModelFolderError(f"{where}: tensor '{odd[0]}' is missing or unknown to plans.json; {_COPY}")
    for name, value in weights.items():
        if value.shape != expected[name].shape or not torch.isfinite(value).all():
            raise ModelFolderError(
                f"{where}: {name} has shape {tuple(value.shape)}, expected {tuple(expected[name].shape)} of finite "
                f"numbers; {_COPY}"
            )


def put_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy checked `weights` into `network`."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(weights[name])
