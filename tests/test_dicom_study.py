"""A real patient from archive to samples: STS_001, and copies of it under other names with other noise."""

import csv
import shutil

import numpy as np
import pydicom
import pytest
from command_line import autodls
from tiny_models import tiny_plan

from autodls import preprocess_case
from autodls.imaging.volumes import read_roi, read_volume

COPIES = 2


def rename(path, number):
    """Another patient: ids, UIDs, and noise of one grey value."""
    one = pydicom.dcmread(path)
    one.PatientID = one.PatientName = f"COPY-{number}"
    for element in one.iterall():
        if element.VR == "UI" and element.keyword.endswith(("InstanceUID", "ReferenceUID")):
            element.value = f"{element.value[:55]}.{number}"
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    if "PixelData" in one:
        noise = np.random.default_rng(number).integers(0, 2, one.pixel_array.shape, dtype=np.uint16)
        one.PixelData = (one.pixel_array + noise).tobytes()
    one.save_as(path)


@pytest.mark.slow
def test_from_archive_to_samples(real_dicom, tmp_path):
    """check has nothing to repair, samples are made, and the tumour is brighter than what lies around it on T2."""
    for number in range(COPIES):
        shutil.copytree(real_dicom / "sts001_raw_T1_T2FS_rtstruct" / "STS_001", tmp_path / "in" / str(number))
        for path in (tmp_path / "in" / str(number)).rglob("*.dcm"):
            rename(path, number)
    with (tmp_path / "labels.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("id", "grade"), *((f"COPY-{number}", number % 2) for number in range(COPIES))])
    words = ("import", tmp_path / "in", "-o", tmp_path / "DS", "--roi-name", "GTV_Mass")
    given = ("--labels", tmp_path / "labels.csv", "--label-id", "id", "--target", "grade", "--positive", "== 1")
    assert autodls(*words).status == 0
    assert autodls(*words, *given).status == 0
    checked = autodls("check", "-d", tmp_path / "DS")
    assert checked.status == 0, checked.out
    images, rois = tmp_path / "DS" / "imagesTr", tmp_path / "DS" / "labelsTr"
    plan = tiny_plan(("T2WI", "T1WI"), crop_mm=130.0, registration="geometry")
    files = {"T1WI": images / "P0001_0000.nii.gz", "T2WI": images / "P0001_0001.nii.gz"}
    sample = preprocess_case(files, rois / "P0001.nii.gz", plan)
    assert sample.present.all() and sample.pixels.shape == (2, 3, 144, 144)
    t2 = sample.pixels[0]
    assert all(t2[plane][roi].mean() > t2[plane][~roi].mean() + 1 for plane, roi in enumerate(sample.roi))
    image = read_volume(images / "P0001_0001.nii.gz").array
    roi = read_roi(rois / "P0001_0001.nii.gz", frozenset({1})).array
    drawn = roi.any(axis=(1, 2))
    assert image[roi].mean() > 4 * image[drawn][~roi[drawn]].mean()
