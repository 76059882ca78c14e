"""Augmentation: replayable from its seed, of the right size, and silent towards everything global."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from autodls.records.files import sha256_of_bytes
from autodls.seeding import generator
from autodls.training import on_device
from autodls.training.augmentation import POLICIES, apply_paper, augment_inputs, augment_paper, draw_paper
from autodls.training.on_device import apply_where

QUICK = hypothesis_settings(deadline=None, max_examples=50)


def noise(cases=6, side=40, channels=3, seed=0):
    return torch.randn(cases, channels, side, side, generator=torch.Generator().manual_seed(seed))


def ramp(cases, side):
    """Every pixel has a value of its own; rows count in steps of 1000, columns in steps of 1."""
    rows, columns = torch.meshgrid(torch.arange(side) * 1000.0, torch.arange(side) * 1.0, indexing="ij")
    return (rows + columns).expand(cases, 3, side, side)


def paper(pixels, size_px, seed):
    """The pixels alone, where there is no ROI."""
    return augment_paper(pixels, pixels[:, :0], size_px, seed)[0]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size_px", [32, 40])
@pytest.mark.parametrize("planes", [0, 1, 3])
def test_same_seed_same_bytes_other_seed_other_pixels(policy, size_px, planes):
    augment, pixels, roi = POLICIES[policy], noise(cases=16), noise(cases=16, channels=planes, seed=1)
    first, again, other = (augment(pixels, roi, size_px, seed) for seed in (11, 11, 12))
    assert first[0].shape == (16, 3, size_px, size_px)
    assert first[1].shape == (16, planes, size_px, size_px)
    assert torch.isfinite(first[0]).all()
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_comes_out_has_the_precision_of_what_goes_in(policy, dtype):
    pixels, roi = noise().to(dtype), noise(channels=1).to(dtype)
    assert [found.dtype for found in POLICIES[policy](pixels, roi, 32, 0)] == [dtype, dtype]


@pytest.mark.parametrize("policy", POLICIES)
def test_result_does_not_depend_on_global_streams_and_leaves_them_alone(policy):
    augment, pixels = POLICIES[policy], noise(cases=24)
    results = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        torch.manual_seed(seed)
        before = np.random.get_state()[1].copy(), random.getstate(), torch.random.get_rng_state()  # noqa: NPY002
        results.append(augment(pixels, pixels[:, :1], 32, 5)[0])
        assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
        assert random.getstate() == before[1]
        assert torch.equal(torch.random.get_rng_state(), before[2])
    assert torch.equal(*results)


def test_bytes_of_the_paper_s_policy_are_those_of_earlier_versions():
    """Crops and flips move whole pixels, so that every machine gives the same; trained folds depend on it."""
    moved, roi = augment_paper(ramp(24, 40), ramp(24, 40)[:, :1], 32, 7)
    assert torch.equal(moved[:, :1], roi)
    assert sha256_of_bytes(moved.numpy().tobytes())[:16] == "532b91efc45ac6a9"


def test_chance_is_drawn_apart_from_the_pixels():
    pixels, chance = ramp(24, 40), generator(7, "paper")
    draw = draw_paper(pixels.shape, 32, chance)
    after = chance.bit_generator.state
    for _ in range(2):
        assert torch.equal(apply_paper(pixels, pixels[:, :0], 32, draw)[0], paper(pixels, 32, 7))
    assert chance.bit_generator.state == after


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size_px", [32, 40])
def test_input_is_left_as_it_was(policy, size_px):
    pixels, roi = noise(cases=24), noise(cases=24, channels=1)
    before = pixels.clone(), roi.clone()
    POLICIES[policy](pixels, roi, size_px, 3)
    assert torch.equal(pixels, before[0])
    assert torch.equal(roi, before[1])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_case_does_not_depend_on_the_others(policy):
    pixels, roi = noise(cases=12), noise(cases=12, channels=1)
    others = noise(cases=12, seed=8)
    others[5] = pixels[5]
    first, second = (POLICIES[policy](images, roi, 32, 3)[0] for images in (pixels, others))
    assert torch.equal(first[5], second[5])
    assert not torch.equal(first[4], second[4])


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_asks_the_device_for_a_value(policy):
    """A tensor of the device "meta" has a shape and no values: whoever asks for one is refused."""
    pixels = torch.empty(6, 3, 40, 40, device="meta")
    found, roi = POLICIES[policy](pixels, pixels[:, :1], 32, 0)
    assert (found.shape, roi.shape) == ((6, 3, 32, 32), (6, 1, 32, 32))


@pytest.mark.parametrize("drawn", [[False, True, False], [True] * 3, [False] * 3])
def test_rows_that_are_not_drawn_stay_whether_all_are_computed_or_not(drawn, monkeypatch):
    pixels, factor = noise(cases=3)[:, 0], torch.tensor([2.0, 3.0, 4.0])
    expected = torch.stack([row * value if one else row for row, value, one in zip(pixels, factor, drawn, strict=True)])
    for kinds in (("cpu",), ()):
        monkeypatch.setattr(on_device, "_ROW_BY_ROW", kinds)
        found = apply_where(torch.tensor(drawn), pixels.clone(), lambda row, by: row * by[:, None, None], factor)
        assert torch.equal(found, expected)


@pytest.mark.parametrize(("side", "size_px", "seed"), [((40, 47), 32, 0), ((36, 36), 36, 1), ((33, 40), 32, 2)])
def test_paper_policy_is_the_crop_and_flip_of_each_case_by_itself(side, size_px, seed):
    """As it was written before it took the whole batch at once."""
    pixels = torch.randn(9, 3, *side, generator=torch.Generator().manual_seed(seed))
    chance = generator(seed, "paper")
    tops, lefts = (chance.integers(0, length - size_px + 1, 9) for length in side)
    flips = chance.random(9) < 0.5
    found, roi = augment_paper(pixels, pixels[:, 1:2], size_px, seed)
    for case, (top, left, flip) in enumerate(zip(tops, lefts, flips, strict=True)):
        crop = pixels[case, :, top : top + size_px, left : left + size_px]
        assert torch.equal(found[case], crop.flip(-1) if flip else crop)
    assert torch.equal(roi, found[:, 1:2])


@QUICK
@given(st.integers(32, 48), st.integers(0, 2**62))
def test_paper_policy_gives_a_crop_of_the_picture_flipped_along_its_rows_at_most(side, seed):
    for picture in paper(ramp(3, side), 32, seed)[:, 0]:
        step = picture[:, 1:] - picture[:, :-1]
        assert torch.all(picture[1:] - picture[:-1] == 1000), "rows keep their order"
        assert torch.all(step == 1) or torch.all(step == -1)


def test_paper_policy_flips_half_of_the_cases_and_reaches_every_place():
    pictures = paper(ramp(2000, 36), 32, 0)[:, 0]
    flipped = pictures[:, 0, 1] < pictures[:, 0, 0]
    assert 0.45 < flipped.float().mean() < 0.55
    tops = (pictures[:, 0].amin(dim=1) // 1000).unique()
    lefts = (pictures.amin(dim=(1, 2)) % 1000).unique()
    assert tops.tolist() == lefts.tolist() == [0, 1, 2, 3, 4]


def test_paper_policy_moves_all_channels_of_a_case_together():
    for case in paper(ramp(20, 40), 32, 1):
        assert torch.equal(case[0], case[1])
        assert torch.equal(case[0], case[2])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("sequences", [(), (2,)])
def test_planes_and_roi_of_network_input_move_together_and_the_roi_keeps_its_values(policy, sequences):
    """A bright square in every plane of every sequence, which is the ROI as well."""
    inputs = torch.zeros(24, *sequences, 6, 48, 48)
    inputs[..., 18:26, 14:26] = 1
    found = augment_inputs(POLICIES[policy], inputs, 40, 3)
    assert found.shape == (24, *sequences, 6, 40, 40)
    planes, roi = found[..., :3, :, :].flatten(1, -3), found[..., 3:, :, :].flatten(1, -3)
    assert roi.amin() >= 0 and roi.amax() <= 1.0001
    assert all(torch.equal(roi[:, 0], one) for one in roi.unbind(1)), "all of a case move together"
    assert len({tuple(one.nonzero()[0].tolist()) for one in roi[:, 0] > 0.5}) > 3, "cases do not"
    for case, tumour in zip(planes, roi[:, 0] > 0.5, strict=True):
        assert (case[:, tumour].mean(dim=1) > case[:, ~tumour].mean(dim=1)).all()
        assert float(np.corrcoef(case[0].flatten(), tumour.flatten())[0, 1]) > 0.5


@pytest.mark.parametrize("policy", POLICIES)
def test_without_roi_network_input_is_augmented_as_planes(policy):
    pixels = noise()
    expected, _ = POLICIES[policy](pixels, pixels[:, :0], 32, 4)
    assert torch.equal(augment_inputs(POLICIES[policy], pixels, 32, 4), expected)
