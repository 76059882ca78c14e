"""DICOM that other libraries keep for their tests: compressed, truncated, segmentations without their images."""

import builtins
import csv

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from command_line import autodls
from pydicom.uid import JPEGLSLossless, RLELossless
from real_dicom import found_in, images_of_dcm2niix
from tiny_dicom import T1, Series, Study, enhanced, head

from autodls.dicom.stacks import UnfitError
from autodls.dicom.volume import decoded, read_stack


def rows(table):
    with table.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_every_odd_file_is_a_row_or_named_as_unused(shared_data, tmp_path):
    folder = shared_data / "odd"
    answer = autodls("import", folder, "-o", tmp_path / "DS", "--workers", "1")
    assert answer.status == 0, answer.err
    listed = rows(tmp_path / "DS-confidential" / "series.csv")
    unused = rows(tmp_path / "DS-confidential" / "unused.csv")
    assert {row["convertible"] for row in listed if row["kind"] == "image"} == {
        "not a volume: a single plane",
        "not an image with planes in space",
    }
    assert {row["convertible"] for row in listed if row["kind"] == "SEG"} == {
        "its series is not there, or cannot be converted"
    }
    dicom = {"liver.dcm", "explicit_VR-UN.dcm", "MR2_J2KR.dcm", "liver_nonbyte_aligned_rle.dcm"}
    assert not dicom & {row["file"].rpartition("/")[2] for row in unused}
    assert len(listed) + len(unused) >= len([path for path in folder.rglob("*") if path.is_file()])
    again = autodls("import", folder, "-o", tmp_path / "DS", "--workers", "1")
    assert again.status == 2 and "can be converted (not a volume: a single plane" in again.complaint


def test_segmentations_become_rois_of_their_series(shared_data, tmp_path):
    """A CT of three planes, as files and as one, and every SEG: two are drawn on it, the others have no series here."""
    words = ("import", shared_data / "dicom_seg", "-o", tmp_path / "DS", "--workers", "1", "--roi-name", "Liver")
    assert autodls(*words).status == 0
    listed = rows(tmp_path / "DS-confidential" / "series.csv")
    assert [row["role"] for row in listed if row["kind"] == "SEG"].count("ROI") == 2
    assert sum(row["convertible"].startswith("its series is not there") for row in listed) == 5
    done = autodls(*words)
    assert done.status == 0, done.err
    assert len(list((tmp_path / "DS" / "labelsTr").iterdir())) == 1  # both are joined


@pytest.mark.parametrize("name", ["explicit_VR-UN.dcm", "MR2_J2KR.dcm"])
def test_jpeg_lossless_and_jpeg_2000_against_dcm2niix(shared_data, dcm2niix, tmp_path, name):
    (part,) = [part for part in found_in(shared_data / "odd" / "pydicom").parts if _is_of(part, name)]
    planes, scales, _ = decoded(part.stack.frames, part.facts.modality)
    images = images_of_dcm2niix(dcm2niix, shared_data / "odd" / "pydicom", tmp_path / "out")
    other = next(sitk.ReadImage(str(path)) for path, series in images.items() if series == part.series)
    array = np.squeeze(sitk.GetArrayFromImage(other))
    values = planes[0] * scales[0][0] + scales[0][1]
    turned = [values, values[::-1], values[:, ::-1], values[::-1, ::-1]]
    assert min(np.abs(array - one).max() for one in turned) <= 1e-3


def _is_of(part, name):
    return any(frame.path.name == name for frame in part.stack.frames)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless])
def test_compressed_series_are_those_that_were_packed(tmp_path, syntax):
    series = Series(Study(), head(), tags=T1).write(tmp_path / "in")
    for path in series.files:
        one = pydicom.dcmread(path)
        one.compress(syntax)
        one.save_as(path)
    (part,) = found_in(tmp_path / "in").parts
    np.testing.assert_array_equal(read_stack(part.stack, "MR").array, head())
    content = bytearray(series.files[2].read_bytes())
    content[-200:-20] = bytes(180)
    series.files[2].write_bytes(bytes(content))
    (part,) = found_in(tmp_path / "in").parts
    try:  # a stream that is damaged and ends well is other pixels, never another size
        assert read_stack(part.stack, "MR").array.shape == head().shape
    except UnfitError as failure:
        assert "decode" in str(failure)


def test_an_enhanced_file_is_the_series_that_it_holds(tmp_path):
    series = Series(Study(), head(), tags=T1)
    enhanced(series, tmp_path / "in" / "mf")
    (part,) = found_in(tmp_path / "in").parts
    volume = read_stack(part.stack, "MR")
    np.testing.assert_array_equal(volume.array, head())
    np.testing.assert_allclose(volume.geometry.index_to_physical([[4, 9, 6]]), [series.mm(4, 9, 6)], atol=1e-9)
    assert (part.facts.tr_ms, part.facts.te_ms) == (550.0, 12.0)


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch):
    real_import = builtins.__import__

    def absent(name, *rest):
        if name.partition(".")[0] in ("highdicom", "pydicom"):
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    (tmp_path / "in").mkdir()
    answer = autodls("import", tmp_path / "in", "-o", tmp_path / "DS")
    assert answer.status == 2 and "pip install 'autodls[dicom]'" in answer.complaint
