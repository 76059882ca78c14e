"""ROIs made smaller, larger and moved by millimetres: against analytic balls, SimpleITK, and the laws of morphology."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from small_volumes import ball, grid_around, lumps, oblique, points_of, random_grid

from autodls.errors import ArgumentError
from autodls.imaging.geometry import Volume
from autodls.imaging.perturbation import dilate, erode, shift

SEEDS = st.integers(0, 10_000)


def centre_mm(roi):
    return points_of(roi.geometry)[roi.array].mean(axis=0)


def volume_mm3(roi):
    return roi.array.sum() * np.prod(roi.geometry.spacing_mm)


def random_roi(seed):
    chance = np.random.default_rng(seed)
    return lumps(random_grid(chance, degrees=25.0), chance)


@pytest.mark.parametrize("radius_mm", [1.0, 2.0, 4.0, 8.0])
def test_a_ball_on_fine_voxels_gets_the_radius_it_should(radius_mm):
    grid = grid_around((5.0, -3.0, 40.0), (60, 60, 60), (1.0, 1.0, 1.0))
    roi = ball(grid, (5.0, -3.0, 40.0), (14.0,) * 3)
    for changed, wanted_mm in ((erode(roi, radius_mm), 14 - radius_mm), (dilate(roi, radius_mm), 14 + radius_mm)):
        radius = (3 * volume_mm3(changed.roi) / (4 * np.pi)) ** (1 / 3)
        assert radius == pytest.approx(wanted_mm, abs=0.5)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_morphology_is_that_of_simpleitk_on_cubes(radius):
    roi = lumps(grid_around((0, 0, 0), (24, 26, 20), (1.0, 1.0, 1.0)), np.random.default_rng(radius))
    image = sitk.GetImageFromArray(roi.array.astype(np.uint8))
    reach = np.indices((2 * radius + 1,) * 3) - radius
    kernel = (reach**2).sum(axis=0) <= radius**2
    framed = sitk.ConstantPad(image, [radius + 1] * 3, [radius + 1] * 3, 0)
    distance = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(framed, squaredDistance=True, useImageSpacing=True))
    inner = (slice(radius + 1, -radius - 1),) * 3
    assert kernel.sum() > 6
    assert (dilate(roi, radius).roi.array == (distance[inner] <= radius**2)).all()
    eroded = ndimage.binary_erosion(roi.array, kernel)
    assert eroded.any()
    assert (erode(roi, radius).roi.array == eroded).all()


def test_a_step_shorter_than_a_slice_is_thick_stays_in_the_slice():
    roi = ball(grid_around((0, 0, 0), (34, 34, 11), (1.0, 1.0, 5.0)), radii_mm=(10.0, 10.0, 1e6))
    roi.array[:3] = roi.array[8:] = False
    slices = np.flatnonzero(roi.array.any(axis=(1, 2)))
    for changed in (erode(roi, 4.9), dilate(roi, 4.9)):
        assert (np.flatnonzero(changed.roi.array.any(axis=(1, 2))) == slices).all()
    assert np.flatnonzero(dilate(roi, 5.0).roi.array.any(axis=(1, 2))).size == slices.size + 2
    assert np.flatnonzero(erode(roi, 5.0).roi.array.any(axis=(1, 2))).size == slices.size - 2


def test_nothing_left_is_none_with_a_reason():
    roi = ball(grid_around((0, 0, 0), (20, 20, 20), (1.0, 1.0, 1.0)), radii_mm=(4.0,) * 3)
    assert erode(roi, 5.0).roi is None
    assert erode(roi, 5.0).reason == "erosion by 5 mm leaves nothing of the ROI"
    assert shift(roi, (0.0, 50.0, 0.5)).roi is None
    assert shift(roi, (0.0, 50.0, 0.5)).reason == "a shift by (0, 50, 0.5) mm leaves nothing of the ROI in the image"


def test_what_lies_beyond_the_image_is_outside():
    full = Volume(np.ones((5, 5, 5), dtype=bool), grid_around((0, 0, 0), (5, 5, 5), (1.0, 1.0, 1.0)))
    assert erode(full, 1.0).roi.array.sum() == 27
    assert dilate(full, 3.0).roi.array.all()
    assert shift(full, (1.0, 0.0, 0.0)).roi.array.sum() == 100


@pytest.mark.parametrize("vector_mm", [(3.0, 0.0, 0.0), (0.0, -4.0, 0.0), (0.0, 0.0, 8.0), (-2.0, 5.0, -4.0)])
def test_whole_voxels_are_moved_exactly(vector_mm):
    roi = ball(grid_around((0, 0, 0), (40, 40, 15), (1.0, 1.0, 4.0)), (1.0, 0.0, 0.5), (8.0, 6.0, 9.0))
    x, y, z = (round(part / side) for part, side in zip(vector_mm, (1.0, 1.0, 4.0), strict=True))
    assert (shift(roi, vector_mm).roi.array == np.roll(roi.array, (z, y, x), (0, 1, 2))).all()


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.tuples(*[st.floats(-10, 10)] * 3))
def test_a_shift_moves_the_centre_by_its_vector_on_oblique_grids(seed, vector_mm):
    direction = oblique(np.eye(3), 30.0, np.random.default_rng(seed))
    grid = grid_around((10.0, -20.0, 30.0), (50, 50, 20), (1.0, 1.2, 3.0), direction)
    roi = ball(grid, (10.0, -20.0, 30.0), (11.0, 9.0, 12.0))
    moved = shift(roi, vector_mm).roi
    assert centre_mm(moved) - centre_mm(roi) == pytest.approx(vector_mm, abs=0.8)
    assert volume_mm3(moved) == pytest.approx(volume_mm3(roi), rel=0.12)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.floats(0, 6), st.floats(0, 6))
def test_laws_of_morphology_on_any_grid(seed, first_mm, second_mm):
    roi = random_roi(seed)
    low, high = sorted((first_mm, second_mm))
    assert (erode(roi, 0.0).roi.array == roi.array).all()
    assert (dilate(roi, 0.0).roi.array == roi.array).all()
    nested = [found.roi for found in (erode(roi, high), erode(roi, low)) if found.roi]
    nested += [roi, dilate(roi, low).roi, dilate(roi, high).roi]
    for smaller, larger in itertools.pairwise(nested):
        assert not (smaller.array & ~larger.array).any()
    for found in nested:
        assert found.geometry == roi.geometry


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.floats(0.5, 6))
def test_dilation_reaches_what_is_within_the_radius(seed, radius_mm):
    roi = random_roi(seed)
    points = points_of(roi.geometry)
    added = points[dilate(roi, radius_mm).roi.array & ~roi.array]
    left = points[~dilate(roi, radius_mm).roi.array]
    for places, within in ((added, True), (left, False)):
        nearest = [np.linalg.norm(points[roi.array] - place, axis=1).min() for place in places[:40]]
        assert all((apart <= radius_mm + 1e-6) == within or abs(apart - radius_mm) < 1e-6 for apart in nearest)


@pytest.mark.parametrize("radius_mm", [-1.0, float("nan"), float("inf")])
def test_wrong_arguments(radius_mm):
    roi = ball(grid_around((0, 0, 0), (9, 9, 9), (1.0, 1.0, 1.0)), radii_mm=(3.0,) * 3)
    for change in (erode, dilate):
        with pytest.raises(ArgumentError, match=r"radius of .* mm: must be 0 or more"):
            change(roi, radius_mm)
    with pytest.raises(ArgumentError, match="ROI is empty"):
        dilate(Volume(np.zeros_like(roi.array), roi.geometry), 1.0)
    with pytest.raises(ArgumentError, match="must be three finite numbers"):
        shift(roi, (0.0, float("nan"), 0.0))
