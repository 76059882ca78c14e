"""Augmentation: replayable from its seed, of the right size, and silent towards everything global."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from autodls.training.augmentation import POLICIES, augment_nnunet, augment_paper

QUICK = hypothesis_settings(deadline=None, max_examples=50)


def noise(cases=6, side=40, channels=3, seed=0):
    return torch.randn(cases, channels, side, side, generator=torch.Generator().manual_seed(seed))


def ramp(cases, side):
    """Every pixel has a value of its own; rows count in steps of 1000, columns in steps of 1."""
    rows, columns = torch.meshgrid(torch.arange(side) * 1000.0, torch.arange(side) * 1.0, indexing="ij")
    return (rows + columns).expand(cases, 3, side, side)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size_px", [32, 40])
def test_same_seed_same_pixels_other_seed_other_pixels(policy, size_px):
    augment, pixels = POLICIES[policy], noise(cases=16)
    first, again, other = (augment(pixels, size_px, seed) for seed in (11, 11, 12))
    assert first.shape == (16, 3, size_px, size_px)
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("policy", POLICIES)
def test_result_does_not_depend_on_global_streams_and_leaves_them_alone(policy):
    augment, pixels = POLICIES[policy], noise(cases=24)
    results = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        torch.manual_seed(seed)
        before = np.random.get_state()[1].copy(), random.getstate(), torch.random.get_rng_state()  # noqa: NPY002
        results.append(augment(pixels, 32, 5))
        assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
        assert random.getstate() == before[1]
        assert torch.equal(torch.random.get_rng_state(), before[2])
    assert torch.equal(*results)


@pytest.mark.parametrize("policy", POLICIES)
def test_input_is_left_as_it_was(policy):
    pixels = noise(cases=24)
    before = pixels.clone()
    POLICIES[policy](pixels, 32, 3)
    assert torch.equal(pixels, before)


@QUICK
@given(st.integers(32, 48), st.integers(0, 2**62))
def test_paper_policy_gives_a_crop_of_the_picture_flipped_along_its_rows_at_most(side, seed):
    for picture in augment_paper(ramp(3, side), 32, seed)[:, 0]:
        step = picture[:, 1:] - picture[:, :-1]
        assert torch.all(picture[1:] - picture[:-1] == 1000), "rows keep their order"
        assert torch.all(step == 1) or torch.all(step == -1)


def test_paper_policy_flips_half_of_the_cases_and_reaches_every_place():
    pictures = augment_paper(ramp(2000, 36), 32, 0)[:, 0]
    flipped = pictures[:, 0, 1] < pictures[:, 0, 0]
    assert 0.45 < flipped.float().mean() < 0.55
    tops = (pictures[:, 0].amin(dim=1) // 1000).unique()
    lefts = (pictures.amin(dim=(1, 2)) % 1000).unique()
    assert tops.tolist() == lefts.tolist() == [0, 1, 2, 3, 4]


def test_paper_policy_moves_all_channels_of_a_case_together():
    for case in augment_paper(ramp(20, 40), 32, 1):
        assert torch.equal(case[0], case[1])
        assert torch.equal(case[0], case[2])


def test_nnunet_policy_changes_intensities_of_some_cases_and_none_vertically_flips():
    side = 40
    columns = torch.arange(side) / side
    pixels = columns[:, None].expand(200, 3, side, side).contiguous()  # brighter downwards
    found = augment_nnunet(pixels, side, 0)
    falls = found[:, :, -8:].mean(dim=(1, 2, 3)) - found[:, :, :8].mean(dim=(1, 2, 3))
    assert (falls > 0).all()
    changed = (found - pixels).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert 0.4 < changed.float().mean() < 0.99


def test_nnunet_noise_is_drawn_from_the_seed():
    """Its variance comes from Python's own stream in batchgenerators, not from NumPy's."""
    pixels = torch.zeros(200, 3, 32, 32)
    random.seed(0)
    first = augment_nnunet(pixels, 32, 1)
    random.seed(1)
    assert torch.equal(first, augment_nnunet(pixels, 32, 1))
    assert (first != 0).any(), "the seed reaches the noise"
