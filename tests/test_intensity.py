"""Intensities as network input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodls.errors import DatasetError
from autodls.preprocessing.intensity import normalise
from autodls.records.preprocessing_plan import IntensityPlan

ZSCORE = IntensityPlan(scheme="zscore", clip_percentiles=(0.5, 99.5))
PAPER = IntensityPlan(scheme="minmax_zscore")
WINDOW = IntensityPlan(scheme="window", window_hu=(-160.0, 240.0))


def head(seed=0, size=(12, 40, 40)):
    """Half air with faint noise, half tissue round 500."""
    chance = np.random.default_rng(seed)
    volume = np.abs(chance.normal(0, 5, size))
    volume[:, size[1] // 2 :] = chance.normal(500, 60, (size[0], size[1] - size[1] // 2, size[2]))
    return volume.astype(np.float32)


def samples_of(volume):
    """Three pictures out of a volume, some of whose samples lie outside the field of view."""
    pictures = volume[[3, 6, 9]].astype(np.float64)
    pictures[:, :, :4] = np.nan
    return pictures


@pytest.mark.parametrize("plan", [ZSCORE, PAPER], ids=["zscore", "paper"])
@given(seed=st.integers(0, 1000), gain=st.floats(0.01, 100), offset=st.floats(-500, 500))
@settings(max_examples=20, deadline=None)
def test_samples_in_view_have_mean_0_and_deviation_1_and_no_units(plan, seed, gain, offset):
    volume = head(seed)
    pixels = normalise(samples_of(volume), volume, plan, "case 1")
    seen = pixels[:, :, 4:].astype(np.float64)
    assert abs(seen.mean()) < 1e-5
    assert abs(seen.std() - 1) < 1e-5
    assert not pixels[:, :, :4].any()
    assert pixels.dtype == np.float32
    other = (gain * volume + offset).astype(np.float32)
    np.testing.assert_allclose(normalise(samples_of(other), other, plan, "case 1"), pixels, atol=0.02)


def test_clipping_keeps_one_bright_voxel_from_ruling_the_scale():
    volume = head()
    bright = volume.copy()
    bright[6, 30, 30] = 1e5
    clipped = [normalise(samples_of(array), array, ZSCORE, "case 1") for array in (volume, bright)]
    paper = [normalise(samples_of(array), array, PAPER, "case 1") for array in (volume, bright)]
    assert np.abs(clipped[0] - clipped[1])[0].max() < 0.02
    assert np.abs(paper[0] - paper[1])[0].max() > 0.5


def test_a_window_is_scaled_to_its_bounds():
    volume = np.linspace(-1000, 1000, 8, dtype=np.float32).reshape(2, 2, 2)
    samples = np.array([[[-1000.0, -160.0, 40.0], [240.0, 3000.0, np.nan]]])
    pixels = normalise(samples, volume, WINDOW, "case 1")
    np.testing.assert_allclose(pixels, [[[-1, -1, 0], [1, 1, 0]]], atol=1e-7)


def test_uptake_stays_uptake_in_a_window_of_suv():
    """Twice the uptake is twice the distance from 0 SUV in every patient; z-score makes both pictures the same."""
    plan = IntensityPlan(scheme="window", window_suv=(0.0, 20.0))
    body = np.random.default_rng(0).uniform(0.2, 6.0, (12, 40, 40)).astype(np.float32)
    faint, strong = (normalise(samples_of(volume), volume, plan, "case 1") for volume in (body, 2 * body))
    np.testing.assert_allclose((strong + 1)[..., 4:], 2 * (faint + 1)[..., 4:], atol=1e-6)
    zscored = [normalise(samples_of(volume), volume, ZSCORE, "case 1") for volume in (body, 2 * body)]
    np.testing.assert_allclose(*zscored, atol=1e-4)


def test_a_plan_without_pet_is_written_as_before():
    assert "window_suv" not in ZSCORE.model_dump(mode="json")
    with pytest.raises(ValueError, match="in HU or in SUV"):
        IntensityPlan(scheme="window", window_hu=(-160, 240), window_suv=(0, 20))


@pytest.mark.parametrize("plan", [ZSCORE, PAPER, WINDOW], ids=["zscore", "paper", "window"])
def test_a_constant_image_is_refused_by_name(plan):
    volume = np.full((4, 4, 4), 7, dtype=np.float32)
    with pytest.raises(DatasetError, match="T1WI of 7: all voxels are 7"):
        normalise(volume.astype(np.float64), volume, plan, "T1WI of 7")


@pytest.mark.parametrize("plan", [ZSCORE, PAPER], ids=["zscore", "paper"])
def test_an_image_that_is_blank_around_the_tumour_is_refused(plan):
    volume = head()
    with pytest.raises(DatasetError, match="blank there"):
        normalise(np.full((3, 5, 5), 2.5), volume, plan, "T1WI of 7")
