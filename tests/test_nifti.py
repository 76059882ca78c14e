"""Plain headers of NIfTI are read as SimpleITK reads them, bit for bit, and all others are left to it."""

import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from small_volumes import grid_around, random_grid, textured

from autodls.errors import DatasetError
from autodls.imaging import itk
from autodls.imaging.geometry import Volume
from autodls.imaging.nifti import read_plain_header
from autodls.imaging.volumes import read_geometry, write_volume

DIM, INTENT, BITPIX, PIXDIM, UNITS, QFORM_CODE, QUATERN, QOFFSET, SROW = 40, 68, 72, 76, 123, 252, 256, 268, 280


def written(path, seed, dtype=np.int16):
    """A NIfTI file of a random grid, as SimpleITK writes it: sform and qform, in mm."""
    chance = np.random.default_rng(seed)
    grid = random_grid(chance, degrees=float(chance.uniform(0, 30)))
    write_volume(path, Volume(np.zeros(grid.size_xyz[::-1], dtype), grid))
    return path


def edited(path, form, offset, change):
    content = bytearray(path.read_bytes())
    found = np.array(struct.unpack_from(form, content, offset))
    struct.pack_into(form, content, offset, *np.atleast_1d(change(found)).tolist())
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_a_plain_header_has_the_numbers_of_itk(tmp_path, dtype):
    for seed in range(20):
        path = written(tmp_path / f"{seed}.nii.gz", seed, dtype)
        assert read_plain_header(path) == itk.read_header(path)


def test_a_header_of_the_other_byte_order_has_them_too(tmp_path):
    path = written(tmp_path / "x.nii", 3)
    before, content = read_plain_header(path), bytearray(path.read_bytes())
    fields = [("i", 0), ("8h", DIM), ("4h", INTENT), ("8f", PIXDIM), ("3f", 108), ("2h", QFORM_CODE), ("18f", QUATERN)]
    for form, offset in fields:
        struct.pack_into(f">{form}", content, offset, *struct.unpack_from(f"<{form}", content, offset))
    path.write_bytes(content)
    assert read_plain_header(path) == itk.read_header(path) == before


@pytest.mark.parametrize("apart_mm", [0.0, 5e-4])
@pytest.mark.parametrize("qform", range(5))
@pytest.mark.parametrize("sform", range(5))
def test_the_transform_that_itk_takes_is_taken(tmp_path, qform, sform, apart_mm):
    """Where both are given, ITK takes the sform of a scanner, and another one only at times: that is left to it."""
    for seed in range(5):
        path = edited(written(tmp_path / f"{seed}.nii", seed), "<2h", QFORM_CODE, lambda _: [qform, sform])
        edited(path, "<3f", QOFFSET, lambda found: found + apart_mm)
        plain = (qform > 0 and sform in (0, 1)) or (qform == 0 and sform > 0)
        assert read_plain_header(path) == (itk.read_header(path) if plain else None)


@pytest.mark.parametrize(
    ("form", "offset", "change"),
    [
        pytest.param("<3f", QOFFSET, lambda found: found + 0.5, id="qform elsewhere"),
        pytest.param("<3f", QUATERN, lambda found: found * 0.98, id="qform turned"),
        pytest.param("<3f", PIXDIM + 4, lambda found: found * 1.01, id="spacing is not that of the matrix"),
        pytest.param("<4f", SROW, lambda found: found + np.array([0.01, 0.01, 0, 0]), id="sheared"),
        pytest.param("<4f", SROW, lambda found: found * np.nan, id="no numbers"),
        pytest.param("<B", UNITS, lambda _: 1, id="metres"),
        pytest.param("<B", UNITS, lambda _: 3, id="micrometres"),
        pytest.param("<h", INTENT, lambda _: 1007, id="vectors"),
        pytest.param("<h", BITPIX, lambda _: 24, id="another number of bits"),
        pytest.param("<h", DIM, lambda _: 4, id="four axes"),
        pytest.param("<h", DIM + 6, lambda _: 1, id="one slice"),
        pytest.param("<h", DIM + 2, lambda _: -5, id="negative size"),
    ],
)
def test_a_header_that_can_be_read_in_two_ways_is_left_to_itk(tmp_path, form, offset, change):
    path = written(tmp_path / "x.nii", 5)
    assert read_plain_header(path) is not None
    assert read_plain_header(edited(path, form, offset, change)) is None


CONTRADICTIONS = {
    "qform mirrored": (
        lambda path: edited(path, "<f", PIXDIM, lambda found: -found),
        "axis z in directions 180 degrees",
    ),
    "sform mirrored": (lambda path: edited(path, "<3f", SROW, lambda found: -found), "degrees apart: left and right"),
    "sform of other voxels": (lambda path: edited(path, "<12f", SROW, lambda found: found * 1.1), "by its pixdim"),
    "pixdim of other voxels": (lambda path: edited(path, "<f", PIXDIM + 4, lambda found: found * 2), "by its pixdim"),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_header_that_contradicts_itself_is_refused(tmp_path, what):
    change, part = CONTRADICTIONS[what]
    path = change(written(tmp_path / "x.nii", 5))
    with pytest.raises(DatasetError, match=part):
        read_geometry(path)


def test_an_image_registered_to_an_atlas_keeps_both_places(tmp_path):
    """Its sform is turned by 20 degrees and moved; the qform is still the scanner's."""
    turn = np.array([[0.94, -0.342, 0, 30], [0.342, 0.94, 0, -20], [0, 0, 1, 10], [0, 0, 0, 1]])
    path = edited(written(tmp_path / "x.nii", 5), "<12f", SROW, lambda found: (turn @ in_four_rows(found))[:3].ravel())
    assert read_geometry(path) is not None


def in_four_rows(srow):
    return np.vstack([srow.reshape(3, 4), [0, 0, 0, 1]])


@pytest.mark.parametrize("content", [b"", b"\0" * 400, b"\x1f\x8b" + b"\0" * 400])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_what_is_no_header_is_not_given_to_itk(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match="not an image"):
        read_plain_header(tmp_path / name)


@pytest.mark.parametrize(("form", "offset", "value"), [("<4s", 344, b"ni1"), ("<i", 0, 540)])
def test_a_header_of_another_kind_is_not_given_to_itk(tmp_path, form, offset, value):
    """Voxels in another file, and NIfTI-2."""
    path = edited(written(tmp_path / "x.nii", 5), form, offset, lambda _: value)
    with pytest.raises(DatasetError, match="not an image"):
        read_plain_header(path)


def test_real_images_have_the_numbers_of_itk(shared_data):
    paths = [path for cohort in ("lgg_ht", "sts8") for path in sorted((shared_data / cohort).rglob("*.nii.gz"))[::3]]
    assert len(paths) > 20
    for path in paths:
        assert read_plain_header(path) == itk.read_header(path)


def test_preparing_plain_files_needs_no_simpleitk(tmp_path):
    """Its import takes 0.2 s and 94 MiB, in every process."""
    image, roi = tmp_path / "T2WI.nii.gz", tmp_path / "roi.nii.gz"
    grid = grid_around((0, 0, 0), (40, 40, 20), (1, 1, 2))
    write_volume(image, textured(grid, np.random.default_rng(0)))
    inside = np.zeros(grid.size_xyz[::-1], bool)
    inside[8:12, 15:25, 15:25] = True
    write_volume(roi, Volume(inside, grid))
    program = f"""
        import sys
        from pathlib import Path
        from autodls.preprocessing.case import prepare_case
        from autodls.records.preprocessing_plan import IntensityPlan, PreprocessingPlan

        plan = PreprocessingPlan(
            roi_channel="T2WI", registration="geometry", spacing_mm=1.0, crop_mm=32.0, slice_size_px=32,
            input_size_px=32, intensity={{"T2WI": IntensityPlan(scheme="zscore", clip_percentiles=(0.5, 99.5))}},
        )
        prepare_case("x", {{"T2WI": Path({str(image)!r})}}, Path({str(roi)!r}), frozenset({{1}}), plan)
        sys.exit("SimpleITK" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_singular_transform_is_left_to_itk_without_a_word(tmp_path, recwarn):
    path = edited(written(tmp_path / "x.nii", 1), "<2h", QFORM_CODE, lambda _: [0, 1])
    edited(path, "<12f", SROW, lambda found: [0.0, *found[1:4], 0.0, *found[5:8], 0.0, *found[9:]])
    assert read_plain_header(path) is None and not recwarn.list
