"""What follows what in an EfficientNet-lite, told once for the encoder that is trained and for the one that scores.

Written against torch alone, with the names of the package `efficientnet-lite-pytorch`, so that its weights fit as they
are; a test holds both to the same output. Its padding is TensorFlow's "same": what does not go up is put behind.
"""

from collections.abc import Container, Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from autodls.models.resnet import Convolve
from autodls.records.encoders import ENCODER_SPECS, LITE_HEAD, LITE_STEM, LiteStage, lite_stages

STEM, HEAD = "_conv_stem", "_conv_head"
NORM_EPSILON = 1e-3
_STEM_PX = 3
_INPUTS = ENCODER_SPECS["efficientnet_lite0"].inputs
_NORMS = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2", STEM: "_bn0", HEAD: "_bn1"}
_LITES = ("efficientnet_lite2", "efficientnet_lite1", "efficientnet_lite0")  # the first two have as many blocks


class EfficientNetLite(nn.Module):
    """The modules of an EfficientNet-lite, for pictures of `in_channels`; `feature_map` says how they follow."""

    def __init__(self, name: str, in_channels: int, classes: int) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(in_channels, LITE_STEM, _STEM_PX, stride=2, bias=False)
        self._bn0 = _norm(LITE_STEM)
        self._blocks = nn.ModuleList()
        channels = LITE_STEM
        for stage in lite_stages(name):
            for _ in range(stage.blocks):
                self._blocks.append(_block(channels, stage))
                channels = stage.channels
        self._conv_head = nn.Conv2d(channels, LITE_HEAD, 1, bias=False)
        self._bn1 = _norm(LITE_HEAD)
        self.fc = nn.Linear(LITE_HEAD, classes)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=NORM_EPSILON)


def _block(channels: int, stage: LiteStage) -> nn.ModuleDict:
    """An inverted residual: widened by 1 x 1, each channel convolved on its own, brought down by 1 x 1."""
    wide = channels * stage.expansion
    parts: dict[str, nn.Module] = {}
    if stage.expansion != 1:
        parts |= {"_expand_conv": nn.Conv2d(channels, wide, 1, bias=False), "_bn0": _norm(wide)}
    depthwise = nn.Conv2d(wide, wide, stage.kernel_px, stride=stage.stride, groups=wide, bias=False)
    parts |= {"_depthwise_conv": depthwise, "_bn1": _norm(wide)}
    parts |= {"_project_conv": nn.Conv2d(wide, stage.channels, 1, bias=False), "_bn2": _norm(stage.channels)}
    return nn.ModuleDict(parts)


def norm_of(convolution: str) -> str:
    """The batch norm that follows a convolution.

    >>> norm_of("_conv_stem"), norm_of("_blocks.3._depthwise_conv")
    ('_bn0', '_blocks.3._bn1')
    """
    block, dot, own = convolution.rpartition(".")
    return block + dot + _NORMS[own]


def blocks_of(names: Container[str]) -> Iterator[tuple[str, LiteStage, bool]]:
    """The blocks of a network with convolutions of these `names`, in order: name, stage, whether it begins that.

    None where there are as many as no network has.
    """
    count = 0
    while f"_blocks.{count}._project_conv" in names:
        count += 1
    for lite in _LITES:
        blocks = [(stage, number == 0) for stage in lite_stages(lite) for number in range(stage.blocks)]
        if len(blocks) == count:
            for number, (stage, first) in enumerate(blocks):
                yield f"_blocks.{number}", stage, first
            return


def feature_map(pictures: Tensor, names: Container[str], _stem_px: int, convolve: Convolve) -> Tensor:
    """The last feature map, [picture, channel, h, w], of `pictures` [picture, channel, H, W]."""
    x = pictures * _INPUTS.sd + _INPUTS.mean
    x = functional.relu6(_same(STEM, x, 2, _STEM_PX, convolve))
    for block, stage, first in blocks_of(names):
        inner = x
        if f"{block}._expand_conv" in names:
            inner = functional.relu6(convolve(f"{block}._expand_conv", inner, 1, 0))
        stride = stage.stride if first else 1
        inner = _same(f"{block}._depthwise_conv", inner, stride, stage.kernel_px, convolve)
        inner = convolve(f"{block}._project_conv", functional.relu6(inner), 1, 0)
        x = inner if first else inner + x
    return functional.relu6(convolve(HEAD, x, 1, 0))


def _same(name: str, x: Tensor, stride: int, kernel_px: int, convolve: Convolve) -> Tensor:
    """Convolve with TensorFlow's "same" padding: the map has a cell for each stride begun."""
    side = int(x.shape[-1])  # a tracer has a tensor for it
    padding = max(0, (-(-side // stride) - 1) * stride + kernel_px - side)
    if padding % 2 == 0:
        return convolve(name, x, stride, padding // 2)
    before, behind = padding // 2, padding - padding // 2
    return convolve(name, functional.pad(x, (before, behind, before, behind)), stride, 0)


def residual_ends(names: Container[str]) -> Iterator[str]:
    """The last convolution of each block that has a shortcut: all but the first of a stage."""
    return (f"{block}._project_conv" for block, _, first in blocks_of(names) if not first)


def expected_shapes(found: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shapes [out, in of a group, h, w] of all convolutions of a network that begins and widens as `found`.

    Its stages, which the names give, say how its channels go on; raises ValueError where they are of no network.
    """
    lites = [lite for lite in _LITES if _fits(lite_stages(lite), found)]
    if not lites:
        raise ValueError("its blocks are those of no EfficientNet-lite")
    expected: dict[str, tuple[int, ...]] = {STEM: (LITE_STEM, found[STEM][1], _STEM_PX, _STEM_PX)}
    channels = LITE_STEM
    stages = [stage for stage in lite_stages(lites[0]) for _ in range(stage.blocks)]
    for number, stage in enumerate(stages):
        wide, block = channels * stage.expansion, f"_blocks.{number}"
        if stage.expansion != 1:
            expected[f"{block}._expand_conv"] = (wide, channels, 1, 1)
        expected[f"{block}._depthwise_conv"] = (wide, 1, stage.kernel_px, stage.kernel_px)
        expected[f"{block}._project_conv"] = (stage.channels, wide, 1, 1)
        channels = stage.channels
    return {**expected, HEAD: (LITE_HEAD, channels, 1, 1)}


def _fits(stages: tuple[LiteStage, ...], found: Mapping[str, tuple[int, ...]]) -> bool:
    last = sum(stage.blocks for stage in stages) - 1
    shape = found.get(f"_blocks.{last}._project_conv", ())
    return shape[:1] == (stages[-1].channels,) and f"_blocks.{last + 1}._project_conv" not in found


def start_convolution(module: nn.Conv2d, generator: torch.Generator) -> None:
    """He's normal initialisation; one that has a group a channel has its kernel alone as inputs."""
    depthwise = module.groups > 1
    mode: Literal["fan_in", "fan_out"] = "fan_in" if depthwise else "fan_out"
    nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu", generator=generator)
