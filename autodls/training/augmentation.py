"""Augmentation policies. One function draws all chance of a batch, on the host, and another applies it where the batch
lies (`draw_paper`, `apply_paper`; `draw_nnunet`, `apply_nnunet`), so every epoch can be replayed.

A policy takes pixels [case, channel, H, W], an ROI [case, plane, H, W] (the share of tumour in each pixel, 0 to 1; no
plane where there is none), the side of the result in pixels and a seed. Both move together; intensities of the pixels
change alone. Nothing is copied to the host, and no step waits for the device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from autodls.records.network_shape import PLANE_COUNT
from autodls.seeding import generator
from autodls.training.nnunet_augmentation import augment_nnunet
from autodls.training.on_device import apply_where, to_device

Policy = Callable[[Tensor, Tensor, int, int], tuple[Tensor, Tensor]]


def augment_paper(pixels: Tensor, roi: Tensor, size_px: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random horizontal flip and random crop (Ding et al. 2025), drawn for each case.

    `pixels` is [case, channel, H, W] and `roi` [case, plane, H, W]; the results have side `size_px`.
    """
    draw = draw_paper(pixels.shape, size_px, generator(seed, "paper"))
    return apply_paper(pixels, roi, size_px, draw.to(pixels.device))


@dataclass(frozen=True)
class PaperDraw:
    """The chance of a batch: the corner of each crop in pixels, and whether it is flipped; int64 [3, case]."""

    top_left_flip: Tensor

    def to(self, device: torch.device) -> "PaperDraw":
        """The same on `device`, by one copy."""
        return PaperDraw(to_device(self.top_left_flip, device))


def draw_paper(shape: tuple[int, ...], size_px: int, chance: np.random.Generator) -> PaperDraw:
    """The chance of a batch of `shape` (case, channel, H, W) that is cropped to side `size_px`."""
    cases, _, height, width = shape
    tops = chance.integers(0, height - size_px + 1, cases)
    lefts = chance.integers(0, width - size_px + 1, cases)
    flips = chance.random(cases) < 0.5
    return PaperDraw(torch.from_numpy(np.stack([tops, lefts, flips])))


def apply_paper(pixels: Tensor, roi: Tensor, size_px: int, draw: PaperDraw) -> tuple[Tensor, Tensor]:
    """Apply `draw`, which lies on the device of `pixels`: crop, then flip."""
    top, left, flip = draw.top_left_flip
    crops = (_crop(planes, top, left, size_px) for planes in (pixels, roi))
    flipped, flipped_roi = (apply_where(flip == 1, crop, lambda crop: crop.flip(-1)) for crop in crops)
    return flipped, flipped_roi


def _crop(planes: Tensor, top: Tensor, left: Tensor, size_px: int) -> Tensor:
    """The square of side `size_px` at `top` [case], `left` [case] of each case of [case, plane, H, W].

    A row of a crop is a stretch of memory, so that a crop is a look-up in the table of all stretches of that length.
    """
    cases, count, height, width = planes.shape
    case, plane, row = (torch.arange(length, device=planes.device) for length in (cases, count, size_px))
    image = case[:, None] * count + plane
    rows = image[:, :, None] * height + top[:, None, None] + row
    pixels = planes.flatten()
    stretches = pixels.as_strided((max(len(pixels) - size_px + 1, 0), size_px), (1, 1))
    return embedding(rows * width + left[:, None, None], stretches)


def augment_inputs(policy: Policy, inputs: Tensor, size_px: int, seed: int) -> Tensor:
    """Network input [case, (sequence,) channel, H, W] by `policy`, at side `size_px`; all of a case moves together.

    Channels are the planes, and behind them, where encoders are guided by it, the ROI.
    """
    planes, roi = inputs[..., :PLANE_COUNT, :, :], inputs[..., PLANE_COUNT:, :, :]
    moved = policy(planes.flatten(1, -3), roi.flatten(1, -3), size_px, seed)
    parts = [part.reshape(*like.shape[:-2], size_px, size_px) for part, like in zip(moved, (planes, roi), strict=True)]
    return torch.cat(parts, dim=-3)


POLICIES: dict[str, Policy] = {"paper": augment_paper, "nnunet": augment_nnunet}
