"""Masks whose voxels are those of their image, in another order or another box, come onto its grid; others do not."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from small_volumes import ORIENTATIONS, SPACINGS_MM, grid_around, lumps, oblique

from autodls.imaging.geometry import Geometry, Volume, lps_orientation
from autodls.imaging.itk import to_sitk
from autodls.imaging.lattice import grid_fault, onto_grid
from autodls.imaging.resampling import resample
from autodls.imaging.rois import read_roi_on
from autodls.imaging.volumes import write_volume

AXES = ["".join(word) for word in ("LPS", "RAS", "RPI", "SLP", "PIR", "ILA")]


def from_sitk(image):
    size, spacing, origin = image.GetSize(), image.GetSpacing(), image.GetOrigin()
    return Volume(sitk.GetArrayFromImage(image) > 0, Geometry(size, spacing, origin, image.GetDirection()))


@given(
    seed=st.integers(0, 10_000),
    orientation=st.integers(0, 47),
    axes=st.sampled_from(AXES),
    lower=st.lists(st.integers(-2, 2), min_size=3, max_size=3),
    upper=st.lists(st.integers(-2, 2), min_size=3, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_whatever_itk_reorients_crops_and_pads_comes_back_bit_by_bit(seed, orientation, axes, lower, upper):
    """Each axis is cut, or padded, on both sides; ITK is who made the mask, and resamples it as the reference."""
    chance = np.random.default_rng(seed)
    upper = [abs(high) if low >= 0 else -abs(high) for low, high in zip(lower, upper, strict=True)]
    grid = grid_around(
        chance.normal(size=3) * 50, (14, 12, 11), [float(step) for step in chance.choice(SPACINGS_MM, 3)],
        oblique(ORIENTATIONS[orientation], 20, chance),
    )  # fmt: skip
    roi = lumps(grid, chance)
    roi.array[:] = np.pad(roi.array[2:-2, 2:-2, 2:-2], 2)  # margins that a crop may take
    image = sitk.DICOMOrient(to_sitk(roi), axes)
    cut, pad = ([[max(0, sign * width) for width in side] for side in (lower, upper)] for sign in (-1, 1))
    changed = from_sitk(sitk.ConstantPad(sitk.Crop(image, *cut), *pad))
    placed = onto_grid(changed, grid)
    assert placed is not None
    np.testing.assert_array_equal(placed.volume.array, roi.array)
    np.testing.assert_array_equal(placed.volume.array, resample(changed, grid, "nearest").array)
    assert placed.volume.geometry == grid
    assert ("exchanged" in placed.done) == (lps_orientation(changed.geometry).axes != lps_orientation(grid).axes)
    assert ("cut off" in placed.done, "added" in placed.done) == (max(map(max, pad)) > 0, max(map(max, cut)) > 0)


GRID = grid_around((5, -3, 8), (20, 22, 10), (1.0, 1.0, 4.0))


def changed(**fields):
    return Geometry(**({name: getattr(GRID, name) for name in GRID.__dataclass_fields__} | fields))


@pytest.mark.parametrize(
    ("mask", "repair"),
    [
        (
            changed(origin_mm=tuple(np.add(GRID.origin_mm, (2.0, 0, 0)))),
            "copy its origin: they differ in nothing else",
        ),
        (
            changed(origin_mm=tuple(np.add(GRID.origin_mm, (0.3, 0, 0)))),
            "copy its origin: they differ in nothing else",
        ),
        (
            changed(direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)),
            "copy its direction: they differ in nothing else (180 degrees)",
        ),
        (changed(spacing_mm=(1.0, 1.0, 4.2)), "nearest neighbours"),
        (
            changed(spacing_mm=(0.5, 0.5, 4.0), size_xyz=(40, 44, 10)),
            "nearest neighbours",
        ),
        (
            changed(spacing_mm=(2.0, 2.0, 4.0), size_xyz=(10, 11, 10)),
            "nearest neighbours",
        ),
        (
            changed(spacing_mm=(1.0, 1.0, 4.2), origin_mm=tuple(np.add(GRID.origin_mm, (2.0, 0, 0)))),
            "nearest neighbours",
        ),
    ],
    ids=[
        "by whole voxels",
        "by part of one",
        "header lost its axes",
        "other spacing",
        "finer",
        "coarser",
        "other spacing and origin",
    ],
)
def test_a_mask_that_would_have_to_be_moved_or_resampled_is_left_and_told(mask, repair):
    array = np.zeros(mask.size_xyz[::-1], dtype=bool)
    array[4:6, 8:10, 6:9] = True
    assert onto_grid(Volume(array, mask), GRID) is None
    what, told = grid_fault(mask, GRID)
    assert told.startswith("resample the ROI onto the image with nearest neighbours")
    assert told.endswith(repair)
    assert what.count("axes") == 2


def test_a_mask_that_reaches_out_of_its_image_is_not_cut(tmp_path):
    wide = grid_around((5, -3, 8), (24, 22, 10), (1.0, 1.0, 4.0))
    array = np.zeros(wide.size_xyz[::-1], dtype=bool)
    array[4:6, 8:12, 1:12] = True
    assert onto_grid(Volume(array, wide), GRID) is None
    write_volume(tmp_path / "roi.nii.gz", Volume(array, wide))
    found = read_roi_on(tmp_path / "roi.nii.gz", frozenset({1}), GRID)
    assert found.untouched
    assert found.volume.geometry.same_grid(wide)
