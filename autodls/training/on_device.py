"""Work on a whole batch where it lies, without a step that waits for the device."""

from collections.abc import Callable

import torch
from torch import Tensor

_ROW_BY_ROW = ("cpu",)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """`values` of the host on `device`; a GPU fetches them by itself, from memory that the system cannot move."""
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def apply_where(drawn: Tensor, pixels: Tensor, change: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """`pixels` [row, ...] with `change(pixels, *values)` where `drawn` [row]; `values` are [row].

    On a CPU only the rows that are drawn are computed, one after the other, so that each stays in the cache, and
    `pixels` are overwritten. Elsewhere to ask which they are would wait for the device: all are computed, and those
    that are not drawn are dropped.
    """
    if pixels.device.type not in _ROW_BY_ROW:
        shape = (-1, *[1] * (pixels.dim() - 1))
        return torch.where(drawn.view(shape), change(pixels, *values), pixels)
    for row in drawn.nonzero()[:, 0].tolist():
        one = slice(row, row + 1)
        pixels[one] = change(pixels[one], *(value[one] for value in values))
    return pixels
