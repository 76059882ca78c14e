"""What a ResNet costs, by arithmetic over the shapes of its layers; nothing is imported to run it."""

from dataclasses import dataclass

PLANES = 3
CLASSES = 2
BLOCKS = {"resnet101": (3, 4, 23, 3), "resnet50": (3, 4, 6, 3)}
_EXPANSION = 4


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


def encoder_cost(encoder: str, input_px: int) -> EncoderCost:
    """Cost of `encoder`, one of `BLOCKS`, for a case of 3 planes of `input_px` x `input_px`.

    Every convolution is followed by batch norm and an in-place ReLU, so two maps of its output's size are kept: the
    input of the batch norm and the input of the next convolution (He et al. 2016, arXiv:1512.03385, table 1).

    >>> cost = encoder_cost("resnet101", 224)
    >>> cost.parameters
    42504258
    >>> round(cost.macs / 1e9, 1)
    7.8
    """
    stem_px = _halved(input_px)
    map_px = _halved(stem_px)
    pooled = 64 * map_px**2
    cost = EncoderCost(64 * (PLANES * 49 + 2), 2 * 64 * stem_px**2 + pooled, pooled, 64 * PLANES * 49 * stem_px**2)
    channels = 64
    for stage, blocks in enumerate(BLOCKS[encoder]):
        width = 64 * 2**stage
        for block in range(blocks):
            out_px = _halved(map_px) if stage and not block else map_px
            cost = _with_block(cost, channels, width, map_px, out_px, projected=block == 0)
            channels, map_px = _EXPANSION * width, out_px
    return EncoderCost(cost.parameters + CLASSES * (channels + 1), cost.activations, cost.pool_indices, cost.macs)


def _with_block(
    cost: EncoderCost, channels: int, width: int, in_px: int, out_px: int, *, projected: bool
) -> EncoderCost:
    """Add a bottleneck block: 1x1, 3x3 with the stride, 1x1, and a 1x1 projection of the shortcut where needed."""
    wide = _EXPANSION * width
    weights = (channels * width, 9 * width**2, width * wide)
    areas = (in_px**2, out_px**2, out_px**2)
    shortcut = channels * wide if projected else 0
    batch_norms = 2 * (2 * width + wide) + (2 * wide if projected else 0)
    kept = 2 * (width * in_px**2 + (width + wide) * out_px**2) + (wide * out_px**2 if projected else 0)
    macs = sum(count * area for count, area in zip(weights, areas, strict=True)) + shortcut * out_px**2
    return EncoderCost(
        cost.parameters + sum(weights) + shortcut + batch_norms,
        cost.activations + kept,
        cost.pool_indices,
        cost.macs + macs,
    )


def _halved(side_px: int) -> int:
    return -(-side_px // 2)
