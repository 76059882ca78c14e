"""The planes of the largest tumour area, held against resampling the whole ROI."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_volumes import ORIENTATIONS, ball, grid_around, lumps, oblique, random_grid

from autodls.errors import ArgumentError, DatasetError
from autodls.imaging.geometry import Geometry
from autodls.imaging.resampling import resample
from autodls.imaging.volumes import read_roi
from autodls.preprocessing.planes import PLANES, find_planes, isotropic_frame

NORMAL = {"axial": 0, "coronal": 1, "sagittal": 2}
TIES_MM = (0.4, 0.8, 2.0, 4.0)
NO_TIES_MM = (0.9765625, 1.1, 1.3, 3.27, 5.1)


def by_full_volume(roi, spacing_mm, nudge_voxels=0.0):
    """Index and bounding box (rows, columns) of each plane, by resampling the whole ROI with SimpleITK.

    Where a sample lies half way between two voxels, ITK's own rounding of physical coordinates decides; `nudge_voxels`
    moves every sample a little up so that the upper voxel is taken, which is what `find_planes` promises.
    """
    frame = isotropic_frame(roi.geometry, spacing_mm)
    shift = frame.cosines @ np.full(3, nudge_voxels)
    moved = dataclasses.replace(frame, origin_mm=tuple((np.asarray(frame.origin_mm) + shift).tolist()))
    mask = resample(roi, moved, "nearest").array
    found = {}
    for name, axis in NORMAL.items():
        areas = mask.sum(axis=tuple(other for other in range(3) if other != axis))
        picture = np.take(mask, areas.argmax(), axis=axis)
        spans = [np.flatnonzero(picture.any(axis=other)) for other in (1, 0)]
        found[name] = (int(areas.argmax()), int(areas.max()), [(span[0], span[-1]) for span in spans if span.size])
    return found, frame


def assert_same_planes(roi, spacing_mm, nudge_voxels=0.0, side=9):
    expected, frame = by_full_volume(roi, spacing_mm, nudge_voxels)
    planes = find_planes(roi.array, roi.geometry, spacing_mm, side * spacing_mm)
    assert tuple(plane.name for plane in planes) == PLANES
    for plane in planes:
        index, samples, spans = expected[plane.name]
        assert plane.area_mm2 == pytest.approx(samples * spacing_mm**2)
        if samples == 0:
            continue
        assert plane.index == index
        corners = frame.physical_to_index(plane.points_mm()[[0, -1], [0, -1]])
        kept = [axis for axis in (2, 1, 0) if axis != 2 - NORMAL[plane.name]]
        for axis, (low, high) in zip(kept, spans, strict=True):
            start, stop = sorted(corners[:, axis])
            assert start == pytest.approx((low + high - side + 1) // 2, abs=1e-6)
            assert stop - start == pytest.approx(side - 1)
        np.testing.assert_allclose(corners[:, 2 - NORMAL[plane.name]], index, atol=1e-6)


@pytest.mark.parametrize("orientation", range(48))
def test_planes_equal_full_resampling_in_every_orientation(orientation):
    chance = np.random.default_rng(orientation)
    for degrees in (0.0, 10.0, 34.0):
        grid = random_grid(chance, ORIENTATIONS[orientation], degrees, NO_TIES_MM)
        assert_same_planes(lumps(grid, chance), spacing_mm=float(chance.choice([0.7, 1.0, 1.9])))


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_planes_equal_full_resampling_at_ties(seed):
    chance = np.random.default_rng(seed)
    grid = random_grid(chance, degrees=float(chance.uniform(0, 20)), spacings_mm=TIES_MM + NO_TIES_MM)
    assert_same_planes(lumps(grid, chance), spacing_mm=1.0, nudge_voxels=1e-7)


def test_planes_of_real_rois_equal_full_resampling(shared_data):
    paths = sorted((shared_data / "sts8").glob("*/*_mask.nii.gz"))
    assert len(paths) == 16
    for path in paths:
        assert_same_planes(read_roi(path, frozenset({1})), spacing_mm=1.0, side=100)


def test_equal_areas_take_the_lowest_index():
    grid = Geometry((10, 10, 10), (1.0, 1.0, 1.0))
    roi = np.zeros((10, 10, 10), dtype=bool)
    roi[3:7, 2:5, 4:9] = True
    axial, sagittal, coronal = find_planes(roi, grid, 1.0, 5.0)
    assert (axial.index, sagittal.index, coronal.index) == (3, 4, 2)
    assert (axial.area_mm2, sagittal.area_mm2, coronal.area_mm2) == (15.0, 12.0, 20.0)


def test_pictures_lie_as_radiologists_read_them():
    grid = grid_around((0.0, 0.0, 0.0), direction=oblique(ORIENTATIONS[29], 0, np.random.default_rng(0)))
    roi = ball(grid, radii_mm=(7.0, 7.0, 9.0))
    axial, sagittal, coronal = find_planes(roi.array, grid, 1.0, 20.0)
    left, posterior, inferior = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)
    for plane, rows, columns in (
        (axial, posterior, left),
        (sagittal, inferior, posterior),
        (coronal, inferior, left),
    ):
        np.testing.assert_allclose(plane.row_step_mm, rows, atol=1e-12)
        np.testing.assert_allclose(plane.column_step_mm, columns, atol=1e-12)


def test_the_crop_is_centred_on_the_tumour_and_may_leave_the_frame():
    grid = Geometry((20, 20, 20), (1.0, 1.0, 1.0))
    roi = np.zeros((20, 20, 20), dtype=bool)
    roi[9:12, 0:3, 17:20] = True
    axial = find_planes(roi, grid, 1.0, 11.0)[0]
    np.testing.assert_allclose(axial.points_mm()[5, 5], (18.0, 1.0, 9.0))
    np.testing.assert_allclose(axial.points_mm()[0, 0], (13.0, -4.0, 9.0))


@pytest.mark.parametrize("voxel", [(3, 3, 3), (1, 9, 5), (9, 9, 9)])
def test_a_tumour_between_all_samples_is_shown_at_its_place(voxel):
    grid = Geometry((10, 10, 10), (0.5, 0.5, 0.5))
    roi = np.zeros((10, 10, 10), dtype=bool)
    roi[voxel] = True
    for plane in find_planes(roi, grid, 1.0, 3.0):
        assert plane.area_mm2 == 0
        assert np.abs(plane.points_mm()[1, 1] - np.array(voxel[::-1]) * 0.5).max() <= 0.5


def test_an_empty_roi_and_an_empty_crop_are_refused():
    grid = Geometry((4, 4, 4), (1.0, 1.0, 1.0))
    with pytest.raises(DatasetError, match="empty"):
        find_planes(np.zeros((4, 4, 4), dtype=bool), grid, 1.0, 4.0)
    with pytest.raises(ArgumentError, match="crop of"):
        find_planes(np.ones((4, 4, 4), dtype=bool), grid, 1.0, 0.5)


def borders(plane):
    """First corner of a picture and its two sides, mm."""
    sides = [np.asarray(plane.row_step_mm) * plane.size[0], np.asarray(plane.column_step_mm) * plane.size[1]]
    first = np.asarray(plane.origin_mm) - (np.asarray(plane.row_step_mm) + np.asarray(plane.column_step_mm)) / 2
    return np.stack([first, *sides])


@given(st.integers(4, 40), st.integers(4, 40))
def test_resizing_keeps_the_borders_of_a_picture(before, after):
    """Hence a heat map of any size lies where the picture lies."""
    grid = Geometry((4, 4, 4), (1.0, 1.0, 1.0), (3.0, -2.0, 9.0))
    plane = find_planes(np.ones((4, 4, 4), dtype=bool), grid, 0.7, 0.7 * before)[1]
    resized = plane.resized(after)
    assert resized.size == (after, after)
    np.testing.assert_allclose(borders(resized), borders(plane), atol=1e-9)
