"""The families of encoders: what the one that is trained and the one that scores must know of each."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from autodls.models import efficientnet, resnet
from autodls.models.resnet import Convolve
from autodls.records import encoders

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Family:
    """How the convolutions of an encoder, which it names, follow each other.

    `stem` is the first of them, `norm_epsilon` that of batch norm; `last` names the convolution that gives the last
    feature map, `expected_shapes` are those of all convolutions where the stem is as found (ValueError where they are
    of no such network).
    """

    name: encoders.Family
    stem: str
    norm_epsilon: float
    norm_of: Callable[[str], str]
    last: Callable[[Container[str]], str]
    stride_px: Callable[[Container[str], int], int]
    residual_ends: Callable[[Container[str]], Iterable[str]]
    feature_map: Callable[[Tensor, Container[str], int, Convolve], Tensor]
    expected_shapes: Callable[[Shapes], dict[str, tuple[int, ...]]]

    def first_cell_px(self, input_px: int, stride_px: int) -> int:
        """See `records.encoders.first_cell_px`."""
        return encoders.first_cell_px(self.name, input_px, stride_px)


RESNET = Family(
    "resnet",
    resnet.STEM,
    resnet.NORM_EPSILON,
    resnet.norm_of,
    resnet.last_convolution,
    resnet.stride_px,
    resnet.residual_ends,
    resnet.feature_map,
    resnet.expected_shapes,
)
EFFICIENTNET_LITE = Family(
    "efficientnet_lite",
    efficientnet.STEM,
    efficientnet.NORM_EPSILON,
    efficientnet.norm_of,
    lambda _names: efficientnet.HEAD,
    lambda _names, _stem_px: encoders.encoder_stride_px("efficientnet_lite0"),
    efficientnet.residual_ends,
    efficientnet.feature_map,
    efficientnet.expected_shapes,
)


def family_of(names: Container[str]) -> Family:
    """The family of an encoder with convolutions of these `names`."""
    return EFFICIENTNET_LITE if efficientnet.STEM in names else RESNET
