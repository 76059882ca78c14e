"""Voxels and places of converted series against dcm2niix; PET as SUV."""

import numpy as np
import pytest
import SimpleITK as sitk
from real_dicom import found_in, images_of_dcm2niix
from tiny_dicom import T1, Series, Study, head, mr

from autodls.dicom.volume import read_stack
from autodls.imaging.geometry import Geometry

SAME_MM = 1e-3


def differences(path, volume):
    """Largest difference of place in mm and of value, voxel by voxel; None where it is another grid."""
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    if array.ndim != 3 or array.size != volume.array.size:
        return None
    other = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    own = np.rint(volume.geometry.physical_to_index(other.corners()))  # both are affine: corners differ most
    if (own < 0).any() or (own >= volume.geometry.size_xyz).any():
        return None
    apart = np.abs(volume.geometry.index_to_physical(own) - other.corners()).max()
    first, *steps = own[0], own[4] - own[0], own[2] - own[0], own[1] - own[0]  # along x, y, z of the other
    axes = [int(np.abs(step).argmax()) for step in steps]
    turned = volume.array.transpose([2 - axis for axis in axes[::-1]])
    flips = [slice(None, None, -1 if first[axis] else None) for axis in axes[::-1]]
    values = turned[tuple(flips)].astype(np.float64)
    return apart, np.abs(values - array).max() / max(1.0, np.abs(values).max())


SETS = {
    "prostatex0000_t2tra_t2sag_missing_slice": 2,
    "sts001_raw_T1_T2FS_rtstruct": 2,
    "ucsf_br_06_dce_pe1_seg": 1,
    "dicom2nifti_failing_mr/tests/data/failing": 3,
    "dicom2nifti_failing_mr/tests/data/ge": 0,
    "dicom2nifti_failing_mr/tests/data/generic/anatomical": 1,
    "dicom2nifti_failing_mr/tests/data/generic/compressed_j2k": 1,
    "dicom2nifti_failing_mr/tests/data/generic/compressed_jpegls": 1,
    "dicom2nifti_failing_mr/tests/data/philips_enhanced": 2,
}
REFUSED = (
    "not a volume: a single plane",
    "1 missing slices: 6.00 mm after plane 13, 3.00 mm elsewhere",
    "not a volume: 4 planes lie at one place and nothing tells them apart",
    "1 missing slices: 10.00 mm after plane 3, 5.00 mm elsewhere",
)


@pytest.mark.parametrize("name", SETS)
def test_every_series_against_dcm2niix(real_dicom, dcm2niix, tmp_path, name):
    """Each volume of ours is one of dcm2niix's, voxel for voxel; what it converts beside them, we refuse by name."""
    others = images_of_dcm2niix(dcm2niix, real_dicom / name, tmp_path / "out")
    parts = found_in(real_dicom / name).parts
    matched = set()
    for part in parts:
        if part.stack.refused:
            assert part.stack.refused in REFUSED
            continue
        volume = read_stack(part.stack, part.facts.modality)
        found = [(path, told) for path in others if (told := differences(path, volume)) and told[0] < SAME_MM]
        assert len(found) == 1, part.facts
        assert found[0][1][1] <= 1.5e-7  # a float32 of a scaled value, rounded once
        matched.add(found[0][0])
    assert len(matched) == SETS[name]
    refused = {part.series for part in parts if part.stack.refused}
    segmented = {one.series for one in found_in(real_dicom / name).drawn}
    assert {series for path, series in others.items() if path not in matched} <= refused | segmented


ORIENTATIONS = [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1), (-1, 0, 0, 0, 1, 0)]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("step_mm", [3.0, -3.0])
def test_phantoms_against_dcm2niix(dcm2niix, tmp_path, orientation, step_mm):
    """Axial, sagittal, coronal and mirrored, planes in both orders."""
    Series(Study(), head(), orientation=orientation, step_mm=step_mm, tags=T1).write(tmp_path / "in")
    (path,) = images_of_dcm2niix(dcm2niix, tmp_path / "in", tmp_path / "out")
    (part,) = found_in(tmp_path / "in").parts
    apart, different = differences(path, read_stack(part.stack, "MR"))
    assert apart < SAME_MM and different == 0.0


def test_an_oblique_phantom_is_where_its_header_says(tmp_path):
    series = mr(Study(), tmp_path / "in")
    (part,) = found_in(tmp_path / "in").parts
    volume = read_stack(part.stack, "MR")
    index = np.array([[0, 0, 0], [19, 23, 7], [4, 9, 2]])
    np.testing.assert_allclose(volume.geometry.index_to_physical(index), [series.mm(*at) for at in index], atol=1e-6)
    np.testing.assert_array_equal(volume.array, head())
