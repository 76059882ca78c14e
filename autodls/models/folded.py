"""The encoder that scores: batch norm folded into the convolutions, no MONAI import.

A batch norm in evaluation is an affine map per channel, so it is merged once into the weight and bias of the
convolution before it; what is left is convolutions, additions and ReLU (`resnet`, `efficientnet`). Folded weights are
rounded to half precision: a model folder then has half the size, and out-of-fold scores come from the very numbers that
it holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from autodls.models.family import Family, family_of
from autodls.models.pooling import STEM_CHANNELS, map_of_case, pictures_of, pool
from autodls.records.network_shape import CLASSES, PLANE_COUNT


@dataclass(frozen=True)
class FoldedEncoder:
    """A trained `SequenceEncoder` for evaluation.

    `convolutions` holds (weight, bias) by the name of the convolution, `fc` those of the last layer; their
    shapes and names say which network it is, and whether it is guided by the ROI. It
    computes in the type of its biases; weights in half precision are unpacked layer by layer as they are used, which
    for a single case is quicker than finding memory for all.
    """

    convolutions: Mapping[str, tuple[Tensor, Tensor]]
    fc: tuple[Tensor, Tensor]

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "FoldedEncoder":
        """Fold a state dict with the names of a `Family`; raises KeyError or ValueError where it is no such network."""
        family, convolutions = family_of(_without_suffix(state)), {}
        for name, weight in state.items():
            if weight.ndim == 4:
                convolutions[name.removesuffix(".weight")] = _fold(state, name, weight, family)
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
        last = self.family.last(self.convolutions)
        return len(self.convolutions[last][1]) * (PLANE_COUNT if self.roi_guided else 1)

    @property
    def roi_guided(self) -> bool:
        """Whether it takes the ROI beside each plane."""
        return self._stem[0].shape[1] == STEM_CHANNELS[True]

    @property
    def dtype(self) -> torch.dtype:
        """The type that it computes in."""
        return self._stem[1].dtype

    @property
    def stride_px(self) -> int:
        """Input pixels per cell of the last feature map, along a side."""
        return self.family.stride_px(self.convolutions, self._stem_px)

    def require_chain(self) -> None:
        """Raise ValueError unless each convolution takes what the one before it gives, and all are used."""
        family = self.family
        if (axes := self.convolutions[family.stem][0].ndim) != 4:
            raise ValueError(f"{family.stem} has {axes} axes, expected 4")
        found = {name: tuple(weight.shape) for name, (weight, _) in self.convolutions.items()}
        expected = family.expected_shapes(found)
        out, _, *sides = expected[family.stem]
        expected[family.stem] = (out, STEM_CHANNELS[self.roi_guided], *sides)
        channels = expected[family.last(expected)][0]
        expected["fc"], found["fc"] = (CLASSES, (1 + self.roi_guided) * channels), tuple(self.fc[0].shape)
        for name in sorted(expected.keys() | found.keys()):
            if found.get(name) != expected.get(name):
                raise ValueError(f"{name} is {found.get(name)}, expected {expected.get(name)}")

    @property
    def family(self) -> Family:
        """ResNet or EfficientNet-lite, by its names."""
        return family_of(self.convolutions)

    @property
    def _stem(self) -> tuple[Tensor, Tensor]:
        return self.convolutions[self.family.stem]

    @property
    def _stem_px(self) -> int:
        return int(self._stem[0].shape[-1])  # a tracer has a tensor for it

    def to(self, device: torch.device, dtype: torch.dtype) -> "FoldedEncoder":
        """The same on `device`, computing its convolutions in `dtype`."""

        def move(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            weight = pair[0].to(device, dtype).contiguous(memory_format=torch.channels_last)
            return weight, pair[1].to(device, dtype)

        moved = {name: move(pair) for name, pair in self.convolutions.items()}
        return replace(self, convolutions=moved, fc=(self.fc[0].to(device), self.fc[1].to(device)))

    def unpacked(self) -> "FoldedEncoder":
        """The same with all weights in the type that it computes in."""
        return self.to(self._stem[1].device, self.dtype)

    def features(self, inputs: Tensor) -> Tensor:
        """The last feature map, float32 [case, channel, h, w], of network input [case, channel, H, W]."""
        pictures = pictures_of(inputs).to(self.dtype).contiguous(memory_format=torch.channels_last)
        maps = self.family.feature_map(pictures, self.convolutions, self._stem_px, self._convolve)
        return map_of_case(maps.float(), inputs)

    def logits(self, features: Tensor, inputs: Tensor) -> Tensor:
        """Logits [case, class] of the feature map of `inputs`."""
        stride_px = self.stride_px
        first_px = self.family.first_cell_px(inputs.shape[-1], stride_px)
        return functional.linear(pool(features, inputs, stride_px, first_px), *self.fc)

    def _convolve(self, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
        weight, bias = self.convolutions[name]
        groups = x.shape[1] // weight.shape[1]
        return functional.conv2d(x, weight.to(bias.dtype), bias, stride=stride, padding=padding, groups=groups)


def _without_suffix(state: Mapping[str, Tensor]) -> set[str]:
    return {name.removesuffix(".weight") for name in state}


def _fold(state: Mapping[str, Tensor], name: str, weight: Tensor, family: Family) -> tuple[Tensor, Tensor]:
    norm = family.norm_of(name.removesuffix(".weight"))
    for part in ("running_mean", "running_var", "weight", "bias"):
        if state[f"{norm}.{part}"].shape != weight.shape[:1]:
            raise ValueError(f"{norm}.{part} is {tuple(state[f'{norm}.{part}'].shape)}, expected {len(weight)} values")
    folded, bias = fuse_conv_bn_weights(
        weight.float(),  # type: ignore[arg-type]
        None,
        state[f"{norm}.running_mean"],
        state[f"{norm}.running_var"],
        family.norm_epsilon,
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
