"""What a ResNet costs, by arithmetic over the shapes of its layers; nothing is imported to run it."""

from dataclasses import dataclass, replace

from autodls.records.network_shape import CLASSES, PLANE_COUNT

BLOCKS = {
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

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs * self.kernel_px**2

    @property
    def map(self) -> int:
        return self.outputs * self.out_px**2


def feature_channels(encoder: str, *, roi_guided: bool = False) -> int:
    """Channels of the last feature map of a case; guided by the ROI, each plane has its own.

    >>> feature_channels("resnet101"), feature_channels("resnet18"), feature_channels("resnet8")
    (2048, 512, 64)
    """
    pictures = PLANE_COUNT if roi_guided else 1
    return pictures * _width(encoder, len(BLOCKS[encoder]) - 1) * _expansion(encoder)


def encoder_cost(encoder: str, input_px: int, *, roi_guided: bool = False) -> EncoderCost:
    """Cost of `encoder`, one of `BLOCKS`, for a case of 3 planes of `input_px` x `input_px`: the channels of one
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
    small, channels = encoder in _SMALL, _width(encoder, 0)
    stem = _Convolution(2 if roi_guided else PLANE_COUNT, channels, 3 if small else 7, _halved(input_px))
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
    pictures, pools = (PLANE_COUNT, 2) if roi_guided else (1, 1)
    return EncoderCost(
        cost.parameters + CLASSES * (pools * channels + 1),
        pictures * cost.activations,
        pictures * cost.pool_indices,
        pictures * cost.macs,
    )


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
