"""What an image shows where the tumour lies: signal or none, and how much of it a clip would take."""

import numpy as np
import pytest
from small_volumes import anatomy, ball, grid_around

from autodls.imaging.geometry import Volume
from autodls.imaging.inside import blank_share, is_blank, nearest_voxels, roi_points
from autodls.planning.measure import TumourLocation, measure_sequence

GRID = grid_around((0, 0, 0), (40, 44, 14), (1.0, 1.0, 4.0))
CHANCE = np.random.default_rng(0)


def noisy():
    image = anatomy(GRID)
    return Volume(image.array + CHANCE.normal(0, 0.05, image.array.shape).astype(np.float32), GRID)


@pytest.mark.parametrize("filling", [0.0, -1024.0, 7.5])
def test_padding_of_any_value_is_blank_and_noise_is_not(filling):
    image, roi = noisy(), ball(GRID, radii_mm=(8, 8, 8))
    points = roi_points(roi)
    assert blank_share(image.array, nearest_voxels(image, points)) == 0.0
    around = ball(GRID, radii_mm=(11, 11, 14)).array
    padded = Volume(np.where(around, filling, image.array).astype(np.float32), GRID)
    assert blank_share(padded.array, nearest_voxels(padded, points)) == 1.0
    assert is_blank(padded, points)
    left = around & (np.arange(40) < 20)
    half = Volume(np.where(left, filling, image.array).astype(np.float32), GRID)
    assert 0.3 < blank_share(half.array, nearest_voxels(half, points)) < 0.6
    assert not is_blank(half, points)


def test_a_tumour_of_one_voxel_is_judged_by_its_neighbours():
    image, roi = noisy(), np.zeros(GRID.size_xyz[::-1], dtype=bool)
    roi[7, 20, 20] = True
    points = roi_points(Volume(roi, GRID))
    assert not is_blank(image, points)
    image.array[6:9, 19:22, 19:22] = 3.0
    assert is_blank(image, points)


def test_points_that_the_image_does_not_show_say_nothing():
    assert not is_blank(noisy(), np.array([[500.0, 0.0, 0.0]]))


def test_the_share_that_percentiles_cut_off_is_measured():
    image, roi = noisy(), ball(GRID, radii_mm=(6, 6, 6))
    image.array[roi.array] = np.linspace(-3, 9, np.count_nonzero(roi.array))  # the head ends near 8
    seen = measure_sequence(image, TumourLocation.of(roi))
    above, below = (np.mean(image.array[roi.array] > seen.head_percentiles[-1]),
                    np.mean(image.array[roi.array] < seen.head_percentiles[0]))  # fmt: skip
    assert seen.clipped == pytest.approx({"above": above, "below": below})
    assert above > 0.02 < below
    image.array[ball(GRID, radii_mm=(11, 11, 14)).array] = 0.0
    blank = measure_sequence(image, TumourLocation.of(ball(GRID, radii_mm=(3, 3, 3))))
    assert (blank.is_blank, blank.roi_percentiles, blank.clipped) == (True, None, {})
