"""Principal components over the channels of a feature map (the paper's reduction to 128 dimensions)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ChannelPCA:
    """A fitted projection of channels.

    `mean` is [channel], `components` [kept, channel] with orthonormal rows, and `scale` one number: the standard
    deviation of the first component over the cases that it was fitted on, so that projected maps are of order one.
    """

    mean: Tensor
    components: Tensor
    scale: Tensor

    def project(self, features: Tensor) -> Tensor:
        """[case, channel, H, W] -> [case, kept, H, W]."""
        centred = features - self.mean[:, None, None]
        return torch.einsum("kc,nchw->nkhw", self.components, centred) / self.scale

    def to(self, device: torch.device) -> "ChannelPCA":
        """The same on `device`."""
        return ChannelPCA(self.mean.to(device), self.components.to(device), self.scale.to(device))
