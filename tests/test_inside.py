"""What an image shows where the tumour lies: signal or none, and how much of it a clip would take."""

import numpy as np
import pytest
from small_volumes import anatomy, ball, grid_around

from autodls.imaging.geometry import Volume
from autodls.imaging.inside import blank_share, common_share, is_blank, nearest_voxels, roi_points, shown, tumour_box
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


def at(*indices_xyz):
    return GRID.index_to_physical(np.array(indices_xyz, dtype=float))


def with_block():
    """Noise with a block of one value, x 10 to 19, y 12 to 21, z 3 to 9."""
    image = noisy()
    image.array[3:10, 12:22, 10:20] = 5.0
    return image


@pytest.mark.parametrize(("inside", "blank"), [(20, True), (18, True), (17, False), (0, False)])
def test_nine_tenths_of_the_tumour_without_signal_are_blank(inside, blank):
    places = [(11 + number % 8, 14, 5) for number in range(inside)] + [(30, 30, 5)] * (20 - inside)
    assert is_blank(with_block(), at(*places)) == blank


@pytest.mark.parametrize("face", [(10, 15, 6), (19, 15, 6), (15, 12, 6), (15, 21, 6), (15, 15, 3), (15, 15, 9)])
def test_a_voxel_is_blank_only_where_all_six_neighbours_are_like_it(face):
    image = with_block()
    assert not is_blank(image, at(face))
    assert is_blank(image, at((15, 15, 6)))


def test_points_that_the_image_does_not_show_say_nothing():
    for image in (noisy(), Volume(np.zeros(GRID.size_xyz[::-1], dtype=np.float32), GRID)):
        assert not is_blank(image, np.array([[500.0, 0.0, 0.0]]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_image_shows_its_outermost_voxels_whole_and_nothing_beyond(axis):
    places = np.tile((np.array(GRID.size_xyz) - 1) / 2, (4, 1))
    last = GRID.size_xyz[axis] - 1
    places[:, axis] = (-0.6, -0.4, last + 0.4, last + 0.6)
    assert shown(GRID.index_to_physical(places), GRID).tolist() == [False, True, True, False]


def test_the_box_around_a_tumour_holds_its_voxels_whole():
    drawn = np.zeros(GRID.size_xyz[::-1], dtype=bool)
    drawn[6, 20, 15:17] = True
    found = GRID.physical_to_index(tumour_box(Volume(drawn, GRID)))
    np.testing.assert_allclose(found.mean(axis=0), (15.5, 20, 6), atol=1e-9)
    np.testing.assert_allclose(np.ptp(found, axis=0), np.multiply((2, 1, 1), 8 / 9), atol=1e-9)


@pytest.mark.parametrize(("shift_mm", "share"), [(0.0, 1.0), (20.0, 0.5), (60.0, 0.0)])
def test_what_two_volumes_share_is_a_share_of_the_smaller(shift_mm, share):
    small = grid_around((shift_mm, 0, 0), (10, 10, 4), (1.0, 1.0, 4.0))
    for pair in ((GRID, small), (small, GRID)):
        assert common_share(*pair) == pytest.approx(share, abs=0.06)


def test_the_share_that_percentiles_cut_off_is_measured():
    image, roi = noisy(), ball(GRID, radii_mm=(6, 6, 6))
    image.array[roi.array] = np.linspace(-3, 9, np.count_nonzero(roi.array))  # the head ends near 8
    seen = measure_sequence(image, TumourLocation.of(roi))
    above, below = (np.mean(image.array[roi.array] > seen.foreground_percentiles[-1]),
                    np.mean(image.array[roi.array] < seen.foreground_percentiles[0]))  # fmt: skip
    assert seen.clipped == pytest.approx({"above": above, "below": below})
    assert above > 0.02 < below
    image.array[ball(GRID, radii_mm=(11, 11, 14)).array] = 0.0
    blank = measure_sequence(image, TumourLocation.of(ball(GRID, radii_mm=(3, 3, 3))))
    assert (blank.is_blank, blank.roi_percentiles, blank.clipped) == (True, None, {})
