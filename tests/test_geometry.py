"""Grids, and the reading and writing of volumes."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from small_volumes import ORIENTATIONS, grid_around, oblique, random_grid, textured

from autodls.errors import ArgumentError, AutoDLSError, DatasetError
from autodls.imaging.geometry import Geometry, Volume, lps_orientation
from autodls.imaging.itk import to_sitk
from autodls.imaging.volumes import read_geometry, read_labels, read_roi, read_volume, write_volume

GRID = grid_around(
    (3.0, -20.0, 55.0), (7, 6, 5), (0.9, 1.1, 4.0), oblique(ORIENTATIONS[0], 12, np.random.default_rng(1))
)


@given(st.integers(0, 2**32), st.floats(0, 40))
@settings(max_examples=40, deadline=None)
def test_points_agree_with_simpleitk_and_return(seed, degrees):
    chance = np.random.default_rng(seed)
    grid = random_grid(chance, degrees=degrees)
    image = to_sitk(Volume(np.zeros(grid.size_xyz[::-1], dtype=np.uint8), grid))
    index = chance.uniform(-5, 30, (4, 3))
    points = grid.index_to_physical(index)
    expected = [image.TransformContinuousIndexToPhysicalPoint(one.tolist()) for one in index]
    np.testing.assert_allclose(points, expected, atol=1e-9)
    np.testing.assert_allclose(grid.physical_to_index(points), index, atol=1e-9)


@pytest.mark.parametrize("orientation", range(48))
@pytest.mark.parametrize("degrees", [0.0, 17.0, 35.0])
def test_lps_orientation_is_that_of_dicomorient(orientation, degrees):
    chance = np.random.default_rng(orientation)
    grid = random_grid(chance, ORIENTATIONS[orientation], degrees)
    array = chance.integers(0, 99, grid.size_xyz[::-1]).astype(np.int16)
    expected = sitk.DICOMOrient(to_sitk(Volume(array, grid)), "LPS")
    turned = lps_orientation(grid)
    result = turned.geometry(grid)
    np.testing.assert_array_equal(turned.array(array), sitk.GetArrayFromImage(expected))
    assert result.size_xyz == expected.GetSize()
    np.testing.assert_allclose(result.origin_mm, expected.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(result.direction, expected.GetDirection(), atol=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 5.0, 30.0])
def test_obliqueness_is_the_angle_of_a_turn_about_one_axis(degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    grid = Geometry((2, 2, 2), (1.0, 1.0, 1.0), direction=(cosine, -sine, 0, sine, cosine, 0, 0, 0, 1))
    assert grid.obliqueness_deg == pytest.approx(degrees, abs=1e-6)
    assert grid.is_orthonormal()


def test_sheared_axes_are_not_orthonormal():
    assert not Geometry((2, 2, 2), (1.0, 1.0, 1.0), direction=(1, 0.1, 0, 0, 1, 0, 0, 0, 1)).is_orthonormal()


@pytest.mark.parametrize(("shift_mm", "same"), [(0.0, True), (0.01, True), (0.1, False)])
def test_same_grid_tolerates_rounding_only(shift_mm, same):
    origin_mm = (GRID.origin_mm[0] + shift_mm, *GRID.origin_mm[1:])
    moved = Geometry(GRID.size_xyz, GRID.spacing_mm, origin_mm, GRID.direction)
    assert GRID.same_grid(moved) is same
    assert not GRID.same_grid(Geometry((7, 6, 4), GRID.spacing_mm, GRID.origin_mm, GRID.direction))


@pytest.mark.parametrize(
    "fields",
    [
        {"size_xyz": (0, 2, 2), "spacing_mm": (1, 1, 1)},
        {"size_xyz": (2, 2, 2), "spacing_mm": (1, 0, 1)},
        {"size_xyz": (2, 2, 2), "spacing_mm": (1, float("nan"), 1)},
        {"size_xyz": (2, 2, 2), "spacing_mm": (1, 1, 1), "direction": (1, 0, 0, 1, 0, 0, 0, 0, 1)},
    ],
)
def test_a_grid_refuses_to_exist_wrongly(fields):
    with pytest.raises(ArgumentError):
        Geometry(**fields)


def test_a_volume_refuses_an_array_in_the_wrong_order():
    with pytest.raises(ArgumentError, match="z, y, x"):
        Volume(np.zeros(GRID.size_xyz), GRID)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("kind", ["float64", "float32", "int32", "uint16", "int16", "bool"])
def test_what_is_written_is_read(tmp_path, name, kind):
    voxels = textured(GRID, np.random.default_rng(0)).array
    array = voxels > 100 if kind == "bool" else voxels.astype(kind)
    write_volume(tmp_path / name, Volume(array, GRID))
    read = read_volume(tmp_path / name)
    np.testing.assert_array_equal(read.array, array.astype(np.float32))
    assert read.array.dtype == {"uint16": np.uint16, "int16": np.int16, "bool": np.uint8}.get(kind, np.float32)
    assert read.geometry.same_grid(GRID, tolerance=1e-4)
    assert read_geometry(tmp_path / name) == read.geometry
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("slope", "intercept", "scale", "shift"),
    [(2.0, 5.0, 2, 5), (-1.0, 0.0, -1, 0), (1.0, 5.0, 1, 5), (0.0, 5.0, 1, 0), (float("nan"), 5.0, 1, 0)],
)
def test_scaled_voxels_are_read_as_the_standard_says(tmp_path, slope, intercept, scale, shift):
    """A slope of zero means not scaled; nibabel takes one that is no number for that as well."""
    stored = np.arange(210, dtype=np.int16).reshape(GRID.size_xyz[::-1])
    write_volume(tmp_path / "a.nii", Volume(stored, GRID))
    _header(tmp_path / "a.nii", 112, "<2f", slope, intercept)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").array, stored * float(scale) + shift)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8"])
@pytest.mark.parametrize("order", "<>")
def test_voxels_are_those_that_simpleitk_reads(tmp_path, dtype, order):
    """In either byte order, of every type, and where the stream has several members, as those of bgzip."""
    stored = np.random.default_rng(0).integers(0, 100, GRID.size_xyz[::-1]).astype(order + dtype)
    codes = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024}
    header = bytearray(352)
    fields = {0: ("i", 348), 40: ("8h", 3, *GRID.size_xyz, 1, 1, 1, 1), 76: ("8f", 1, 1, 2, 3, 1, 1, 1, 1)}
    fields |= {70: ("2h", codes[dtype], 8 * stored.itemsize), 108: ("3f", 352, 1, 0), 252: ("2h", 1, 0)}
    for offset, (form, *values) in fields.items():
        struct.pack_into(order + form, header, offset, *values)
    header[344:348] = b"n+1\0"
    content = bytes(header) + stored.tobytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content[:500]) + gzip.compress(content[500:]))
    read = read_volume(tmp_path / "a.nii.gz").array
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, stored)
    np.testing.assert_array_equal(read, sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii.gz"))))


def test_a_volume_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "a.nii.gz", tmp_path / "a.unknown"):
        with pytest.raises(AutoDLSError, match="840 bytes cannot be written"):
            write_volume(path, textured(GRID, np.random.default_rng(0)))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_roi_has_known_whole_labels(tmp_path):
    array = np.zeros(GRID.size_xyz[::-1], dtype=np.float32)
    array[1, 2, 3], array[2, 2, 2] = 1, 3
    write_volume(tmp_path / "roi.nii.gz", Volume(array, GRID))
    assert read_roi(tmp_path / "roi.nii.gz", frozenset({1, 3})).array.sum() == 2
    assert read_labels(tmp_path / "roi.nii.gz").array[2, 2, 2] == 3
    with pytest.raises(DatasetError, match="label 3 is not in"):
        read_roi(tmp_path / "roi.nii.gz", frozenset({1}))
    write_volume(tmp_path / "soft.nii.gz", Volume(array / 2, GRID))
    with pytest.raises(DatasetError, match=r"found 0\.5"):
        read_roi(tmp_path / "soft.nii.gz", frozenset({1}))


def _header(path, offset, form, *values):
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, offset, *values)
    path.write_bytes(bytes(content))


def _sheared(folder):
    path = _plain(folder)
    _header(path, 252, "<2h", 0, 1)
    _header(path, 280, "<12f", 1, 0.3, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    return path


def _plain(folder, name="a.nii"):
    write_volume(folder / name, textured(GRID, np.random.default_rng(0)))
    return folder / name


def _cut(folder, name):
    path = _plain(folder, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


def _of_array(folder, array, vector=False):
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(folder / "a.nii.gz"))
    return folder / "a.nii.gz"


def _changed(folder, offset, form, *values):
    path = _plain(folder)
    _header(path, offset, form, *values)
    return path


def _flipped_bit(folder):
    path = _plain(folder, "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(bytes(content))
    return path


def _bytes(folder, name, content):
    (folder / name).write_bytes(content)
    return folder / name


def _twin(folder):
    _plain(folder, "a.nii.gz")
    return _plain(folder)


def _not_finite(folder, name="a.nii.gz"):
    volume = textured(GRID, np.random.default_rng(0))
    volume.array[0, 0, 0] = np.inf
    write_volume(folder / name, volume)
    return folder / name


FAULTS = {
    "missing": (lambda folder: folder / "none.nii.gz", "no such file"),
    "folder": (lambda folder: folder, "no such file"),
    "empty": (lambda folder: _bytes(folder, "a.nii.gz", b""), "not an image"),
    "text": (lambda folder: _bytes(folder, "a.nii", b"hello " * 99), "not an image"),
    "truncated .nii": (lambda folder: _cut(folder, "a.nii"), "the file has"),
    "truncated .nii.gz": (lambda folder: _cut(folder, "a.nii.gz"), "damaged compressed stream"),
    "truncated .mha": (lambda folder: _cut(folder, "a.mha"), "follow its header"),
    "truncated .nrrd": (lambda folder: _cut(folder, "a.nrrd"), "truncated or damaged"),
    "checksum": (_flipped_bit, "damaged"),
    "short stream": (
        lambda folder: _bytes(folder, "a.nii.gz", gzip.compress(_plain(folder, "b.nii").read_bytes()[:-100])),
        "its header promises 840",
    ),
    "sheared": (_sheared, "not at right angles"),
    "huge": (lambda folder: _changed(folder, 40, "<4h", 3, 20000, 20000, 20000), "29802.3 GiB"),
    "larger than its file": (lambda folder: _changed(folder, 40, "<4h", 3, 200, 200, 200), "copy or export"),
    "negative size": (lambda folder: _changed(folder, 40, "<4h", 3, -7, 6, 5), "cannot be read"),
    "spacing of zero": (lambda folder: _changed(folder, 76, "<4f", 1, 1, 0, 1), "voxel spacing"),
    "time series": (lambda folder: _of_array(folder, np.zeros((3, 4, 5, 6), "f4")), "one 3D image"),
    "colour": (lambda folder: _of_array(folder, np.zeros((4, 5, 6, 3), "u1"), True), "with 3 values each"),
    "complex": (lambda folder: _of_array(folder, np.zeros((4, 5, 6), "c8")), "with 2 values each"),
    "picture": (lambda folder: _of_array(folder, np.zeros((5, 6), "f4")), "one 3D image"),
    "one slice": (lambda folder: _of_array(folder, np.zeros((1, 5, 6), "f4")), "at least two voxels"),
    "twin": (_twin, "lies beside a.nii.gz"),
    "intercept": (lambda folder: _changed(folder, 112, "<2f", 2.0, float("nan")), "intercept nan"),
    "too large for float32": (lambda folder: _of_array(folder, np.full((4, 5, 6), 1e300)), "120 of 120 voxels"),
    "not finite .nrrd": (lambda folder: _not_finite(folder, "a.nrrd"), "1 of 210 voxels are not finite"),
    "not finite": (_not_finite, "1 of 210 voxels are not finite"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_one_line_and_nothing_leaks(tmp_path, capfd, fault):
    make, expected = FAULTS[fault]
    path = make(tmp_path)
    with pytest.raises(DatasetError, match=expected) as raised:
        read_volume(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_headers_alone_are_enough_to_refuse(tmp_path):
    for fault in ("time series", "huge", "sheared", "twin"):
        folder = tmp_path / fault
        folder.mkdir()
        with pytest.raises(DatasetError):
            read_geometry(FAULTS[fault][0](folder))


def test_odd_files_of_other_readers_end_in_one_line(shared_data):
    paths = [path for path in sorted((shared_data / "odd").rglob("*")) if path.name.endswith((".nii", ".gz", ".nrrd"))]
    read, refused = [], []
    for path in paths:
        try:
            read_volume(path)
            read.append(path.name)
        except DatasetError as failure:
            assert "\n" not in str(failure)
            refused.append(path.name)
    assert {"anatomical.nii", "brain1_image.nrrd"} <= set(read)
    assert {"example4d.nii.gz", "functional.nii", "test2d_ascii.nrrd"} <= set(refused)
