"""nnU-Net's policy against batchgenerators, given the same parameters; `test_nnunet_draws.py` is of what is drawn."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from batchgenerators.augmentations import color_augmentations, noise_augmentations, resample_augmentations
from batchgenerators.augmentations.spatial_transformations import augment_spatial
from nnunet_policy import SIDES, SIZE_PX, drawn
from scipy import stats

from autodls.training import nnunet_augmentation, on_device
from autodls.training.intensity_transforms import (
    add_noise,
    blur,
    change_contrast,
    change_gamma,
    change_gamma_inverted,
    lower_resolution,
    multiply,
    standard_normal,
)
from autodls.training.nnunet_augmentation import apply_nnunet, augment_nnunet

pytestmark = pytest.mark.usefixtures("own_global_streams")
NEUTRAL = {"noise_deviation": 0, "blur_sigma_px": 0, "brightness": 1, "contrast": 1, "gamma_inverted": 1, "gamma": 1}


def images(count=6, side=40, channels=None, seed=0):
    shape = (count, side, side) if channels is None else (count, channels, *SIDES)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2 + 1


def only_in_space(draw):
    same = {name: torch.full_like(getattr(draw, name), value) for name, value in NEUTRAL.items()}
    return replace(draw, **same, coarse_px=torch.full_like(draw.coarse_px, SIZE_PX))


# -- operations, given the same parameters -----------------------------------------------------------------------------


def blurred(image, sigma):
    return noise_augmentations.augment_gaussian_blur(image, (sigma, sigma))


def brightened(image, factor):
    return color_augmentations.augment_brightness_multiplicative(image, (factor, factor))


def contrasted(image, factor):
    return color_augmentations.augment_contrast(image, lambda: factor)


def coarsened(image, side_px):
    zoom = side_px / image.shape[-1]
    return resample_augmentations.augment_linear_downsampling_scipy(
        image, (zoom, zoom), order_downsample=0, order_upsample=1
    )


def gamma_changed(image, gamma, inverted=False):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "uniform", lambda *_range: gamma)
        return color_augmentations.augment_gamma(image, (0.7, 1.5), inverted, per_channel=True, retain_stats=True)


OPERATIONS = {
    "blur": (blur, blurred, (0.5, 0.62, 0.63, 0.75, 0.87, 0.88, 1.0)),
    "brightness": (multiply, brightened, (0.75, 1.0, 1.25)),
    "contrast": (change_contrast, contrasted, (0.75, 0.99, 1.25)),
    "low resolution": (lower_resolution, coarsened, tuple(range(20, 41))),
    "gamma": (change_gamma, gamma_changed, (0.7, 0.95, 1.5)),
    "gamma inverted": (
        change_gamma_inverted, lambda image, gamma: gamma_changed(image, gamma, inverted=True), (0.7, 0.95, 1.5)
    ),
}  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_gives_what_batchgenerators_gives(operation):
    """All rows at once, each with a value of its own, to 2e-5 of images with a deviation of 2."""
    ours, theirs, values = OPERATIONS[operation]
    pixels = images(len(values))
    whole = operation == "low resolution"
    found = ours(pixels, torch.tensor(values, dtype=torch.int32 if whole else torch.float32))
    for row, value in enumerate(values):
        expected = theirs(pixels[row : row + 1].numpy().copy(), value)
        np.testing.assert_allclose(found[row : row + 1].numpy(), expected, rtol=0, atol=2e-5)
    if whole:
        assert torch.equal(found[-1], pixels[-1]), "the full side changes nothing"
    else:
        assert not torch.allclose(found[0], pixels[0], atol=0.1)


@pytest.mark.parametrize("operation", ["contrast", "gamma", "gamma inverted"])
def test_an_image_of_one_value_stays(operation):
    ours, theirs, values = OPERATIONS[operation]
    flat = torch.full((1, 8, 8), 3.0)
    found = ours(flat, torch.tensor(values[:1]))
    np.testing.assert_allclose(found.numpy(), theirs(flat.numpy().copy(), values[0]), rtol=0, atol=1e-6)


def test_blur_of_an_image_that_is_smaller_than_the_filter():
    pixels = images(1, side=3)
    np.testing.assert_allclose(blur(pixels, torch.ones(1)), blurred(pixels.numpy().copy(), 1.0), rtol=0, atol=2e-5)


@pytest.mark.parametrize("angle", [None, 0.25, -0.1])
@pytest.mark.parametrize("scale", [None, 0.7, 1.4])
@pytest.mark.parametrize("centre", [(16.0, 34.0), (21.3, 25.0)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_place_of_a_case_is_that_of_batchgenerators(angle, scale, centre, mirrored, monkeypatch):
    """Rotation, scaling, crop and mirror by one look-up, to 1e-4 of images with a deviation of 2."""
    pixels = images(1, channels=2)
    draw = replace(
        only_in_space(drawn(1, channels=2)),
        angle_rad=torch.tensor([angle or 0.0]),
        scale=torch.tensor([scale or 1.0]),
        centre_px=torch.tensor([centre]),
        mirror=torch.tensor([-1.0 if mirrored else 1.0]),
    )
    found, roi = apply_nnunet(pixels, pixels[:, 1:], SIZE_PX, draw)
    if angle is None and scale is None:
        start = [int(middle - (SIZE_PX - 1) / 2) for middle in centre]
        draw = replace(draw, centre_px=torch.tensor([start]) + (SIZE_PX - 1) / 2)
        found, roi = apply_nnunet(pixels, pixels[:, 1:], SIZE_PX, draw)
        crop = (slice(None), slice(None), *(slice(first, first + SIZE_PX) for first in start))
        expected = pixels.numpy()[crop]
    else:
        asked = [1.0 if angle is None else 0.0, *([] if angle is None else [0.0, angle])]
        asked += [1.0 if scale is None else 0.0, *([] if scale is None else [scale]), *centre]
        answers = iter(asked)
        monkeypatch.setattr(np.random, "uniform", lambda *_range: next(answers))
        expected, _ = augment_spatial(
            pixels.numpy(), None, (SIZE_PX, SIZE_PX), (16, 16), do_elastic_deform=False, order_data=1,
            border_mode_data="nearest", p_rot_per_sample=0.5, p_scale_per_sample=0.5,
        )  # fmt: skip
    expected = expected[..., ::-1] if mirrored else expected
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-4)
    assert torch.equal(roi, found[:, 1:])


# -- noise -------------------------------------------------------------------------------------------------------------


def mixed(bits):
    """Wellons' lowbias32 in NumPy's unsigned integers."""
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B)
    return bits ^ (bits >> np.uint32(16))


@pytest.mark.parametrize("key", [0, 1, -1, 2**31 - 1, -(2**31)])
def test_bits_of_the_noise_are_those_of_the_published_hash(key):
    places = np.arange(5000, dtype=np.uint32)
    bits = mixed(mixed(places) ^ np.uint32(key % 2**32))
    share = ((bits.view(np.int32) >> 8) + 0.5) / 2**23 / 2 + 0.5
    found = standard_normal(torch.tensor([key], dtype=torch.int32), 5000)[0]
    np.testing.assert_allclose(found.numpy(), stats.norm.ppf(share), rtol=0, atol=1e-4)


def test_noise_is_normal_and_of_every_key_another():
    found = standard_normal(torch.arange(-20, 20, dtype=torch.int32), 10_000).numpy()
    assert stats.kstest(found.ravel(), "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(found) - np.eye(40)).max() < 0.05
    assert abs(np.corrcoef(found[:, 1:].ravel(), found[:, :-1].ravel())[0, 1]) < 0.01
    assert np.isfinite(standard_normal(torch.tensor([5], dtype=torch.int32), 2_000_000).numpy()).all()


def test_noise_is_added_with_the_deviation_of_its_row():
    key, flat = torch.tensor([3, 3], dtype=torch.int32), torch.full((2, 100, 100), 7.0)
    noise = add_noise(flat, torch.tensor([0.1, 0.05]), key) - 7
    assert torch.allclose(noise[0], 2 * noise[1], atol=1e-5)
    assert noise[0].std().item() == pytest.approx(0.1, rel=0.03)


# -- the whole policy --------------------------------------------------------------------------------------------------


def test_roi_moves_with_the_pixels_and_keeps_its_values():
    pixels, draw = images(60, channels=3).sigmoid(), drawn(60)
    roi = pixels[:, :2].clone()
    found, moved = apply_nnunet(pixels, roi, SIZE_PX, draw)
    in_space, moved_alike = apply_nnunet(pixels, roi, SIZE_PX, only_in_space(draw))
    assert torch.equal(moved, in_space[:, :2])
    assert torch.equal(moved, moved_alike)
    assert not torch.equal(found, in_space)
    assert moved.min() >= 0 and moved.max() <= 1


def test_most_cases_change_and_none_is_turned_upside_down():
    side = 40
    pixels = (torch.arange(side) / side)[:, None].expand(200, 3, side, side).contiguous()  # brighter downwards
    found, _ = augment_nnunet(pixels, pixels[:, :0], side, 0)
    falls = found[:, :, -8:].mean(dim=(1, 2, 3)) - found[:, :, :8].mean(dim=(1, 2, 3))
    assert (falls > 0).all()
    changed = (found - pixels).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert 0.4 < changed.float().mean() < 0.99


def test_a_gpu_that_computes_all_rows_and_drops_some_gives_the_same(monkeypatch):
    pixels, draw = images(40, channels=3), drawn(40)
    expected, _ = apply_nnunet(pixels, pixels[:, :1], SIZE_PX, draw)
    monkeypatch.setattr(on_device, "_ROW_BY_ROW", ())
    found, _ = apply_nnunet(pixels, pixels[:, :1], SIZE_PX, draw)
    assert torch.allclose(found, expected, atol=1e-4)


def test_chance_travels_in_one_copy(monkeypatch):
    copies = []

    def counted(values, device):
        copies.append(values.numel())
        return values.to(device, copy=True)

    monkeypatch.setattr(nnunet_augmentation, "to_device", counted)
    draw = drawn(5)
    arrived = draw.to(torch.device("cpu"))
    assert len(copies) == 1
    for field in fields(draw):
        value, there = getattr(draw, field.name), getattr(arrived, field.name)
        assert there.dtype == value.dtype
        assert torch.equal(there, value)


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_pixels_are_computed_in_float32(autocast):
    pixels = images(40, channels=3).bfloat16()
    expected, _ = augment_nnunet(pixels.float(), pixels[:, :1], SIZE_PX, 0)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found, _ = augment_nnunet(pixels, pixels[:, :1], SIZE_PX, 0)
    assert torch.equal(found, expected.bfloat16())


def test_image_of_the_size_of_the_crop_is_not_cropped():
    draw = drawn(sides=(SIZE_PX, SIZE_PX))
    pixels = images(200, channels=3)[..., :SIZE_PX, :SIZE_PX]
    assert (draw.centre_px[draw.angle_rad == 0] - (SIZE_PX - 1) / 2).abs().max() <= 0.5
    whole = (draw.angle_rad == 0) & (draw.scale == 1) & (draw.mirror == 1)
    found, _ = apply_nnunet(pixels, pixels[:, :0], SIZE_PX, only_in_space(draw))
    assert torch.allclose(found[whole], pixels[whole], atol=1e-4)
