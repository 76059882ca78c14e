"""What nnU-Net's policy draws, against what batchgenerators draws: how often, in which range, for which channels."""

import numpy as np
import pytest
from batchgenerators.augmentations import noise_augmentations, resample_augmentations
from batchgenerators.transforms.color_transforms import (
    BrightnessMultiplicativeTransform,
    ContrastAugmentationTransform,
    GammaTransform,
)
from batchgenerators.transforms.noise_transforms import GaussianBlurTransform, GaussianNoiseTransform
from batchgenerators.transforms.resample_transforms import SimulateLowResolutionTransform
from batchgenerators.transforms.spatial_transforms import MirrorTransform, SpatialTransform
from nnunet_policy import SIDES, SIZE_PX, drawn
from scipy import stats

CASES = 3000
pytestmark = pytest.mark.usefixtures("own_global_streams")


def brightness_of_batchgenerators(cases, _monkeypatch):
    data = np.ones((cases, 2, 1, 1))
    return BrightnessMultiplicativeTransform((0.75, 1.25), p_per_sample=0.15)(data=data)["data"][..., 0, 0]


def contrast_of_batchgenerators(cases, _monkeypatch):
    data = np.tile([-1.0, -0.1, 0.1, 1.0], (cases, 2, 1, 1))
    return ContrastAugmentationTransform(p_per_sample=0.15)(data=data)["data"][..., 0, 2] / 0.1


def noise_of_batchgenerators(cases, monkeypatch):
    monkeypatch.setattr(np.random, "normal", lambda _mean, deviation, size: np.full(size, deviation))
    return GaussianNoiseTransform(p_per_sample=0.1)(data=np.zeros((cases, 2, 1, 1)))["data"][..., 0, 0]


def blur_of_batchgenerators(cases, monkeypatch):
    monkeypatch.setattr(noise_augmentations, "gaussian_filter", lambda image, sigma, order: np.full_like(image, sigma))
    transform = GaussianBlurTransform((0.5, 1.0), different_sigma_per_channel=True, p_per_sample=0.2, p_per_channel=0.5)
    return transform(data=np.zeros((cases, 2, 1, 1)))["data"][..., 0, 0]


def coarse_side_of_batchgenerators(cases, monkeypatch):
    """The first call sees an image of zeros and is told the coarse side; the second passes it on."""
    monkeypatch.setattr(
        resample_augmentations, "resize", lambda image, shape, **_options: np.full(shape, image.max() or shape[0])
    )
    transform = SimulateLowResolutionTransform((0.5, 1), per_channel=True, p_per_channel=0.5, p_per_sample=0.25)
    found = transform(data=np.zeros((cases, 2, SIZE_PX, SIZE_PX)))["data"][..., 0, 0]
    return np.where(found == 0, SIZE_PX, found)


def gamma_of_batchgenerators(cases, _monkeypatch, inverted=False):
    data = np.tile([0.0, 0.5, 1.0], (cases, 2, 1, 1)) * (-1 if inverted else 1)
    transform = GammaTransform((0.7, 1.5), inverted, True, p_per_sample=0.1 if inverted else 0.3)
    found = np.log(np.abs(transform(data=data)["data"][..., 0, 1])) / np.log(0.5)
    return np.where(np.abs(found - 1) < 1e-6, 1, found)


def mirror_of_batchgenerators(cases, _monkeypatch):
    return MirrorTransform((1,))(data=np.tile([-1.0, 1.0], (cases, 1, 1, 1)))["data"][..., 0, 1]


def place_of_batchgenerators(cases, what):
    """Read from where the four pixels in the middle of an 8 x 8 crop come from: pixels hold their row and column."""
    rows, columns = np.meshgrid(np.arange(SIDES[0]), np.arange(SIDES[1]), indexing="ij")
    transform = SpatialTransform(
        (8, 8), [4, 4], do_elastic_deform=False, angle_x=(-np.pi / 12, np.pi / 12), p_rot_per_sample=0.2,
        scale=(0.7, 1.4), p_scale_per_sample=0.2, border_mode_data="nearest", order_data=1, random_crop=True,
    )  # fmt: skip
    data = np.tile(np.stack([rows, columns]).astype(np.float32), (cases, 1, 1, 1))
    middle = transform(data=data)["data"][:, :, 3:5, 3:5].astype(np.float64)
    down, right = middle[:, 0, 1, 0] - middle[:, 0, 0, 0], middle[:, 0, 0, 1] - middle[:, 0, 0, 0]
    scale, angle = np.hypot(down, right), np.arctan2(right, down)
    read = {
        "angle_rad": np.where(np.abs(angle) < 1e-5, 0, angle),
        "scale": np.where(np.abs(scale - 1) < 1e-5, 1, scale),
        "row": middle[:, 0].mean(axis=(1, 2)),
        "column": middle[:, 1].mean(axis=(1, 2)),
    }
    return read[what][:, None]


DRAWS = {
    "noise_deviation": (0.0, noise_of_batchgenerators),
    "blur_sigma_px": (0.0, blur_of_batchgenerators),
    "brightness": (1.0, brightness_of_batchgenerators),
    "contrast": (1.0, contrast_of_batchgenerators),
    "coarse_px": (SIZE_PX, coarse_side_of_batchgenerators),
    "gamma_inverted": (1.0, lambda cases, patch: gamma_of_batchgenerators(cases, patch, inverted=True)),
    "gamma": (1.0, gamma_of_batchgenerators),
    "mirror": (1.0, mirror_of_batchgenerators),
    "angle_rad": (0.0, lambda cases, _patch: place_of_batchgenerators(cases, "angle_rad")),
    "scale": (1.0, lambda cases, _patch: place_of_batchgenerators(cases, "scale")),
}


@pytest.mark.parametrize("name", DRAWS)
def test_parameters_are_drawn_as_batchgenerators_draws_them(name, monkeypatch):
    unchanged, read = DRAWS[name]
    ours = getattr(drawn(CASES, 2), name).double().numpy().reshape(CASES, -1)
    theirs = np.asarray(read(CASES, monkeypatch))
    assert ours.shape == theirs.shape
    changed, changed_there = ((values != unchanged).sum(axis=1) for values in (ours, theirs))
    for channels in (1, 2):  # of a case in how many channels
        share, share_there = (changed == channels).mean(), (changed_there == channels).mean()
        assert abs(share - share_there) < 4 * np.sqrt(max(share, 1e-9) * 2 / CASES)
    values, values_there = ours[ours != unchanged], theirs[theirs != unchanged]
    assert stats.ks_2samp(values, values_there).pvalue > 0.01
    both = [found[(found != unchanged).all(axis=1)] for found in (ours, theirs)]
    alike = [float(np.mean(found[:, 0] == found[:, -1])) for found in both]
    assert alike[0] == pytest.approx(alike[1], abs=0.1), "whether the channels of a case have one value or several"


@pytest.mark.parametrize(("axis", "what"), [(0, "row"), (1, "column")])
def test_crops_lie_where_those_of_batchgenerators_lie(axis, what):
    draw = drawn(CASES, 2, size_px=8)
    ours = draw.centre_px[:, axis].numpy()
    whole = (draw.angle_rad == 0).numpy() & (draw.scale == 1).numpy()
    theirs = place_of_batchgenerators(CASES, what)[:, 0]
    assert stats.ks_2samp(ours, theirs).pvalue > 0.01
    assert (ours[whole] % 1 == 0.5).all()
    assert ours[whole].min() == 3.5
    assert ours[whole].max() == theirs[theirs % 1 == 0.5].max() == SIDES[axis] - 8 - 1 + 3.5
    assert ours[~whole].min() >= 4 and ours[~whole].max() <= SIDES[axis] - 4
