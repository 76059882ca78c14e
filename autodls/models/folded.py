"""The encoder that scores: batch norm folded into the convolutions, no MONAI import.

A batch norm in evaluation is an affine map per channel, so it is merged once into the weight and bias of the
convolution before it; what is left is convolutions, additions and ReLU (`resnet`). Folded weights are rounded to half
precision: a model folder then has half the size, and out-of-fold scores come from the very numbers that it holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from autodls.models.pooling import STEM_CHANNELS, map_of_case, pictures_of, pool
from autodls.models.resnet import STEMS_PX, blocks_of, feature_map, is_basic, norm_of, stride_px
from autodls.records.network_shape import CLASSES, PLANE_COUNT

_EPSILON = 1e-5  # of nn.BatchNorm2d


@dataclass(frozen=True)
class FoldedEncoder:
    """A trained `SequenceEncoder` for evaluation.

    `convolutions` holds (weight, bias) by torchvision's name of the convolution, `fc` those of the last layer; their
    shapes say which ResNet it is, with bottlenecks or basic blocks, and whether it is guided by the ROI. It
    computes in the type of its biases; weights in half precision are unpacked layer by layer as they are used, which
    for a single case is quicker than finding memory for all.
    """

    convolutions: Mapping[str, tuple[Tensor, Tensor]]
    fc: tuple[Tensor, Tensor]

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "FoldedEncoder":
        """Fold a state dict with torchvision's names; raises KeyError or ValueError where it is no such network."""
        convolutions = {}
        for name, weight in state.items():
            if weight.ndim == 4:
                convolutions[name.removesuffix(".weight")] = _fold(state, name, weight)
        encoder = cls(convolutions, (state["fc.weight"].float(), state["fc.bias"].float()))
        encoder.require_chain()
        return encoder

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "FoldedEncoder":
        """The encoder whose `tensors()` these are; raises KeyError, TypeError or ValueError where they are no such."""
        pairs = {}
        for name in sorted({name.rpartition(".")[0] for name in tensors}):
            weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"].float()
            pairs[name] = (weight.permute(0, 3, 1, 2) if weight.ndim == 4 else weight.float(), bias)
        fc = pairs.pop("fc")
        encoder = cls(pairs, fc)
        encoder.require_chain()
        return encoder

    def tensors(self) -> dict[str, Tensor]:
        """What is stored: NAME.weight and NAME.bias of every convolution, [out, h, w, in] and [out], and of `fc`.

        Weights that half precision holds without change, as those of `from_state`, are in half precision.
        """
        pairs = {name: (weight.permute(0, 2, 3, 1), bias) for name, (weight, bias) in self.convolutions.items()}
        pairs["fc"] = self.fc
        weights = {f"{name}.weight": _halved(weight) for name, (weight, _) in pairs.items()}
        return weights | {f"{name}.bias": bias for name, (_, bias) in pairs.items()}

    @property
    def channels(self) -> int:
        """Channels of the last feature map of a case."""
        *_, last = blocks_of(self.convolutions)
        return len(self.convolutions[self._last_of(last)][1]) * (PLANE_COUNT if self.roi_guided else 1)

    @property
    def roi_guided(self) -> bool:
        """Whether it takes the ROI beside each plane."""
        return self.convolutions["conv1"][0].shape[1] == STEM_CHANNELS[True]

    @property
    def stride_px(self) -> int:
        """Input pixels per cell of the last feature map, along a side."""
        return stride_px(self.convolutions, self._stem_px)

    def require_chain(self) -> None:
        """Raise ValueError unless each convolution takes what the one before it gives, and all are used."""
        expected: dict[str, tuple[int, ...]] = {}
        if (axes := self.convolutions["conv1"][0].ndim) != 4:
            raise ValueError(f"conv1 has {axes} axes, expected 4")
        channels = len(self.convolutions["conv1"][1])
        expected["conv1"] = (
            channels,
            STEM_CHANNELS[self.roi_guided],
            *[self._stem_px if self._stem_px in STEMS_PX else 7] * 2,
        )
        for block in blocks_of(self.convolutions):
            out = len(self.convolutions[self._last_of(block)][1])
            if is_basic(self.convolutions, block):
                expected[f"{block}.conv1"] = (out, channels, 3, 3)
                expected[f"{block}.conv2"] = (out, out, 3, 3)
            else:
                width = len(self.convolutions[f"{block}.conv2"][1])
                expected[f"{block}.conv1"] = (width, channels, 1, 1)
                expected[f"{block}.conv2"] = (width, width, 3, 3)
                expected[f"{block}.conv3"] = (out, width, 1, 1)
            if f"{block}.downsample.0" in self.convolutions or out != channels:
                expected[f"{block}.downsample.0"] = (out, channels, 1, 1)
            channels = out
        found = {name: tuple(weight.shape) for name, (weight, _) in self.convolutions.items()}
        expected["fc"], found["fc"] = (CLASSES, (1 + self.roi_guided) * channels), tuple(self.fc[0].shape)
        for name in sorted(expected.keys() | found.keys()):
            if found.get(name) != expected.get(name):
                raise ValueError(f"{name} is {found.get(name)}, expected {expected.get(name)}")

    @property
    def _stem_px(self) -> int:
        return self.convolutions["conv1"][0].shape[-1]

    def _last_of(self, block: str) -> str:
        return f"{block}.conv2" if is_basic(self.convolutions, block) else f"{block}.conv3"

    def to(self, device: torch.device, dtype: torch.dtype) -> "FoldedEncoder":
        """The same on `device`, computing its convolutions in `dtype`."""

        def move(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            weight = pair[0].to(device, dtype).contiguous(memory_format=torch.channels_last)
            return weight, pair[1].to(device, dtype)

        moved = {name: move(pair) for name, pair in self.convolutions.items()}
        return FoldedEncoder(moved, (self.fc[0].to(device), self.fc[1].to(device)))

    def unpacked(self) -> "FoldedEncoder":
        """The same with all weights in the type that it computes in."""
        bias = self.convolutions["conv1"][1]
        return self.to(bias.device, bias.dtype)

    def features(self, inputs: Tensor) -> Tensor:
        """The last feature map, float32 [case, channel, h, w], of network input [case, channel, H, W]."""
        dtype = self.convolutions["conv1"][1].dtype
        pictures = pictures_of(inputs).to(dtype).contiguous(memory_format=torch.channels_last)
        maps = feature_map(pictures, self.convolutions, self._stem_px, self._convolve)
        return map_of_case(maps.float(), inputs)

    def logits(self, features: Tensor, inputs: Tensor) -> Tensor:
        """Logits [case, class] of the feature map of `inputs`."""
        return functional.linear(pool(features, inputs, self.stride_px), *self.fc)

    def _convolve(self, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
        weight, bias = self.convolutions[name]
        return functional.conv2d(x, weight.to(bias.dtype), bias, stride=stride, padding=padding)


def _fold(state: Mapping[str, Tensor], name: str, weight: Tensor) -> tuple[Tensor, Tensor]:
    norm = norm_of(name.removesuffix(".weight"))
    for part in ("running_mean", "running_var", "weight", "bias"):
        if state[f"{norm}.{part}"].shape != weight.shape[:1]:
            raise ValueError(f"{norm}.{part} is {tuple(state[f'{norm}.{part}'].shape)}, expected {len(weight)} values")
    folded, bias = fuse_conv_bn_weights(
        weight.float(),  # type: ignore[arg-type]
        None,
        state[f"{norm}.running_mean"],
        state[f"{norm}.running_var"],
        _EPSILON,
        state[f"{norm}.weight"],
        state[f"{norm}.bias"],
    )
    return _rounded(folded.detach()), bias.detach()


def _rounded(weight: Tensor) -> Tensor:
    """To what half precision holds; as it is where that would overflow."""
    half = weight.half()
    return half.float() if torch.isfinite(half).all() else weight


def _halved(weight: Tensor) -> Tensor:
    half = weight.half()
    return half if torch.equal(half.to(weight.dtype), weight) else weight
