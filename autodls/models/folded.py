"""The encoder that scores: batch norm folded into the convolutions, no MONAI import.

A batch norm in evaluation is an affine map per channel, so it is merged once into the weight and bias of the
convolution before it; what is left is convolutions, additions and ReLU, in the layout of ResNet-50/101/152.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

_EPSILON = 1e-5  # of nn.BatchNorm2d
_STAGES = (1, 2, 3, 4)


@dataclass(frozen=True)
class FoldedEncoder:
    """A trained `SequenceEncoder` for evaluation.

    `convolutions` holds (weight, bias) by torchvision's name of the convolution, `fc` those of the last layer.
    """

    convolutions: Mapping[str, tuple[Tensor, Tensor]]
    fc: tuple[Tensor, Tensor]

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "FoldedEncoder":
        """Fold a state dict with torchvision's names."""
        convolutions = {}
        for name, weight in state.items():
            if weight.ndim == 4:
                convolutions[name.removesuffix(".weight")] = _fold(state, name, weight)
        return cls(convolutions, (state["fc.weight"].float(), state["fc.bias"].float()))

    def to(self, device: torch.device, dtype: torch.dtype) -> "FoldedEncoder":
        """The same on `device`, computing its convolutions in `dtype`."""

        def move(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            weight = pair[0].to(device, dtype).contiguous(memory_format=torch.channels_last)
            return weight, pair[1].to(device, dtype)

        moved = {name: move(pair) for name, pair in self.convolutions.items()}
        return FoldedEncoder(moved, (self.fc[0].to(device), self.fc[1].to(device)))

    def features(self, planes: Tensor) -> Tensor:
        """The last feature map, float32 [case, 2048, H/32, W/32], of planes [case, plane, H, W]."""
        dtype = self.convolutions["conv1"][0].dtype
        planes = planes.to(dtype).contiguous(memory_format=torch.channels_last)
        x = functional.relu(self._convolve("conv1", planes, stride=2, padding=3))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for stage in _STAGES:
            block = 0
            while f"layer{stage}.{block}.conv1" in self.convolutions:
                x = self._bottleneck(f"layer{stage}.{block}", x, stride=2 if stage > 1 and block == 0 else 1)
                block += 1
        return x.float()

    def logits(self, features: Tensor) -> Tensor:
        """Logits [case, class] of a feature map."""
        return functional.linear(features.mean(dim=(2, 3)), *self.fc)

    def _bottleneck(self, block: str, x: Tensor, stride: int) -> Tensor:
        projection = f"{block}.downsample.0"
        shortcut = self._convolve(projection, x, stride) if projection in self.convolutions else x
        x = functional.relu(self._convolve(f"{block}.conv1", x))
        x = functional.relu(self._convolve(f"{block}.conv2", x, stride, padding=1))
        return functional.relu(self._convolve(f"{block}.conv3", x) + shortcut)

    def _convolve(self, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        return functional.conv2d(x, *self.convolutions[name], stride=stride, padding=padding)


def _fold(state: Mapping[str, Tensor], name: str, weight: Tensor) -> tuple[Tensor, Tensor]:
    norm = name.replace("conv", "bn").removesuffix(".weight")
    if norm.endswith("downsample.0"):
        norm = norm.removesuffix("0") + "1"
    folded, bias = fuse_conv_bn_weights(
        weight.float(),  # type: ignore[arg-type]
        None,
        state[f"{norm}.running_mean"],
        state[f"{norm}.running_var"],
        _EPSILON,
        state[f"{norm}.weight"],
        state[f"{norm}.bias"],
    )
    return folded.detach(), bias.detach()
