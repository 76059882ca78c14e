"""Augmentation of a training batch on one core, beside MONAI's dictionary transforms and batchgeneratorsv2.

    python benchmarks/augmentation.py [--rounds 15]

All take 32 cases of three planes at 256 x 256 to 224 x 224: horizontal flip in half of the cases, random crop, z-score
of each case. That is the policy "paper"; in training the z-score is part of preprocessing, so that a batch costs less
than here. On a ramp, where every pixel has a value of its own, each output must be a crop, flipped or not, with mean 0
and standard deviation 1.
"""

import argparse
import sys
from collections.abc import Callable
from importlib.util import find_spec

import torch
from side_by_side import OURS, in_process, interleaved, machine, show
from torch import Tensor
from torch.nn.functional import group_norm

from autodls.training.augmentation import augment_paper

CASES, PLANES, SIDE, SIZE_PX = 32, 3, 256, 224


def by_autodls(pixels: Tensor) -> Tensor:
    """The whole batch at once; a group norm with one group is the z-score of each case."""
    return group_norm(augment_paper(pixels, SIZE_PX, seed=0), num_groups=1, eps=0.0)


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
    competitors = {name: in_process(lambda augment=augment: augment(pixels)) for name, augment in augmentations.items()}
    show("Augmentation of a batch, one core", interleaved(competitors, rounds), notes)
    return 0 if set(notes.values()) == {"is right"} else 1


if __name__ == "__main__":
    sys.exit(main())
