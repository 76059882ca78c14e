"""What an encoder costs, by arithmetic over the shapes of its layers; nothing is imported to run it."""

from dataclasses import dataclass, replace

from autodls.records.encoders import ENCODER_SPECS, LITE_HEAD, LITE_STEM, lite_stages
from autodls.records.network_shape import CLASSES, PLANE_COUNT

BLOCKS = {
    "resnet152": (3, 8, 36, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet34": (3, 4, 6, 3),
    "resnet18": (2, 2, 2, 2),
    "resnet8": (1, 1, 1),
}
_BASIC = frozenset({"resnet34", "resnet18", "resnet8"})  # two 3x3 convolutions a block; the others have bottlenecks
_SMALL = frozenset({"resnet8"})  # begin with 16 channels by 3x3, without pooling, instead of 64 by 7x7 with it


@dataclass(frozen=True)
class EncoderCost:
    """Cost of one encoder for one case.

    `activations` counts the numbers that the forward pass keeps for the backward pass, `pool_indices` the 64-bit
    positions of the max-pooling among them, `macs` the multiply-accumulates of one forward pass.
    """

    parameters: int
    activations: int
    pool_indices: int
    macs: int


@dataclass(frozen=True)
class _Convolution:
    """A square convolution without bias, and the side of its output."""

    inputs: int
    outputs: int
    kernel_px: int
    out_px: int
    groups: int = 1

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs * self.kernel_px**2 // self.groups

    @property
    def map(self) -> int:
        return self.outputs * self.out_px**2


def feature_channels(encoder: str, *, roi_guided: bool = False) -> int:
    """Channels of the last feature map of a case; guided by the ROI, each plane has its own.

    >>> feature_channels("resnet101"), feature_channels("resnet18"), feature_channels("resnet8")
    (2048, 512, 64)
    """
    pictures = PLANE_COUNT if roi_guided else 1
    return pictures * ENCODER_SPECS[encoder].channels


def encoder_cost(encoder: str, input_px: int, *, roi_guided: bool = False) -> EncoderCost:
    """Cost of `encoder`, one of `ENCODER_SPECS`, for a case of 3 planes of `input_px` x `input_px`: the channels of one
    picture, or, if it is `roi_guided`, three pictures of two channels, the plane and the ROI in it.

    Every convolution is followed by batch norm and an in-place ReLU, so two maps of its output's size are kept: the
    input of the batch norm and the input of the next convolution (He et al. 2016, arXiv:1512.03385, table 1).

    >>> cost = encoder_cost("resnet101", 224)
    >>> cost.parameters
    42504258
    >>> round(cost.macs / 1e9, 1)
    7.8
    >>> encoder_cost("resnet18", 224).parameters, round(encoder_cost("resnet18", 224).macs / 1e9, 1)
    (11177538, 1.8)
    """
    stem_channels = 2 if roi_guided else PLANE_COUNT
    lite = ENCODER_SPECS[encoder].family == "efficientnet_lite"
    cost = _lite_cost(encoder, input_px, stem_channels) if lite else _resnet_cost(encoder, input_px, stem_channels)
    pictures, pools = (PLANE_COUNT, 2) if roi_guided else (1, 1)
    return EncoderCost(
        cost.parameters + CLASSES * (pools * ENCODER_SPECS[encoder].channels + 1),
        pictures * cost.activations,
        pictures * cost.pool_indices,
        pictures * cost.macs,
    )


def _resnet_cost(encoder: str, input_px: int, stem_channels: int) -> EncoderCost:
    """Of one picture, without the last linear layer."""
    small, channels = encoder in _SMALL, _width(encoder, 0)
    stem = _Convolution(stem_channels, channels, 3 if small else 7, _halved(input_px))
    map_px = stem.out_px if small else _halved(stem.out_px)
    pooled = 0 if small else channels * map_px**2
    cost = _with(EncoderCost(0, pooled, pooled, 0), [stem])
    for stage, blocks in enumerate(BLOCKS[encoder]):
        width = _width(encoder, stage)
        wide = _expansion(encoder) * width
        for block in range(blocks):
            out_px = _halved(map_px) if stage and not block else map_px
            cost = _with(cost, _block(encoder, channels, width, map_px, out_px))
            if channels != wide:  # the shortcut is projected: its output is added in place, so one map less is kept
                cost = _with(cost, [_Convolution(channels, wide, 1, out_px)])
                cost = replace(cost, activations=cost.activations - wide * out_px**2)
            channels, map_px = wide, out_px
    return cost


def _lite_cost(encoder: str, input_px: int, stem_channels: int) -> EncoderCost:
    """The same of an EfficientNet-lite; of ReLU6 the input is kept as well, and a map that is padded as it is then."""
    stem = _Convolution(stem_channels, LITE_STEM, 3, _halved(input_px))
    padded = _padded(stem_channels, input_px, 3, 2)
    cost = _with_relu6(EncoderCost(0, padded, 0, 0), [stem])
    channels, map_px = LITE_STEM, stem.out_px
    for stage in lite_stages(encoder):
        for block in range(stage.blocks):
            wide, stride = channels * stage.expansion, 1 if block else stage.stride
            widened = [] if stage.expansion == 1 else [_Convolution(channels, wide, 1, map_px)]
            padded = _padded(wide, map_px, stage.kernel_px, stride)
            instead = wide * map_px**2 if padded else 0
            map_px = -(-map_px // stride)
            cost = _with_relu6(cost, [*widened, _Convolution(wide, wide, stage.kernel_px, map_px, wide)])
            cost = _with(cost, [_Convolution(wide, stage.channels, 1, map_px)])
            cost = replace(cost, activations=cost.activations + padded - instead)
            channels = stage.channels
    return _with_relu6(cost, [_Convolution(channels, LITE_HEAD, 1, map_px)])


def _with_relu6(cost: EncoderCost, convolutions: list[_Convolution]) -> EncoderCost:
    kept = sum(one.map for one in convolutions)
    return replace(_with(cost, convolutions), activations=_with(cost, convolutions).activations + kept)


def _padded(channels: int, side_px: int, kernel_px: int, stride: int) -> int:
    """Numbers of a map that is padded before it is convolved: where its padding is not the same on both sides."""
    padding = max(0, (-(-side_px // stride) - 1) * stride + kernel_px - side_px)
    return int(channels * (side_px + padding) ** 2) if padding % 2 else 0


def _block(encoder: str, channels: int, width: int, in_px: int, out_px: int) -> list[_Convolution]:
    """A basic block: two of 3x3, the first with the stride. A bottleneck: 1x1, 3x3 with the stride, 1x1."""
    if encoder in _BASIC:
        return [_Convolution(channels, width, 3, out_px), _Convolution(width, width, 3, out_px)]
    return [
        _Convolution(channels, width, 1, in_px),
        _Convolution(width, width, 3, out_px),
        _Convolution(width, _expansion(encoder) * width, 1, out_px),
    ]


def _with(cost: EncoderCost, convolutions: list[_Convolution]) -> EncoderCost:
    """Add convolutions, each with its batch norm."""
    return EncoderCost(
        cost.parameters + sum(one.weights + 2 * one.outputs for one in convolutions),
        cost.activations + sum(2 * one.map for one in convolutions),
        cost.pool_indices,
        cost.macs + sum(one.weights * one.out_px**2 for one in convolutions),
    )


def _width(encoder: str, stage: int) -> int:
    return int((16 if encoder in _SMALL else 64) * 2**stage)


def _expansion(encoder: str) -> int:
    return 1 if encoder in _BASIC else 4


def _halved(side_px: int) -> int:
    return -(-side_px // 2)
