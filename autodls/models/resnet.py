"""What follows what in a ResNet, told once for the encoder that is trained and for the one that scores.

Two of them exist, and they differ in how they hold their weights alone. Batch norm has to move while a network learns;
one that scores has it inside its convolutions, in half precision, which halves a model folder and saves work. Whoever
convolves is an argument here: with batch norm behind each convolution (`encoder`), or with it inside (`folded`).
Convolutions have torchvision's names, and those that a network has say which ResNet it is.

He et al. 2016 (arXiv:1512.03385); the stride of a bottleneck lies on its 3 x 3 convolution, as in torchvision.
"""

from collections.abc import Callable, Container, Iterator, Mapping

from torch import Tensor
from torch.nn.functional import max_pool2d, relu

STEM = "conv1"
NORM_EPSILON = 1e-5
STEMS_PX = {7: 3, 3: 1}  # side of the first convolution and its padding; only the large one is followed by pooling
_STAGES = (1, 2, 3, 4)

Convolve = Callable[[str, Tensor, int, int], Tensor]
"""Name of a convolution, its input [picture, channel, h, w], stride and padding; its output, normalised."""


def blocks_of(names: Container[str]) -> Iterator[str]:
    """The residual blocks of a network with convolutions of these `names`, in order.

    >>> list(blocks_of({"layer1.0.conv1", "layer1.1.conv1", "layer2.0.conv1", "layer4.0.conv1"}))
    ['layer1.0', 'layer1.1', 'layer2.0']
    """
    for stage in _STAGES:
        block = 0
        while f"layer{stage}.{block}.conv1" in names:
            yield f"layer{stage}.{block}"
            block += 1
        if not block:  # a stage after a gap is of no network: whoever looks for leftovers finds it
            return


def is_basic(names: Container[str], block: str) -> bool:
    """Two convolutions of 3 x 3; a bottleneck has a third."""
    return f"{block}.conv3" not in names


def norm_of(convolution: str) -> str:
    """The batch norm that follows a convolution.

    >>> norm_of("layer1.0.conv2"), norm_of("layer1.0.downsample.0")
    ('layer1.0.bn2', 'layer1.0.downsample.1')
    """
    if convolution.endswith("downsample.0"):
        return convolution.removesuffix("0") + "1"
    return convolution.replace("conv", "bn")


def stride_px(names: Container[str], stem_px: int) -> int:
    """Input pixels per cell of the last feature map, along a side.

    >>> stride_px({"layer1.0.conv1", "layer2.0.conv1", "layer3.0.conv1"}, 3)
    8
    """
    stages = len({block.partition(".")[0] for block in blocks_of(names)})
    return int(2 ** (stages + (stem_px == max(STEMS_PX))))


def last_convolution(names: Container[str]) -> str:
    """The convolution that ends the last block."""
    *_, last = residual_ends(names)
    return last


def residual_ends(names: Container[str]) -> Iterator[str]:
    """The last convolution of each block."""
    return (_last_of(names, block) for block in blocks_of(names))


def _last_of(names: Container[str], block: str) -> str:
    return f"{block}.conv2" if is_basic(names, block) else f"{block}.conv3"


def expected_shapes(found: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shapes [out, in, h, w] of all convolutions of a network whose blocks give as many channels as `found`."""
    channels, taken, *side = found[STEM]
    stem_px = side[-1] if side[-1] in STEMS_PX else max(STEMS_PX)
    expected: dict[str, tuple[int, ...]] = {STEM: (channels, taken, stem_px, stem_px)}
    for block in blocks_of(found):
        out = found[_last_of(found, block)][0]
        if is_basic(found, block):
            expected[f"{block}.conv1"] = (out, channels, 3, 3)
            expected[f"{block}.conv2"] = (out, out, 3, 3)
        else:
            width = found[f"{block}.conv2"][0]
            expected[f"{block}.conv1"] = (width, channels, 1, 1)
            expected[f"{block}.conv2"] = (width, width, 3, 3)
            expected[f"{block}.conv3"] = (out, width, 1, 1)
        if f"{block}.downsample.0" in found or out != channels:
            expected[f"{block}.downsample.0"] = (out, channels, 1, 1)
        channels = out
    return expected


def feature_map(pictures: Tensor, names: Container[str], stem_px: int, convolve: Convolve) -> Tensor:
    """The last feature map, [picture, channel, h, w], of `pictures` [picture, channel, H, W].

    `names` are those of the network's convolutions, `stem_px` is the side of the first.
    """
    x = relu(convolve("conv1", pictures, 2, STEMS_PX[stem_px]))
    if stem_px == max(STEMS_PX):
        x = max_pool2d(x, 3, stride=2, padding=1)
    for block in blocks_of(names):  # nothing in place: on a map of one cell that changes its layout, and last digits
        stride = 2 if block.endswith(".0") and block != "layer1.0" else 1
        projection = f"{block}.downsample.0"
        shortcut = convolve(projection, x, stride, 0) if projection in names else x
        x = relu(_residual(x, block, stride, names, convolve) + shortcut)
    return x


def _residual(x: Tensor, block: str, stride: int, names: Container[str], convolve: Convolve) -> Tensor:
    if is_basic(names, block):
        return convolve(f"{block}.conv2", relu(convolve(f"{block}.conv1", x, stride, 1)), 1, 1)
    x = relu(convolve(f"{block}.conv1", x, 1, 0))
    x = relu(convolve(f"{block}.conv2", x, stride, 1))
    return convolve(f"{block}.conv3", x, 1, 0)
