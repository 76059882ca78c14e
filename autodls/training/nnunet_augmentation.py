"""nnU-Net's training augmentation (Isensee et al. 2021, supplementary note 4) in 2D, for a whole batch at once.

Operations, probabilities and ranges are those of nnU-Net, formulas and draws those of batchgenerators; space is
interpolated linearly, as in nnU-Net 2. One function draws all chance of a batch on the host, another applies it on the
device that the batch lies on.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from autodls.seeding import generator
from autodls.training.intensity_transforms import (
    add_noise,
    blur,
    change_contrast,
    change_gamma,
    change_gamma_inverted,
    lower_resolution,
    multiply,
)
from autodls.training.on_device import apply_where, to_device

_MOST_TURN_RAD = np.pi / 12


@dataclass(frozen=True)
class Draw:
    """The chance of a batch, float32 or int32 on one device; what was not drawn has the value that changes nothing."""

    angle_rad: Tensor  # [case], 0
    scale: Tensor  # [case], 1; above 1 more of the image is seen
    centre_px: Tensor  # [case, 2], row and column of the image that the middle of the crop lies on
    mirror: Tensor  # [case], 1; -1 where left and right are exchanged
    noise_deviation: Tensor  # [case, channel], 0; the same for all channels of a case
    noise_key: Tensor  # [case, channel]
    blur_sigma_px: Tensor  # [case, channel], 0
    brightness: Tensor  # [case, channel], 1
    contrast: Tensor  # [case, channel], 1
    coarse_px: Tensor  # [case, channel], the side of the crop
    gamma_inverted: Tensor  # [case, channel], 1
    gamma: Tensor  # [case, channel], 1

    def to(self, device: torch.device) -> "Draw":
        """The same on `device`, by one copy."""
        own: list[Tensor] = [getattr(self, field.name) for field in fields(self)]
        bits = to_device(torch.cat([values.flatten().view(torch.int32) for values in own]), device)
        parts = torch.split(bits, [values.numel() for values in own])
        return Draw(*(part.view(values.dtype).view(values.shape) for part, values in zip(parts, own, strict=True)))


def augment_nnunet(pixels: Tensor, roi: Tensor, size_px: int, seed: int) -> tuple[Tensor, Tensor]:
    """nnU-Net's policy, computed in float32 whatever the precision of `pixels`, which the result has too.

    `pixels` is [case, channel, H, W] and `roi` [case, plane, H, W]; the results have side `size_px`.
    """
    draw = draw_nnunet(pixels.shape, size_px, generator(seed, "nnunet"))
    return apply_nnunet(pixels, roi, size_px, draw.to(pixels.device))


def draw_nnunet(shape: tuple[int, ...], size_px: int, chance: np.random.Generator) -> Draw:
    """The chance of a batch of `shape` (case, channel, H, W) that is cropped to side `size_px`."""
    cases, channels, height, width = shape
    each = (cases, channels)

    def applied(share: float, share_of_channels: float = 1.0) -> NDArray[np.bool_]:
        return (chance.random((cases, 1)) < share) & (chance.random(each) < share_of_channels)

    turned, scaled = (chance.random(cases) < 0.2 for _ in range(2))
    zoom = np.where(applied(0.25, 0.5), chance.uniform(0.5, 1.0, each), 1.0)
    drawn = {
        "angle_rad": np.where(turned, chance.uniform(-_MOST_TURN_RAD, _MOST_TURN_RAD, cases), 0.0),
        "scale": np.where(scaled, _about_1(chance, 0.7, 1.4, (cases,)), 1.0),
        "centre_px": np.stack([_centre_px(chance, turned | scaled, side, size_px) for side in (height, width)], axis=1),
        "mirror": np.where(chance.random(cases) < 0.5, -1.0, 1.0),
        "noise_deviation": np.where(applied(0.1), chance.uniform(0.0, 0.1, (cases, 1)), 0.0),
        "blur_sigma_px": np.where(applied(0.2, 0.5), chance.uniform(0.5, 1.0, each), 0.0),
        "brightness": np.where(applied(0.15), chance.uniform(0.75, 1.25, each), 1.0),
        "contrast": np.where(applied(0.15), _about_1(chance, 0.75, 1.25, each), 1.0),
        "gamma_inverted": np.where(applied(0.1), _about_1(chance, 0.7, 1.5, each), 1.0),
        "gamma": np.where(applied(0.3), _about_1(chance, 0.7, 1.5, each), 1.0),
    }
    return Draw(
        **{name: torch.from_numpy(values.astype(np.float32)) for name, values in drawn.items()},
        noise_key=torch.from_numpy(chance.integers(-(2**31), 2**31, each, dtype=np.int32)),
        coarse_px=torch.from_numpy(np.round(size_px * zoom).astype(np.int32)),
    )


def _about_1(chance: np.random.Generator, lowest: float, highest: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """As often below 1 as above, uniform on either side."""
    above = chance.random(shape) < 0.5
    return np.where(above, chance.uniform(1.0, highest, shape), chance.uniform(lowest, 1.0, shape))


def _centre_px(chance: np.random.Generator, moved: NDArray[np.bool_], side: int, size_px: int) -> NDArray[np.float64]:
    """Where the crop's middle lies on an axis of `side` pixels; on whole pixels unless the case is `moved` [case].

    The ranges are those of batchgenerators: the last whole pixel is never drawn where there are two or more.
    """
    anywhere = chance.uniform(size_px // 2, side - size_px // 2, len(moved))
    start = chance.integers(0, max(side - size_px, 1), len(moved))
    return np.where(moved, anywhere, start + (size_px - 1) / 2)


def apply_nnunet(pixels: Tensor, roi: Tensor, size_px: int, draw: Draw) -> tuple[Tensor, Tensor]:
    """Apply `draw`, which lies on the device of `pixels`; on a GPU all steps are the same whatever was drawn.

    Order: space, noise, blur, brightness, contrast, low resolution, gamma of the negative, gamma.
    """
    grid = _grid(draw, pixels.shape, size_px)
    moved, moved_roi = (
        grid_sample(planes.float(), grid, padding_mode="border", align_corners=True) for planes in (pixels, roi)
    )
    images = moved.flatten(0, 1)
    for change, unchanged, values in (
        (add_noise, 0.0, (draw.noise_deviation, draw.noise_key)),
        (blur, 0.0, (draw.blur_sigma_px,)),
        (multiply, 1.0, (draw.brightness,)),
        (change_contrast, 1.0, (draw.contrast,)),
        (lower_resolution, size_px, (draw.coarse_px,)),
        (change_gamma_inverted, 1.0, (draw.gamma_inverted,)),
        (change_gamma, 1.0, (draw.gamma,)),
    ):
        rows = [value.flatten() for value in values]
        images = apply_where(rows[0] != unchanged, images, change, *rows)
    return images.view(moved.shape).to(pixels.dtype), moved_roi.to(roi.dtype)


def _grid(draw: Draw, shape: tuple[int, ...], size_px: int) -> Tensor:
    """Where each pixel of the crops looks, [case, row, column, 2], as `grid_sample` counts: x first, from -1 to 1."""
    height, width = shape[-2:]
    offset = torch.arange(size_px, device=draw.scale.device) - (size_px - 1) / 2
    down, right = offset, draw.mirror[:, None] * offset
    cosine, sine = ((draw.scale * turn)[:, None] for turn in (draw.angle_rad.cos(), draw.angle_rad.sin()))
    x = _sum((draw.centre_px[:, 1:] - sine * down, cosine * right), width)
    y = _sum((draw.centre_px[:, :1] + cosine * down, sine * right), height)
    return torch.stack([x, y], dim=-1)


def _sum(parts_px: tuple[Tensor, Tensor], side: int) -> Tensor:
    """Places [case, row, column] from -1 to 1, from the parts of row and column in pixels of an axis of `side`."""
    of_row, of_column = (part_px * (2 / (side - 1)) for part_px in parts_px)
    return (of_row - 1)[:, :, None] + of_column[:, None, :]
