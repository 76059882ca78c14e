"""What nnU-Net's augmentation does to intensities, for many images at once: the formulas of batchgenerators.

Every function takes images [row, side, side] in float32 and a value for each, [row], and returns new images. An image
does not depend on the others, nor on the device but for rounding.
"""

import math

import torch
from torch import Tensor

_BLUR_REACH_PX = 4  # four standard deviations of at most 1 px


def add_noise(images: Tensor, deviation: Tensor, key: Tensor) -> Tensor:
    """Gaussian noise with standard deviation `deviation`, drawn by `key` (int32).

    batchgenerators calls it the variance.
    """
    noise = standard_normal(key, images.shape[1] * images.shape[2])
    return images + _of_rows(deviation) * noise.view(images.shape)


def standard_normal(key: Tensor, count: int) -> Tensor:
    """Numbers [row, count] of the normal distribution for each `key` [row] (int32).

    The bits of a number are a hash of its position and its key (a counter-based generator as of Salmon et al. 2011,
    with Wellons' "lowbias32" for a hash): they are the same on every device, which those of torch.Generator are not,
    and a CUDA graph that is replayed with new keys gives new numbers.
    """
    position = torch.arange(count, dtype=torch.int32, device=key.device)
    bits = _hash(_hash(position) ^ key[:, None])
    uniform = ((bits >> 8) + 0.5) * 2.0**-23  # the middles of 2^24 equal parts of -1 to 1, exact in float32
    return torch.erfinv(uniform) * math.sqrt(2.0)


def _hash(bits: Tensor) -> Tensor:
    """int32 to int32, one to one; PyTorch's shift to the right copies the sign, so that those bits are cleared."""
    bits = (bits ^ (bits >> 16 & 0xFFFF)) * 0x7FEB352D
    bits = (bits ^ (bits >> 15 & 0x1FFFF)) * (0x846CA68B - 2**32)
    return bits ^ (bits >> 16 & 0xFFFF)


def blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """A Gaussian filter of at most 1 px, cut off at four standard deviations; borders are mirrored, as SciPy does."""
    distance = torch.arange(_BLUR_REACH_PX + 1, device=images.device)
    sigma = sigma_px[:, None]
    weight = torch.exp(-0.5 * (distance / sigma) ** 2) * (distance <= torch.floor(4 * sigma + 0.5))
    weight = weight / (2 * weight.sum(dim=1, keepdim=True) - weight[:, :1])
    side = images.shape[1]
    place = torch.arange(-_BLUR_REACH_PX, side + _BLUR_REACH_PX, device=images.device) % (2 * side)
    mirrored = torch.minimum(place, 2 * side - 1 - place)
    for dim in (1, 2):
        images = _filtered(images, images.index_select(dim, mirrored), weight, dim)
    return images


def _filtered(images: Tensor, padded: Tensor, weight: Tensor, dim: int) -> Tensor:
    """Along `dim`, with `weight` [row, distance] on both sides; `padded` are `images` and what lies beyond them."""
    result = images * _of_rows(weight[:, 0])
    for distance in range(1, _BLUR_REACH_PX + 1):
        left, right = (padded.narrow(dim, _BLUR_REACH_PX + step, images.shape[dim]) for step in (-distance, distance))
        result.addcmul_(left + right, _of_rows(weight[:, distance]))
    return result


def multiply(images: Tensor, factor: Tensor) -> Tensor:
    """Brightness."""
    return images * _of_rows(factor)


def change_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Distances from an image's mean times `factor`, within the range that the image had."""
    mean = images.mean(dim=(1, 2), keepdim=True)
    changed = (images - mean) * _of_rows(factor) + mean
    return changed.maximum(_lowest(images)).minimum(_highest(images))


def lower_resolution(images: Tensor, coarse_px: Tensor) -> Tensor:
    """Images as they look when stored with `coarse_px` (int32) pixels a side: nearest neighbour, then linear.

    Places are counted in whole numbers, so that no rounding decides which pixel is the nearest.
    """
    side, coarse = images.shape[1], coarse_px.long()[:, None]
    pixel = torch.arange(side, device=images.device)
    # The middle of a pixel on the coarse grid, in units of 1 / (2 * side).
    place = ((2 * pixel + 1) * coarse - side).clamp(min=0).minimum(2 * side * (coarse - 1))
    before = place // (2 * side)
    share = (place - before * 2 * side) / (2 * side)
    between = torch.stack([before, torch.minimum(before + 1, coarse - 1)])
    first, second = (2 * between + 1) * side // (2 * coarse)
    for dim in (1, 2):
        one, other = (images.gather(dim, at.unsqueeze(3 - dim).expand(images.shape)) for at in (first, second))
        images = torch.lerp(one, other, share.unsqueeze(3 - dim))
    return images


def change_gamma(images: Tensor, gamma: Tensor) -> Tensor:
    """The range of an image to the power of `gamma`, with the image's mean and standard deviation kept."""
    mean, deviation = _mean_and_deviation(images)
    lowest = _lowest(images)
    span = _highest(images) - lowest + 1e-7
    powers = ((images - lowest) / span).log().mul_(_of_rows(gamma)).exp_()
    centre, found = _mean_and_deviation(powers)
    return (powers - centre) * (span * deviation / (span * found + 1e-8)) + mean


def change_gamma_inverted(images: Tensor, gamma: Tensor) -> Tensor:
    """`change_gamma` of the negative."""
    return -change_gamma(-images, gamma)


def _mean_and_deviation(images: Tensor) -> tuple[Tensor, Tensor]:
    """In two passes: several times as fast on a CPU as PyTorch's own, which takes one."""
    mean = images.mean(dim=(1, 2), keepdim=True)
    return mean, (images - mean).square_().mean(dim=(1, 2), keepdim=True).sqrt()


def _lowest(images: Tensor) -> Tensor:
    return images.amin(dim=(1, 2), keepdim=True)


def _highest(images: Tensor) -> Tensor:
    return images.amax(dim=(1, 2), keepdim=True)


def _of_rows(values: Tensor) -> Tensor:
    return values[:, None, None]
