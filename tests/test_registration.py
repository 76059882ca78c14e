"""Rigid registration of one sequence to another."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from small_volumes import anatomy, grid_around, textured

from autodls.imaging.geometry import Volume, transform_points
from autodls.imaging.registration import register_rigid
from autodls.imaging.resampling import resample
from autodls.imaging.volumes import read_volume

FIXED_GRID = grid_around((0, 0, 0), (46, 52, 20), (1.0, 1.0, 3.0))
MOVING_GRID = grid_around((1, 2, 0), (48, 52, 16), (1.1, 1.0, 3.6))


def motion(degrees, shift_mm, axis=(0.0, 0.0, 1.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis)).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def after_motion(moving_grid, patient_motion, contrast=-0.8):
    """The object of `anatomy` in another contrast, scanned after the patient has moved."""
    still = anatomy(grid_around((0, 0, 0), (60, 64, 70), (1.0, 1.0, 1.0)), contrast=contrast)
    return resample(still, moving_grid, grid_to_volume=np.linalg.inv(patient_motion))


def error_mm(result, patient_motion, grid=FIXED_GRID):
    corners = grid.corners() * 0.5
    return np.abs(transform_points(result.matrix, corners) - transform_points(patient_motion, corners)).max()


@pytest.mark.parametrize(
    ("degrees", "shift_mm"), [(0.0, (4.0, 0.0, 0.0)), (6.0, (0.0, 0.0, 0.0)), (4.0, (2.0, -3.0, 2.0))]
)
def test_a_known_motion_is_found_across_contrasts(degrees, shift_mm):
    truth = motion(degrees, shift_mm)
    result = register_rigid(anatomy(FIXED_GRID), after_motion(MOVING_GRID, truth))
    assert result.accepted, result.reason
    assert error_mm(result, truth) < 1.0
    assert result.rotation_deg == pytest.approx(degrees, abs=1.0)
    assert result.information_after > result.information_before


def test_a_patient_who_lay_still_is_not_moved():
    result = register_rigid(anatomy(FIXED_GRID), after_motion(MOVING_GRID, np.eye(4)))
    assert not result.accepted
    assert "no clear gain" in result.reason
    np.testing.assert_array_equal(result.matrix, np.eye(4))


def test_a_rotation_beyond_the_limit_is_refused():
    result = register_rigid(anatomy(FIXED_GRID), after_motion(MOVING_GRID, motion(14.0, (0.0, 0.0, 0.0))))
    assert result.outcome == "refused"
    assert "exceeds 10 degrees" in result.reason
    assert result.rotation_deg > 10
    np.testing.assert_array_equal(result.matrix, np.eye(4))


def with_wrong_header(volume, by_mm):
    """The same voxels; its header puts them `by_mm` away from where they were scanned."""
    origin = tuple(np.add(volume.geometry.origin_mm, by_mm).tolist())
    return Volume(volume.array, dataclasses.replace(volume.geometry, origin_mm=origin))


LEFT, BACK, DOWN = (1, 0, 0), (-0.6, 0.64, 0.48), (0, -0.6, -0.8)


@pytest.mark.parametrize(
    ("shift_mm", "towards"), [(0, LEFT), (5, BACK), (15, DOWN), (25, LEFT), (40, BACK), (90, DOWN), (300, BACK)]
)
def test_a_wrong_header_is_found_out_or_the_sequence_is_refused(shift_mm, towards):
    """The volume is 46 mm wide, so from 25 mm on a search from the headers sees half of it, or nothing."""
    scanned = after_motion(MOVING_GRID, np.eye(4))
    truth = motion(0.0, np.multiply(towards, shift_mm))
    result = register_rigid(anatomy(FIXED_GRID), with_wrong_header(scanned, truth[:3, 3]))
    assert result.outcome == ("moved" if shift_mm else "left"), result.reason
    assert error_mm(result, truth) < 1.0
    assert result.is_far == (shift_mm > 10)


@pytest.mark.parametrize("shift_mm", [15, 25])
def test_a_patient_who_leaves_the_field_of_view_is_found_or_refused(shift_mm):
    truth = motion(0.0, (0.6 * shift_mm, -0.8 * shift_mm, 0.0))
    result = register_rigid(anatomy(FIXED_GRID), after_motion(MOVING_GRID, truth))
    assert result.outcome != "left", "the headers are not right"
    assert result.outcome == "refused" or error_mm(result, truth) < 2.0


@pytest.mark.parametrize("shift_mm", [0, 200])
def test_what_is_no_image_of_the_patient_is_not_moved(shift_mm):
    noise = textured(MOVING_GRID, np.random.default_rng(4))
    assert not register_rigid(anatomy(FIXED_GRID), with_wrong_header(noise, (shift_mm, 0, 0))).accepted


@pytest.mark.parametrize("axes", [(1,), (0, 1)])
def test_voxels_in_another_order_than_the_header_says_are_refused(axes):
    scanned = after_motion(MOVING_GRID, np.eye(4))
    flipped = Volume(np.ascontiguousarray(np.flip(scanned.array, axes)), scanned.geometry)
    assert register_rigid(anatomy(FIXED_GRID), with_wrong_header(flipped, (200, 0, 0))).outcome == "refused"


def test_the_same_volumes_give_the_same_matrix():
    moving = after_motion(MOVING_GRID, motion(3.0, (1.0, 2.0, 0.0)))
    first, second = (register_rigid(anatomy(FIXED_GRID), moving) for _ in range(2))
    np.testing.assert_array_equal(first.matrix, second.matrix)


def test_real_sequences_moved_by_hand_are_brought_back(shared_data):
    folder = shared_data / "lgg_ht" / "imagesTr"
    fixed, moving = (read_volume(folder / f"TCGA_HT_7602_000{channel}.nii.gz") for channel in (1, 0))
    assert not register_rigid(fixed, moving).accepted
    truth = motion(3.0, (4.0, -2.0, 0.0))
    moved = resample(moving, moving.geometry, grid_to_volume=np.linalg.inv(truth))
    result = register_rigid(fixed, moved)
    assert result.accepted
    assert error_mm(result, truth, fixed.geometry) < 1.5
