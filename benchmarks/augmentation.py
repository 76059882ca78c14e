"""Augmentation of a training batch on one core, beside MONAI's dictionary transforms and batchgeneratorsv2.

    python benchmarks/augmentation.py [--rounds 15]

All take 32 cases of three planes at 256 x 256 to 224 x 224: horizontal flip in half of the cases, random crop, z-score
of each case. That is the policy "paper"; in training the z-score is part of preprocessing, so that a batch costs less
than here. On a ramp, where every pixel has a value of its own, each output must be a crop, flipped or not, with mean 0
and standard deviation 1.

Then nnU-Net's policy on the same batch, beside batchgenerators, whose formulas it has. Every batch is drawn anew; the
pixels of 256 cases that both make must have the same mean and standard deviation, to a twentieth of the latter.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import count

import numpy as np
import torch
from side_by_side import OURS, in_process, interleaved, machine, show
from torch import Tensor
from torch.nn.functional import group_norm

from autodls.training.augmentation import augment_paper
from autodls.training.nnunet_augmentation import augment_nnunet

CASES, PLANES, SIDE, SIZE_PX = 32, 3, 256, 224


def by_autodls(pixels: Tensor) -> Tensor:
    """The whole batch at once; a group norm with one group is the z-score of each case."""
    crops, _ = augment_paper(pixels, pixels[:, :0], SIZE_PX, seed=0)
    return group_norm(crops, num_groups=1, eps=0.0)


def by_monai() -> Callable[[Tensor], Tensor]:
    """Dictionary transforms, case by case, and MONAI's own collate function."""
    from monai.data import list_data_collate
    from monai.transforms import Compose, NormalizeIntensityd, RandFlipd, RandSpatialCropd

    transform = Compose(
        [
            RandFlipd("image", prob=0.5, spatial_axis=1),
            RandSpatialCropd("image", (SIZE_PX, SIZE_PX), random_size=False),
            NormalizeIntensityd("image"),
        ]
    ).set_random_state(seed=0)
    return lambda pixels: list_data_collate([transform({"image": case}) for case in pixels])["image"].as_tensor()


def by_batchgenerators() -> Callable[[Tensor], Tensor]:
    """batchgeneratorsv2, case by case; it has no z-score, so that is ours."""
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

    crop = SpatialTransform((SIZE_PX, SIZE_PX), SIZE_PX // 2, random_crop=True, p_elastic_deform=0)
    transform = ComposeTransforms([crop, MirrorTransform(allowed_axes=(1,))])

    def augment(pixels: Tensor) -> Tensor:
        batch = torch.stack([transform(image=case)["image"] for case in pixels])
        deviation, mean = torch.std_mean(batch, dim=(1, 2, 3), keepdim=True)
        return (batch - mean) / deviation

    return augment


PEERS = {
    "MONAI dictionary transforms": ("monai", by_monai),
    "batchgeneratorsv2": ("batchgeneratorsv2", by_batchgenerators),
}


def nnunet_by_autodls() -> Callable[[Tensor], Tensor]:
    """Another seed for every batch."""
    seeds = count()
    return lambda pixels: augment_nnunet(pixels, pixels[:, :0], SIZE_PX, next(seeds))[0]


def nnunet_by_batchgenerators() -> Callable[[Tensor], Tensor]:
    """Case by case; nearest neighbour and linear interpolation in the low resolution, as nnU-Net asks for."""
    from batchgenerators.transforms.abstract_transforms import Compose
    from batchgenerators.transforms.color_transforms import (
        BrightnessMultiplicativeTransform,
        ContrastAugmentationTransform,
        GammaTransform,
    )
    from batchgenerators.transforms.noise_transforms import GaussianBlurTransform, GaussianNoiseTransform
    from batchgenerators.transforms.resample_transforms import SimulateLowResolutionTransform
    from batchgenerators.transforms.spatial_transforms import MirrorTransform, SpatialTransform

    space = SpatialTransform(
        (SIZE_PX, SIZE_PX), [SIZE_PX // 2] * 2, do_elastic_deform=False, angle_x=(-np.pi / 12, np.pi / 12),
        p_rot_per_sample=0.2, scale=(0.7, 1.4), p_scale_per_sample=0.2, border_mode_data="nearest", order_data=1,
    )  # fmt: skip
    low_resolution = SimulateLowResolutionTransform(
        (0.5, 1), per_channel=True, p_per_channel=0.5, order_downsample=0, order_upsample=1, p_per_sample=0.25
    )
    transform = Compose(
        [
            space,
            GaussianNoiseTransform(p_per_sample=0.1),
            GaussianBlurTransform((0.5, 1.0), different_sigma_per_channel=True, p_per_sample=0.2, p_per_channel=0.5),
            BrightnessMultiplicativeTransform((0.75, 1.25), p_per_sample=0.15),
            ContrastAugmentationTransform(p_per_sample=0.15),
            low_resolution,
            GammaTransform((0.7, 1.5), True, True, retain_stats=True, p_per_sample=0.1),
            GammaTransform((0.7, 1.5), False, True, retain_stats=True, p_per_sample=0.3),
            MirrorTransform((1,)),
        ]
    )
    return lambda pixels: torch.from_numpy(transform(data=pixels.numpy())["data"])


def is_right(augment: Callable[[Tensor], Tensor]) -> bool:
    """Whether a ramp comes out as a crop of itself, flipped in some cases alone, with mean 0 and deviation 1."""
    rows, columns = torch.meshgrid(torch.arange(SIDE) * 1000.0, torch.arange(SIDE) * 100.0, indexing="ij")
    found = augment((rows + columns).expand(CASES, PLANES, SIDE, SIDE).contiguous())
    if found.shape != (CASES, PLANES, SIZE_PX, SIZE_PX):
        return False
    down = (found[..., 1:, :] - found[..., :-1, :]).flatten(1)
    across = (found[..., 1:] - found[..., :-1]).flatten(1)
    straight = all(torch.allclose(step, step[:, :1].expand_as(step), atol=1e-4) for step in (down, across))
    tenth = torch.allclose(across[:, 0].abs() * 10, down[:, 0], atol=1e-3)
    scored = bool((found.mean(dim=(1, 2, 3)).abs() < 1e-3).all() and (found.std(dim=(1, 2, 3)) - 1 < 1e-3).all())
    return straight and tenth and scored and 0 < int((across[:, 0] < 0).sum()) < CASES


def compare_nnunet(pixels: Tensor, rounds: int) -> bool:
    """Time nnU-Net's policy; whether both make pixels of the same mean and standard deviation."""
    ours, theirs = nnunet_by_autodls(), nnunet_by_batchgenerators()
    made = [torch.cat([augment(pixels) for _ in range(256 // CASES)]) for augment in (ours, theirs)]
    (deviation, mean), (deviation_there, mean_there) = (torch.std_mean(batches) for batches in made)
    limit = deviation_there / 20
    alike = bool((mean - mean_there).abs() < limit and (deviation - deviation_there).abs() < limit)
    competitors = {
        name: in_process(partial(augment, pixels)) for name, augment in ((OURS, ours), ("batchgenerators", theirs))
    }
    note = "is right" if alike and made[0].shape == made[1].shape else "IS WRONG"
    show("nnU-Net's policy on a batch, one core", interleaved(competitors, rounds), {OURS: note})
    return note == "is right"


def main() -> int:
    """Run all; exit status 1 where an output is not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(machine())
    augmentations: dict[str, Callable[[Tensor], Tensor]] = {OURS: by_autodls}
    for name, (module, make) in PEERS.items():
        if find_spec(module) is None:
            print(f"{module} is not installed: '{name}' is left out")
        else:
            augmentations[name] = make()
    notes = {name: "is right" if is_right(augment) else "IS WRONG" for name, augment in augmentations.items()}
    pixels = torch.randn(CASES, PLANES, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    competitors = {name: in_process(partial(augment, pixels)) for name, augment in augmentations.items()}
    show("Augmentation of a batch, one core", interleaved(competitors, rounds), notes)
    right = set(notes.values()) == {"is right"}
    if find_spec("batchgenerators") is None:
        print("batchgenerators is not installed: nnU-Net's policy is left out")
    else:
        right &= compare_nnunet(pixels, rounds)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
