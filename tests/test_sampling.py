"""Samples of a plane, held against SimpleITK's B-spline resampling of the whole volume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation
from small_volumes import ball, grid_around, oblique, random_grid, textured

from autodls.errors import ArgumentError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.resampling import resample
from autodls.imaging.volumes import read_roi, read_volume
from autodls.preprocessing.planes import find_planes, isotropic_frame
from autodls.preprocessing.sampling import resize, sample_points
from autodls.preprocessing.spline import cardinal_weights

TOLERANCE = 1e-5


def largest_difference(volume, roi, spacing_mm, crop_mm, matrix=None):
    """Largest difference from full-volume resampling, as a share of the range; and how many samples were compared."""
    frame = isotropic_frame(roi.geometry, spacing_mm)
    full = resample(volume, frame, outside=np.nan, grid_to_volume=matrix).array
    worst, compared = 0.0, 0
    for plane in find_planes(roi.array, roi.geometry, spacing_mm, crop_mm):
        points = plane.points_mm()
        values = sample_points(volume, points, matrix)
        index = np.rint(frame.physical_to_index(points)).astype(int)
        inside = np.all((index >= 0) & (index < frame.size_xyz), axis=-1)
        expected = full[tuple(index[inside].T[::-1])]
        near = points if matrix is None else points @ matrix[:3, :3].T + matrix[:3, 3]
        places = volume.geometry.physical_to_index(near)[inside]
        size = np.array(volume.geometry.size_xyz)
        border = np.minimum(np.abs(places + 0.5), np.abs(places - size + 0.5)).min(axis=-1) < 1e-6
        differs = np.isnan(values[inside]) != np.isnan(expected)
        assert not (differs & ~border).any()
        both = ~np.isnan(values[inside]) & ~np.isnan(expected)
        worst = max(worst, float(np.abs(values[inside] - expected)[both].max(initial=0.0)))
        compared += int(both.sum())
    return worst / float(np.ptp(volume.array)), compared


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("smooth_voxels", [0.0, 1.0])
def test_samples_equal_full_resampling_on_different_oblique_grids(seed, smooth_voxels):
    chance = np.random.default_rng(seed)
    turned = oblique(np.eye(3), chance.uniform(0, 30), chance)
    roi = ball(grid_around((0, 0, 0), (48, 40, 12), (1.1, 1.1, 4.0), turned), chance.normal(size=3) * 4)
    other = grid_around(
        chance.normal(size=3) * 4, (56, 60, 14), (0.9, 0.8, 3.7), oblique(np.eye(3), chance.uniform(0, 40), chance)
    )
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(chance.normal(size=3) * 0.05).as_matrix()
    matrix[:3, 3] = chance.normal(size=3) * 2
    volume = textured(other, chance, smooth_voxels)
    for motion in (None, matrix):
        share, compared = largest_difference(volume, roi, 1.0, 24.0, motion)
        assert share < TOLERANCE
        assert compared > 600


def test_samples_of_real_mr_and_pet_equal_full_resampling(shared_data):
    for folder in sorted((shared_data / "sts8").glob("STS_*"))[::4]:
        roi = read_roi(folder / "MR_T1_mask.nii.gz", frozenset({1}))
        for name in ("MR_T1_image.nii.gz", "PET_image.nii.gz"):
            share, compared = largest_difference(read_volume(folder / name), roi, 1.0, 60.0)
            assert share < TOLERANCE
            assert compared > 2000


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_a_constant_volume_has_constant_samples_inside_and_none_outside(seed):
    chance = np.random.default_rng(seed)
    grid = random_grid(chance, degrees=20.0)
    volume = Volume(np.full(grid.size_xyz[::-1], 7.0, dtype=np.float32), grid)
    index = chance.uniform(-3, 27, (50, 3))
    inside = np.all((index >= -0.5) & (index < np.array(grid.size_xyz) - 0.5), axis=1)
    values = sample_points(volume, grid.index_to_physical(index))
    np.testing.assert_allclose(values[inside], 7.0, rtol=1e-6)
    assert np.isnan(values[~inside]).all()


def test_voxel_centres_give_back_the_voxels():
    volume = textured(Geometry((30, 31, 32), (0.5, 0.6, 0.7)), np.random.default_rng(0), 0.0)
    z, y, x = np.indices((5, 5, 5)) + 12
    values = sample_points(volume, volume.geometry.index_to_physical(np.stack([x, y, z], axis=-1)))
    np.testing.assert_allclose(values, volume.array[12:17, 12:17, 12:17], rtol=2e-5)


@pytest.mark.parametrize(("index", "inside"), [(-0.5, True), (-0.51, False), (9.49, True), (9.5, False)])
def test_the_border_is_that_of_itk(index, inside):
    volume = textured(Geometry((10, 10, 10), (2.0, 2.0, 2.0)), np.random.default_rng(0))
    value = sample_points(volume, volume.geometry.index_to_physical([[5.0, index, 5.0]]))
    assert np.isfinite(value[0]) == inside


@pytest.mark.parametrize("degrees", [0.0, 10.0])
def test_voxels_beyond_reach_are_never_read(degrees):
    """NaN in one voxel of a filtered block would reach every sample: so the cost does not grow with the volume."""
    chance = np.random.default_rng(0)
    grid = grid_around((0, 0, 0), (90, 80, 60), (1.0, 1.0, 1.5), oblique(np.eye(3), degrees, chance))
    points = find_planes(ball(grid_around((0, 0, 0))).array, grid_around((0, 0, 0)), 1.0, 16.0)[0].points_mm()
    volume = textured(grid, chance)
    places = grid.physical_to_index(points).reshape(-1, 3)[:, ::-1]
    low, high = np.floor(places.min(axis=0)).astype(int), np.ceil(places.max(axis=0)).astype(int)
    near = tuple(slice(first - 16, last + 17) for first, last in zip(low, high, strict=True))
    spoilt = np.full_like(volume.array, np.nan)
    spoilt[near] = volume.array[near]
    assert np.isnan(spoilt).mean() > 0.4
    np.testing.assert_array_equal(sample_points(Volume(spoilt, grid), points), sample_points(volume, points))


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_planes_along_the_axes_and_single_points_take_the_same_values(axes, dtype):
    """The same points, once as a plane that is interpolated axis by axis, once one after the other."""
    volume = textured(grid_around((0, 0, 0), (30, 26, 22), (0.7, 0.9, 1.3)), np.random.default_rng(1), 0.3)
    volume = Volume(volume.array.clip(0, 255).astype(dtype), volume.geometry)
    rows, columns, normal = axes
    points = np.zeros((40, 36, 3))
    points[..., rows] = np.linspace(-14, 14, 40)[:, None]
    points[..., columns] = np.linspace(-13, 15, 36)
    points[..., normal] = 0.37
    plane, single = sample_points(volume, points), sample_points(volume, points.reshape(-1, 3)).reshape(40, 36)
    np.testing.assert_array_equal(np.isnan(plane), np.isnan(single))
    assert 0 < np.isnan(plane).mean() < 0.9
    np.testing.assert_allclose(plane, single, atol=1e-6 * float(np.ptp(volume.array)), equal_nan=True)


@given(st.integers(2, 40), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_a_row_of_any_length_is_interpolated_as_scipy_does(size, seed):
    chance = np.random.default_rng(seed)
    row, places = chance.normal(size=size), chance.uniform(-0.5, size - 0.5, 30)
    voxels, weights = cardinal_weights(places, size)
    expected = ndimage.map_coordinates(row, [places], order=3, mode="mirror")
    np.testing.assert_allclose((row[voxels] * weights).sum(axis=1), expected, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(5, 10), (10, 5), (7, 16), (112, 256), (9, 9)])
def test_resizing_a_ramp_samples_it_at_pixel_centres(before, after):
    ramp = np.tile(np.arange(before, dtype=np.float32), (2, before, 1))
    centres = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    resized = resize(ramp, after)
    assert resized.shape == (2, after, after)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, np.broadcast_to(centres, resized.shape), atol=1e-5 * before)


def test_pictures_that_are_not_square_are_refused():
    with pytest.raises(ArgumentError, match="3 x 4"):
        resize(np.zeros((1, 3, 4), dtype=np.float32), 5)
