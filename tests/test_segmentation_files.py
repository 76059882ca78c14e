"""What nnU-Net is given to read: every sequence on one grid, the dataset's own files where they will do."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from small_volumes import STRAIGHT, anatomy, ball, grid_around, oblique

from autodls.errors import DatasetError
from autodls.imaging.geometry import Volume
from autodls.imaging.itk import to_sitk
from autodls.imaging.volumes import read_geometry, read_labels, read_volume, write_volume
from autodls.records.case import Case
from autodls.records.roi_labels import RoiLabels
from autodls.records.segmentation_folders import SegmentationFolder
from autodls.segmentation.framing import Framing
from autodls.segmentation.training_files import FilesTask, _content, make_training_files, roi_grid

SEQUENCES = ("T1WI", "T2WI", "CE-T1WI")
GRID = grid_around((0, 0, 0), (40, 44, 14), (1.2, 1.2, 4.0), oblique(np.eye(3), 12, np.random.default_rng(1)))
FINER = grid_around((1, 0, 0), (64, 60, 16), (0.8, 0.9, 4.0))


def framing(registration="geometry"):
    return Framing(SEQUENCES, "CE-T1WI", registration)


@pytest.fixture
def case(tmp_path):
    """T1WI on the ROI channel's grid, T2WI on another, both of one anatomy."""
    images = {"T1WI": anatomy(GRID, contrast=0.5), "T2WI": anatomy(FINER), "CE-T1WI": anatomy(GRID)}
    paths = {name: tmp_path / "imagesTr" / f"a_{index:04d}.nii.gz" for index, name in enumerate(images)}
    for name, volume in images.items():
        write_volume(paths[name], volume)
    roi = tmp_path / "labelsTr" / "a.nii.gz"
    write_volume(roi, ball(GRID))
    return Case("a", "a", None, "train", True, paths, roi)


@pytest.fixture
def make(tmp_path):
    def make(case, registration="geometry", labels=frozenset({1})):
        return make_training_files(FilesTask(case, framing(registration), labels, SegmentationFolder(tmp_path / "w")))

    return make


def test_images_on_the_grid_are_used_where_they_are_and_others_are_resampled(case, make):
    files = make(case)
    assert [files.images[0], files.images[2]] == [str(case.images["T1WI"]), str(case.images["CE-T1WI"])]
    assert files.roi == str(case.roi)
    moved = read_volume(SegmentationFolder(case.roi.parents[1] / "w").channel("a", 1))
    assert files.images[1].endswith("a_0001.nii.gz") and moved.geometry.same_grid(GRID)
    expected, inside = anatomy(GRID).array, ball(GRID, radii_mm=(14, 14, 14)).array
    assert np.abs(moved.array - expected)[inside].mean() < 0.1 * np.ptp(expected[inside])


def test_missing_sequence_is_zeros_on_the_grid(case, make):
    files = make(replace(case, images={name: case.images[name] for name in ("T1WI", "CE-T1WI")}))
    empty = read_volume(SegmentationFolder(case.roi.parents[1] / "w").channel("a", 1))
    assert files.images[1].endswith("a_0001.nii.gz")
    assert empty.geometry.same_grid(GRID) and not empty.array.any()


def test_without_its_roi_channel_a_training_case_lies_on_the_grid_of_its_manual_roi(case, make):
    alone = replace(case, images={"T2WI": case.images["T2WI"]})
    assert roi_grid(alone, "CE-T1WI").same_grid(GRID)
    files = make(alone)
    assert all(read_geometry(path).same_grid(GRID) for path in map(type(case.roi), files.images))


@pytest.mark.parametrize(("labels", "value"), [({2}, 2), ({1, 2}, 2)])
def test_other_labels_become_0_and_1(case, make, labels, value):
    drawn = Volume(ball(GRID).array * np.uint8(value), GRID)
    write_volume(case.roi, drawn)
    files = make(case, labels=frozenset(labels))
    assert files.roi != str(case.roi)
    written = read_labels(type(case.roi)(files.roi))
    assert set(np.unique(written.array)) == {0, 1} and written.geometry.same_grid(GRID)
    assert written.array.sum() == ball(GRID).array.sum()


def test_a_mask_in_another_order_of_voxels_becomes_one_on_the_grid(case, make):
    sitk.WriteImage(sitk.DICOMOrient(to_sitk(ball(GRID)), "RSA"), str(case.roi))
    written = read_labels(type(case.roi)(make(case).roi))
    assert written.geometry.same_grid(GRID)
    np.testing.assert_array_equal(written.array, ball(GRID).array)


def test_the_organ_of_a_mask_is_not_learnt(case, make):
    """Tumour is 1, as in nnU-Net's own files, and the organ around it 2."""
    tumour, around = ball(GRID).array, ball(GRID, radii_mm=(16, 16, 16)).array
    write_volume(case.roi, Volume(np.where(tumour, 1, 2 * around).astype(np.uint8), GRID))
    files = make(case, labels=RoiLabels({1}, others={2}))
    assert np.array_equal(read_labels(type(case.roi)(files.roi)).array, tumour)


def test_files_are_made_once(case, make):
    files = make(case)
    copy = type(case.roi)(files.images[1])
    before = copy.stat().st_mtime_ns
    assert make(case) == files and copy.stat().st_mtime_ns == before
    copy.unlink()
    assert make(case) == files and copy.is_file()


@pytest.mark.parametrize("change", ["image", "roi", "labels", "registration", "copy", "older"])
def test_files_made_from_other_inputs_or_changed_since_are_made_anew(case, make, change):
    """All files are there in each case: that they are there says nothing."""
    made = make(case)
    copy, known = type(case.roi)(made.images[1]), SegmentationFolder(case.roi.parents[1] / "w").files("a")
    right = read_volume(copy).array
    write_volume(copy, Volume(np.zeros_like(right), GRID))
    if change == "older":  # as an earlier version wrote it
        known.write_text(json.dumps({"images": made.images, "roi": made.roi}))
    else:
        made.model_copy(update={"content": _content(made)} if change != "copy" else {}).save(known)
    if change == "image":
        write_volume(case.images["T1WI"], anatomy(GRID, contrast=0.7))
    if change == "roi":
        write_volume(case.roi, ball(GRID, radii_mm=(9, 9, 9)))
    make(case, "none" if change == "registration" else "geometry", frozenset({1, 2} if change == "labels" else {1}))
    np.testing.assert_array_equal(read_volume(copy).array, right)


def test_files_of_a_dataset_that_was_copied_are_its_own(case, make, tmp_path):
    make(case)
    moved = {name: tmp_path / "elsewhere" / path.name for name, path in case.images.items()}
    (tmp_path / "elsewhere").mkdir()
    for name, path in moved.items():
        shutil.copyfile(case.images[name], path)
    assert make(replace(case, images=moved)).images[0] == str(moved["T1WI"])


@pytest.mark.parametrize("fault", ["no roi", "grid", "unreadable"])
def test_case_that_cannot_be_used_is_named(case, make, fault):
    if fault == "grid":
        write_volume(case.roi, ball(FINER))
    if fault == "unreadable":
        case.images["T2WI"].write_bytes(b"nothing")
    message = {"no roi": "has no ROI", "grid": "the ROI is on another grid", "unreadable": r"a_0001\.nii\.gz"}[fault]
    with pytest.raises(DatasetError, match=rf"case a: .*{message}"):
        make(replace(case, roi=None) if fault == "no roi" else case)


def test_registration_moves_a_sequence_that_lies_elsewhere(case):
    shifted = anatomy(GRID, centre_mm=(4.0, -3.0, 0.0))
    write_volume(case.images["T1WI"], shifted)
    fixed = anatomy(GRID, contrast=0.5).array
    errors = {}
    for registration in ("geometry", "rigid"):
        found = framing(registration).frame(case.images, GRID)["T1WI"]
        errors[registration] = np.corrcoef(found.volume.array.ravel(), fixed.ravel())[0, 1]
        assert found.untouched == (registration == "geometry")
    assert errors["rigid"] > errors["geometry"] + 0.1


def test_by_case_a_sequence_whose_header_is_wrong_is_found_or_left_out(case):
    still = framing().channels(case.images, GRID)
    for name, array in {"T1WI": None, "T2WI": np.random.default_rng(0).normal(size=FINER.size_xyz[::-1])}.items():
        volume = read_volume(case.images[name])
        there = replace(volume.geometry, origin_mm=tuple(np.add(volume.geometry.origin_mm, (0.0, 80.0, 30.0))))
        write_volume(case.images[name], Volume(volume.array if array is None else array.astype(np.float32), there))
    found = framing("auto").channels(case.images, GRID)
    assert np.corrcoef(found[0].ravel(), still[0].ravel())[0, 1] > 0.95
    assert not found[1].any()
    np.testing.assert_array_equal(found[2], still[2])


def test_channels_are_stacked_in_order_with_zeros_for_what_is_missing(case):
    channels = framing().channels({"CE-T1WI": case.images["CE-T1WI"]}, GRID)
    assert channels.shape == (3, 14, 44, 40) and channels.dtype == np.float32
    assert not channels[:2].any()
    assert np.array_equal(channels[2], read_volume(case.images["CE-T1WI"]).array)


def test_images_of_zeros_are_refused(case):
    write_volume(case.images["CE-T1WI"], Volume(np.zeros((14, 44, 40), np.float32), GRID))
    with pytest.raises(DatasetError, match=r"every voxel of \['CE-T1WI'\] is 0"):
        framing().channels({"CE-T1WI": case.images["CE-T1WI"]}, GRID)


def test_spacing_that_nnunet_would_refuse_makes_a_copy(case, make):
    nearly = replace(GRID, spacing_mm=(1.2002, 1.2, 4.0))
    assert nearly.same_grid(GRID) and GRID.direction != STRAIGHT
    write_volume(case.images["T1WI"], Volume(anatomy(GRID).array, nearly))
    files = make(case)
    assert files.images[0] != str(case.images["T1WI"])
    assert read_geometry(type(case.roi)(files.images[0])).spacing_mm == pytest.approx(GRID.spacing_mm, rel=1e-6)
