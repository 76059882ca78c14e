"""Pictures painted into volumes and ROIs read on planes, on grids of every orientation."""

import numpy as np
import pytest
from small_volumes import ORIENTATIONS, ball, grid_around, lumps, points_of, random_grid

from autodls.imaging.geometry import Volume, sample_roi
from autodls.imaging.painting import paint_pictures
from autodls.imaging.parts import number_parts
from autodls.inference.explain import roi_on_planes
from autodls.preprocessing.planes import find_planes


@pytest.mark.parametrize("seed", range(24))
def test_painted_voxels_hold_the_picture_at_their_own_place(seed):
    """A picture that is linear in LPS mm must come back exactly, on any grid, straight or oblique."""
    chance = np.random.default_rng(seed)
    grid = random_grid(chance, degrees=20.0 * (seed % 2))
    roi = lumps(grid, chance)
    slope = chance.normal(size=3)
    for plane in find_planes(roi.array, grid, 1.0, 24.0):
        stored = plane.resized(31)
        offset = 1e4
        painted = paint_pictures(grid, [(stored, stored.points_mm() @ slope + offset)]).array
        touched = painted != 0
        normal = np.cross(stored.row_step_mm, stored.column_step_mm)
        normal /= np.linalg.norm(normal)
        centres = points_of(grid)[touched]
        apart_mm = (centres - stored.origin_mm) @ normal
        feet = centres - apart_mm[:, None] * normal
        from_middle = feet - stored.points_mm().mean(axis=(0, 1))
        steps = np.array([stored.row_step_mm, stored.column_step_mm])
        inside = np.all(np.abs(from_middle @ steps.T) < 11.5 * 24 / 31, axis=1)  # half a pixel from the edge
        np.testing.assert_allclose(painted[touched][inside], feet[inside] @ slope + offset, atol=1e-2)
        layers = [len(np.unique(index)) for index in np.nonzero(touched)]
        assert 1 in layers  # one layer of voxels, as the plane is parallel to the grid
        assert touched.sum() == np.prod(layers)  # without holes


@pytest.mark.parametrize("spacing_mm", [(2.0, 4.0, 2.0), (1.0, 1.0, 2.0), (4.0, 2.0, 6.0)])
@pytest.mark.parametrize("number", [0, 7, 22, 41])
def test_planes_between_two_layers_touch_the_layer_that_the_roi_is_read_from(number, spacing_mm):
    grid = grid_around((3.0, 4.0, 5.0), (20, 22, 18), spacing_mm, tuple(ORIENTATIONS[number].ravel()))
    roi = lumps(grid, np.random.default_rng(number))
    for plane in find_planes(roi.array, grid, 1.0, 16.0):
        layer = paint_pictures(grid, [(plane, np.ones(plane.size))])
        assert sample_roi(Volume(layer.array > 0, grid), plane.points_mm())[2:-2, 2:-2].all()


@pytest.mark.parametrize("seed", range(12))
def test_roi_on_a_plane_has_the_area_that_the_plane_was_chosen_for(seed):
    chance = np.random.default_rng(seed)
    grid = random_grid(chance, spacings_mm=(1.0, 2.0, 3.3, 4.0))
    roi = lumps(grid, chance)
    inner = np.zeros_like(roi.array)  # at the border of the volume a crop sees half a sample more than the frame
    inner[2:-2, 2:-2, 2:-2] = roi.array[2:-2, 2:-2, 2:-2]
    inner[3, 3, 3] |= not inner.any()
    planes = find_planes(inner, grid, 1.0, 200.0)
    largest = Volume(number_parts(inner)[0] == 1, grid)
    found = roi_on_planes(largest, planes).sum(axis=(1, 2))
    np.testing.assert_allclose(found, [plane.area_mm2 for plane in planes])


def test_painting_outside_the_grid_leaves_it_empty():
    grid = grid_around((0, 0, 0), (8, 8, 8), (1.0, 1.0, 1.0))
    away = ball(grid_around((500, 0, 0)), (500, 0, 0))
    far = find_planes(away.array, away.geometry, 1.0, 20.0)
    assert not paint_pictures(grid, [(plane, np.ones(plane.size)) for plane in far]).array.any()


def test_the_largest_value_stands_where_planes_cross():
    grid = grid_around((0, 0, 0), (20, 20, 20), (1.0, 1.0, 1.0))
    planes = find_planes(ball(grid).array, grid, 1.0, 12.0)
    painted = paint_pictures(
        grid, [(plane, np.full(plane.size, value)) for plane, value in zip(planes, (2, 5, 3), strict=True)]
    )
    values, counts = np.unique(painted.array, return_counts=True)
    assert values.tolist() == [0, 2, 3, 5]
    assert counts[3] == 144  # the sagittal plane is whole, the others lose a line each
