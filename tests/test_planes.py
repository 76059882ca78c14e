"""The planes of the largest tumour area, held against resampling the whole ROI."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from small_volumes import ORIENTATIONS, ball, grid_around, lumps, oblique, random_grid

from autodls.errors import ArgumentError, DatasetError
from autodls.imaging.geometry import Geometry, Volume, sample_roi
from autodls.imaging.itk import to_sitk
from autodls.imaging.resampling import resample
from autodls.imaging.volumes import read_roi
from autodls.preprocessing.planes import PLANES, choose_planes, find_planes, isotropic_frame
from autodls.preprocessing.shown import LEFT_OUT, Shown, left_out

NORMAL = {"axial": 0, "coronal": 1, "sagittal": 2}
TIES_MM = (0.4, 0.8, 2.0, 4.0)
NO_TIES_MM = (0.9765625, 1.1, 1.3, 3.27, 5.1)


def stored_as(order, roi):
    """The ROI stored with axes of this order, by SimpleITK."""
    turned = sitk.DICOMOrient(to_sitk(roi), order)
    grid = Geometry(turned.GetSize(), turned.GetSpacing(), turned.GetOrigin(), turned.GetDirection())
    return Volume(sitk.GetArrayFromImage(turned) != 0, grid)


def largest_part(roi):
    """The largest connected part, by SimpleITK; of equal ones that with the first voxel in LPS order."""
    turned = stored_as("LPS", roi)
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(to_sitk(turned), True))
    return Volume(sitk.GetArrayFromImage(parts) == 1, turned.geometry)


def by_full_volume(roi, spacing_mm, nudge_voxels=0.0):
    """Areas of all planes and the resampled mask of the largest part, by resampling all of it with SimpleITK.

    Where a sample lies half way between two voxels, ITK's own rounding of physical coordinates decides; `nudge_voxels`
    moves every sample a little up so that the upper voxel is taken, which is what `find_planes` promises.
    """
    frame = isotropic_frame(roi.geometry, spacing_mm)
    shift = frame.cosines @ np.full(3, nudge_voxels)
    moved = dataclasses.replace(frame, origin_mm=tuple((np.asarray(frame.origin_mm) + shift).tolist()))
    mask = resample(largest_part(roi), moved, "nearest").array != 0
    return {name: mask.sum(axis=tuple({0, 1, 2} - {axis})) for name, axis in NORMAL.items()}, mask, frame


def assert_same_planes(roi, spacing_mm, nudge_voxels=0.0, side=9):
    areas, mask, frame = by_full_volume(roi, spacing_mm, nudge_voxels)
    planes = find_planes(roi.array, roi.geometry, spacing_mm, side * spacing_mm)
    assert tuple(plane.name for plane in planes) == PLANES
    for plane in planes:
        axis, of_planes = NORMAL[plane.name], areas[plane.name]
        assert plane.area_mm2 == pytest.approx(of_planes.max() * spacing_mm**2)
        if of_planes.max() == 0:
            continue
        assert of_planes[plane.index] == of_planes.max()
        picture = np.take(mask, plane.index, axis=axis)
        spans = [np.flatnonzero(picture.any(axis=other))[[0, -1]] for other in (1, 0)]
        corners = frame.physical_to_index(plane.points_mm()[[0, -1], [0, -1]])
        kept = [other for other in (2, 1, 0) if other != 2 - axis]
        for index, (low, high) in zip(kept, spans, strict=True):
            start, stop = sorted(corners[:, index])
            assert start == pytest.approx((low + high - side + 1) // 2, abs=1e-6)
            assert stop - start == pytest.approx(side - 1)
        np.testing.assert_allclose(corners[:, 2 - axis], plane.index, atol=1e-6)


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


def test_of_equal_areas_the_middle_of_the_longest_run_is_taken():
    grid = Geometry((10, 10, 12), (1.0, 1.0, 1.0))
    roi = np.zeros((12, 10, 10), dtype=bool)
    roi[3:7, 2:5, 4:9] = True
    axial, sagittal, coronal = find_planes(roi, grid, 1.0, 5.0)
    assert (axial.index, sagittal.index, coronal.index) == (4, 6, 3)
    assert (axial.area_mm2, sagittal.area_mm2, coronal.area_mm2) == (15.0, 12.0, 20.0)
    roi[7] = roi[6] & (np.arange(10) < 8)
    roi[8:11] = roi[6]
    assert find_planes(roi, grid, 1.0, 5.0)[0].index == 4  # 3 to 6 are four, 8 to 10 are three


@pytest.mark.parametrize("thick_mm", [3.0, 4.0, 5.0, 5.5, 6.6])
@pytest.mark.parametrize("order", ["LPS", "RAI", "PSL", "ILA"])
def test_the_axial_plane_of_thick_slices_is_an_acquired_one(order, thick_mm):
    """It was the lowest of the samples that take one slice: up to half a slice away, between two acquired ones."""
    grid = grid_around((4.0, -7.0, 11.0), (40, 44, 14), (0.8, 0.8, thick_mm))
    roi = ball(grid, grid.index_to_physical((19, 22, 6)), (9.0, 8.0, 2.2 * thick_mm))
    stored = stored_as(order, roi)
    axial = find_planes(stored.array, stored.geometry, 1.0, 30.0)[0]
    slice_mm = grid.index_to_physical((0, 0, 6))[2]
    lattice_mm = 0.5 if thick_mm % 1 else 0.0  # samples lie a whole mm apart, so that no nearer one may exist
    assert abs(axial.origin_mm[2] - slice_mm) <= lattice_mm + 1e-9


def test_two_thick_slices_of_one_area_take_an_acquired_one():
    grid = Geometry((30, 30, 10), (1.0, 1.0, 5.0))
    roi = np.zeros((10, 30, 30), dtype=bool)
    roi[4:6, 10:20, 8:16] = True
    assert find_planes(roi, grid, 1.0, 20.0)[0].origin_mm[2] == 20.0


def two_lesions(first_mm=(-45.0, 0.0, 0.0), second_mm=(45.0, 10.0, 18.0), radii_mm=((9.0, 9.0, 9.0), (7.0, 7.0, 7.0))):
    grid = grid_around((0.0, 0.0, 0.0), (130, 70, 40), (1.0, 1.0, 2.0))
    lesions = [ball(grid, centre, radii) for centre, radii in zip((first_mm, second_mm), radii_mm, strict=True)]
    return Volume(lesions[0].array | lesions[1].array, grid), lesions


def test_of_two_lesions_90_mm_apart_the_larger_one_fills_all_planes():
    """Between both, a crop of 60 mm holds neither: two of three planes were without tumour, and none said so."""
    roi, (larger, smaller) = two_lesions()
    choice = choose_planes(roi.array, roi.geometry, 1.0, 60.0, 52.5)
    for plane in choice.planes:
        middle = plane.points_mm()[30, 30]
        assert np.linalg.norm(middle - (-45.0, 0.0, 0.0)) < 2.0
        assert sample_roi(larger, plane.points_mm()).sum() == plane.area_mm2
        assert not sample_roi(smaller, plane.points_mm()).any()
    shown = choice.shown
    assert (shown.parts, shown.unseen, shown.is_whole) == (2, 1, False)
    assert shown.unseen_ml == pytest.approx(smaller.array.sum() * 2 / 1000)
    assert shown.volume_ml == pytest.approx(roi.array.sum() * 2 / 1000)
    assert shown.in_plane == (1, 1, 1)  # the other one lies in none of these planes
    assert left_out(shown) == f"{LEFT_OUT}: 1 of its 2 parts (1.38 of 4.34 ml) lies in none of the three pictures"


def test_the_larger_lesion_is_chosen_also_where_the_smaller_one_is_wider_in_a_plane():
    flat = ((8.0, 8.0, 16.0), (12.0, 12.0, 3.0))
    roi, (larger, _) = two_lesions(radii_mm=flat)
    axial = find_planes(roi.array, roi.geometry, 1.0, 60.0)[0]
    assert sample_roi(larger, axial.points_mm()).any()


def test_lesions_of_one_size_are_told_apart_by_their_place_however_the_image_is_stored():
    lesion = ((6.0, 6.0, 6.0),) * 2
    roi, (first, _) = two_lesions(second_mm=(44.0, 10.0, 18.0), radii_mm=lesion)
    assert len({int(part.array.sum()) for part in two_lesions(second_mm=(44.0, 10.0, 18.0), radii_mm=lesion)[1]}) == 1
    for order in ("LPS", "RAI", "SPL", "IAR"):
        stored = stored_as(order, roi)
        for plane in find_planes(stored.array, stored.geometry, 1.0, 60.0):
            assert sample_roi(first, plane.points_mm()).any()


def test_a_crop_that_cuts_the_tumour_says_how_much_of_it_is_left():
    grid = Geometry((80, 60, 40), (1.0, 1.0, 1.0))
    roi = np.zeros((40, 60, 80), dtype=bool)
    roi[15:25, 20:30, 20:60] = True  # 40 mm from right to left, 10 mm otherwise
    roi[19, 24, 75] = True
    choice = choose_planes(roi, grid, 1.0, 40.0, 20.0)
    axial, sagittal, coronal = choice.shown.in_plane
    assert axial == pytest.approx(200 / 401)  # of both parts
    assert sagittal == 1
    assert coronal == pytest.approx(200 / 401)
    assert (choice.shown.parts, choice.shown.unseen, choice.shown.unseen_ml) == (2, 1, 0.001)
    assert left_out(choice.shown) == (
        f"{LEFT_OUT}: axial shows 49%, coronal shows 49% of its area in the plane and 1 of its 2 parts (0.001 of 4 ml) "
        "lies in none of the three pictures"
    )
    whole = choose_planes(roi, grid, 1.0, 120.0, 120.0).shown
    assert whole.is_whole
    assert left_out(whole) is None


@pytest.mark.parametrize(("share", "said"), [(0.9996, "99%"), (0.004, "under 1%"), (0.0, "0%"), (0.5, "50%")])
def test_a_share_is_not_rounded_to_the_whole_or_to_nothing(share, said):
    assert f"shows {said} of" in left_out(Shown((1.0, share, 1.0), 1, 0, 2.0, 0.0))


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
    np.testing.assert_allclose(axial.points_mm()[5, 5], (18.0, 1.0, 10.0))
    np.testing.assert_allclose(axial.points_mm()[0, 0], (13.0, -4.0, 10.0))


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
