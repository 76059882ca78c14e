"""Augmentation policies. Chance is drawn first and applied second, so every epoch can be replayed."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autodls.seeding import generator, stream_seed

Policy = Callable[[Tensor, int, int], Tensor]


def augment_paper(pixels: Tensor, size_px: int, seed: int) -> Tensor:
    """Random horizontal flip and random crop (Ding et al. 2025), drawn for each case.

    `pixels` is [case, channel, H, W]; the result has side `size_px`.
    """
    cases, _, height, width = pixels.shape
    chance = generator(seed, "paper")
    tops = chance.integers(0, height - size_px + 1, cases)
    lefts = chance.integers(0, width - size_px + 1, cases)
    flips = chance.random(cases) < 0.5
    crops = [
        pixels[case, :, top : top + size_px, left : left + size_px]
        for case, (top, left) in enumerate(zip(tops, lefts, strict=True))
    ]
    flipped = [crop.flip(-1) if flip else crop for crop, flip in zip(crops, flips, strict=True)]
    return torch.stack(flipped)


def augment_nnunet(pixels: Tensor, size_px: int, seed: int) -> Tensor:
    """nnU-Net's training augmentation (Isensee et al. 2021, supplementary note 4) in 2D, by batchgenerators."""
    with _global_streams_seeded(stream_seed(seed, "nnunet")):
        batch: dict[str, Any] = {"data": pixels.cpu().numpy()}
        data = _nnunet_transforms(size_px)(**batch)["data"]
    return torch.from_numpy(np.ascontiguousarray(data, dtype=np.float32)).to(pixels.device)


POLICIES: dict[str, Policy] = {"paper": augment_paper, "nnunet": augment_nnunet}


@cache
def _nnunet_transforms(size_px: int) -> Callable[..., dict[str, Any]]:
    # batchgenerators is needed by this policy alone, and takes a second to import.
    from batchgenerators.transforms.abstract_transforms import Compose
    from batchgenerators.transforms.color_transforms import (
        BrightnessMultiplicativeTransform,
        ContrastAugmentationTransform,
        GammaTransform,
    )
    from batchgenerators.transforms.noise_transforms import GaussianBlurTransform, GaussianNoiseTransform
    from batchgenerators.transforms.resample_transforms import SimulateLowResolutionTransform
    from batchgenerators.transforms.spatial_transforms import MirrorTransform, SpatialTransform

    turn = np.pi
    transforms: Callable[..., dict[str, Any]] = Compose(
        [
            SpatialTransform(
                (size_px, size_px),
                patch_center_dist_from_border=[size_px // 2, size_px // 2],
                do_elastic_deform=False,
                angle_x=(-turn / 12, turn / 12),
                p_rot_per_sample=0.2,
                scale=(0.7, 1.4),
                p_scale_per_sample=0.2,
                border_mode_data="nearest",
                order_data=1,
                random_crop=True,
            ),
            GaussianNoiseTransform(p_per_sample=0.1),
            GaussianBlurTransform((0.5, 1.0), different_sigma_per_channel=True, p_per_sample=0.2, p_per_channel=0.5),
            BrightnessMultiplicativeTransform((0.75, 1.25), p_per_sample=0.15),
            ContrastAugmentationTransform(p_per_sample=0.15),
            SimulateLowResolutionTransform((0.5, 1), per_channel=True, p_per_channel=0.5, p_per_sample=0.25),
            GammaTransform((0.7, 1.5), True, True, retain_stats=True, p_per_sample=0.1),
            GammaTransform((0.7, 1.5), False, True, retain_stats=True, p_per_sample=0.3),
            MirrorTransform((1,)),
        ]
    )
    return transforms


@contextmanager
def _global_streams_seeded(seed: int) -> Iterator[None]:
    """batchgenerators draws from the global streams of NumPy and Python: seed them and put them back as they were."""
    before, before_python = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
        random.setstate(before_python)
