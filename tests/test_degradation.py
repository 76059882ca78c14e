"""Images as a worse scan would give them: nothing at level nothing, known artefacts on known images, more by level."""

import importlib.util

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from autodls.errors import ArgumentError
from autodls.imaging.degradation import SCALES, degraded, require_torchio
from autodls.imaging.geometry import Geometry, Volume

torchio = pytest.importorskip("torchio")

AXIS = {"x": 2, "y": 1, "z": 0}  # of arrays [z, y, x]
SLICES = {"x": (5.0, 1.5, 2.0), "y": (1.5, 5.0, 2.0), "z": (1.5, 2.0, 5.0)}
OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


def scan(spacing_mm=(1.5, 2.0, 5.0), size_xyz=(21, 18, 10), origin_mm=(-300.0, 40.0, 7.0), direction=OBLIQUE):
    """Smooth and sharp things, and nothing even."""
    z, y, x = np.indices(size_xyz[::-1])
    ball = ((z - 5) ** 2 + (y - 8) ** 2 + (x - 10) ** 2 < 18) * 700.0
    return Volume(
        (100 + 9 * x + 7 * y + 5 * z + ball).astype(np.float32), Geometry(size_xyz, spacing_mm, origin_mm, direction)
    )


def chance(seed=3):
    return np.random.default_rng(seed)


def change_rms(volume, kind, level, seed=3):
    return float(np.sqrt(np.mean((degraded(volume, kind, level, chance(seed)).array - volume.array) ** 2)))


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_nothing_changes_nothing_to_the_last_bit(kind, dtype):
    volume = Volume(scan().array.astype(dtype), scan().geometry)
    before = volume.array.tobytes()
    found = degraded(volume, kind, SCALES[kind].nothing, chance())
    assert (found.array.dtype, found.array.tobytes(), found.geometry) == (dtype, before, volume.geometry)
    degraded(volume, kind, SCALES[kind].levels[-1], chance())
    assert volume.array.tobytes() == before, "the original is left alone"


@pytest.mark.parametrize("kind", SCALES)
def test_same_chance_same_bytes_and_more_by_level(kind):
    volume, levels = scan(), SCALES[kind].levels
    one, two = (degraded(volume, kind, levels[1], chance()) for _ in range(2))
    assert one.array.tobytes() == two.array.tobytes() and one.array.dtype == np.float32
    assert one.geometry == volume.geometry and one.array.shape == volume.array.shape
    assert len(levels) == 4 and list(levels) == sorted(levels) and levels[0] > SCALES[kind].nothing
    rms = [change_rms(volume, kind, level) for level in levels]
    assert 0 < rms[0] < rms[-1] and rms == sorted(rms)


@pytest.mark.parametrize("kind", ["motion", "bias", "noise"])
def test_another_chance_is_another_image(kind):
    volume, level = scan(), SCALES[kind].levels[1]
    one, other = (degraded(volume, kind, level, chance(seed)).array for seed in (1, 2))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("level", [-1.0, np.nan, np.inf])
def test_levels_below_nothing_are_refused(kind, level):
    with pytest.raises(ArgumentError, match=f"{SCALES[kind].word} of .*must be"):
        degraded(scan(), kind, level, chance())


def test_a_missing_extra_is_one_line(monkeypatch):
    require_torchio()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr("autodls.imaging.degradation.find_spec", lambda _: None)
    with pytest.raises(ArgumentError, match=r"torchio is not installed; pip install .*\[stress\]") as failure:
        require_torchio()
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("level", SCALES["noise"].levels)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_noise_has_the_variance_that_is_asked_for(level, dtype):
    ramp = np.broadcast_to(np.linspace(0, 1000, 60), (40, 50, 60)).astype(dtype)
    noise = degraded(Volume(ramp, Geometry((60, 50, 40), (1, 1, 1))), "noise", level, chance()).array - ramp
    low, high = np.percentile(ramp, (0.5, 99.5))
    asked = level / 100 * (high - low)
    assert noise.std() == pytest.approx(asked, rel=0.02) and abs(noise.mean()) < 0.02 * asked
    assert abs(np.corrcoef(noise[:, :, :-1].ravel(), noise[:, :, 1:].ravel())[0, 1]) < 0.02, "white"


def test_noise_is_the_same_draw_at_every_level():
    volume = scan()
    small, large = (degraded(volume, "noise", level, chance()).array - volume.array for level in (2.0, 20.0))
    np.testing.assert_allclose(large, 10 * small, atol=1e-3)


@pytest.mark.parametrize("level", SCALES["blur"].levels)
@pytest.mark.parametrize("slices", AXIS)
def test_blur_is_the_gaussian_of_scipy_in_mm(level, slices):
    volume = scan(SLICES[slices])
    expected = ndimage.gaussian_filter(volume.array, [level / mm for mm in volume.geometry.spacing_mm[::-1]])
    np.testing.assert_allclose(degraded(volume, "blur", level, chance()).array, expected, rtol=1e-5)


@settings(max_examples=12)
@given(count=st.integers(1, 13), factor=st.sampled_from(SCALES["spacing"].levels), slices=st.sampled_from("xyz"))
def test_spacing_by_hand(count, factor, slices):
    """Smoothed along the slices, taken at the middles of thick ones, and drawn back by straight lines."""
    size = [9, 9, 9]
    size[2 - AXIS[slices]] = count
    volume = scan(SLICES[slices], tuple(size))
    sd = np.sqrt(factor**2 - 1) / (2 * np.sqrt(2 * np.log(2)))
    smooth = np.moveaxis(ndimage.gaussian_filter1d(volume.array, sd, axis=AXIS[slices]), AXIS[slices], -1)
    thick = int(np.ceil(count / factor))
    middles = (count - 1) / 2 + (np.arange(thick) - (thick - 1) / 2) * factor
    rows = smooth.reshape(-1, count)
    old = np.arange(count)
    hand = [np.interp(old, middles, np.interp(middles, old, row)) for row in rows]
    expected = np.moveaxis(np.reshape(hand, smooth.shape), -1, AXIS[slices])
    np.testing.assert_allclose(degraded(volume, "spacing", factor, chance()).array, expected, rtol=2e-5, atol=1e-3)


def test_a_bias_field_is_a_factor_whose_logarithm_grows_with_the_level():
    volume = scan()
    fields = [np.log(degraded(volume, "bias", level, chance()).array / volume.array) for level in (0.2, 0.4)]
    np.testing.assert_allclose(fields[1], 2 * fields[0], atol=1e-4)
    z, y, x = (np.linspace(-1, 1, side)[tuple(slice(None) if i == axis else None for i in range(3))]
               for axis, side in enumerate(volume.array.shape))  # fmt: skip
    powers = [(i, j, k) for i in range(4) for j in range(4 - i) for k in range(4 - i - j)]
    basis = np.stack([np.ravel(x**i * y**j * z**k) for i, j, k in powers], axis=1)
    terms, *_ = np.linalg.lstsq(basis, fields[0].ravel(), rcond=None)
    np.testing.assert_allclose(basis @ terms, fields[0].ravel(), atol=1e-4)
    assert len(powers) == 20 and terms[0] == pytest.approx(0, abs=1e-3), "no constant: it would be no field"
    assert np.abs(terms).max() <= 0.2 + 1e-3 and (terms > 0).any() and (terms < 0).any()


@pytest.mark.parametrize("level", SCALES["ghosting"].levels)
@pytest.mark.parametrize(("slices", "phase"), [("z", "y"), ("y", "z"), ("x", "z")])
def test_ghosts_are_lines_of_k_space_along_the_phase_axis(level, slices, phase):
    volume, axis = scan(SLICES[slices]), AXIS[phase]
    lines = np.moveaxis(np.fft.fftshift(np.fft.fftn(volume.array.astype(np.float64))), axis, 0)
    middle = lines[len(lines) // 2].copy()
    lines[::4] *= 1 - level
    lines[len(lines) // 2] = middle
    expected = np.fft.ifftn(np.fft.ifftshift(np.moveaxis(lines, 0, axis))).real
    np.testing.assert_allclose(degraded(volume, "ghosting", level, chance()).array, expected, atol=0.05)


class AskedError(Exception):
    pass


@pytest.mark.parametrize("level", SCALES["motion"].levels)
def test_every_movement_is_of_so_many_mm_and_degrees(level, monkeypatch):
    def look(degrees, translation, times, _interpolation):
        raise AskedError(degrees, translation, times)

    monkeypatch.setattr(torchio, "Motion", look)
    with pytest.raises(AskedError) as asked:
        degraded(scan(), "motion", level, chance())
    degrees, moves, times = asked.value.args
    assert len(degrees) == len(moves) == len(times) == 4 and (np.diff(times) > 0).all() and 0 < times[0] < times[-1] < 1
    assert times[1] < 0.5 < times[2], "the middle of k-space lies between"
    np.testing.assert_allclose(np.linalg.norm(moves, axis=1), level)
    for turn in degrees:
        euler = sitk.Euler3DTransform()
        euler.SetRotation(*np.radians(turn).tolist())
        angle = Rotation.from_matrix(np.reshape(euler.GetMatrix(), (3, 3))).magnitude()
        assert np.degrees(angle) == pytest.approx(level)


def test_motion_turns_about_the_middle_wherever_the_scanner_put_the_origin():
    near, far = (
        degraded(scan(origin_mm=origin), "motion", 5.0, chance()).array for origin in ((0, 0, 0), (900.0, -700.0, 50.0))
    )
    assert np.array_equal(near, far)


def test_motion_keeps_the_signal_and_leaves_an_even_image_alone():
    volume = scan()
    moved = degraded(volume, "motion", 5.0, chance()).array
    assert moved.mean() == pytest.approx(volume.array.mean(), rel=1e-3)
    even = Volume(np.full_like(volume.array, 400.0), volume.geometry)
    np.testing.assert_allclose(degraded(even, "motion", 10.0, chance()).array, 400.0, rtol=1e-4)


def test_every_level_has_words():
    words = {kind: scale.said(scale.levels[1]) for kind, scale in SCALES.items()}
    assert words == {
        "motion": "2 mm, 2°", "ghosting": "0.25", "bias": "±0.2", "noise": "5%", "blur": "1 mm", "spacing": "2×"
    }  # fmt: skip
    assert all(scale.meaning and scale.axis for scale in SCALES.values())
