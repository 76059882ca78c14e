"""The networks of a bundle for MONAI's configuration: `network_def` of configs/inference.json."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from autodls.errors import ArgumentError
from autodls.inference.model_folder import load_model
from autodls.records.network_shape import PLANE_COUNT


class BundleNetwork(nn.Module):
    """A locked model as one module: float32 [case, sequence * channel, H, W] to the DLS, float64 [case, 1].

    A sequence all of whose planes are zeros is missing. Weights are read, and verified, as they are used, and stay on
    the CPU. Raises ModelFolderError where a file of the `folder` is missing or altered; `forward` raises ArgumentError
    for another number of channels, and for a case without any sequence.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__()
        self._model = load_model(Path(folder), torch.device("cpu"), streamed=True)

    def forward(self, image: Tensor) -> Tensor:
        """Calibrated probability of the positive class."""
        sequences = len(self._model.plan.sequences)
        if image.ndim != 4 or image.shape[1] % sequences:
            raise ArgumentError(f"network input {tuple(image.shape)}: expected [case, {sequences} * channels, H, W]")
        pixels = image.detach().cpu().float().reshape(len(image), sequences, -1, *image.shape[2:])
        present = (pixels[:, :, :PLANE_COUNT] != 0).flatten(2).any(dim=2)
        if not present.any(dim=1).all():
            raise ArgumentError("network input: a case has no sequence, all its planes are zeros; leave it out")
        return torch.from_numpy(self._model.score(pixels, present).dls)[:, None].to(image.device)
