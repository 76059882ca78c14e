"""ROIs on the grid of their series: contours against their own polygons, SEG against highdicom and dcm2niix."""

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from real_dicom import found_in, images_of_dcm2niix
from tiny_dicom import Study, mr, rtstruct, seg

from autodls.dicom.contours import area, inside, paint, read_contours
from autodls.dicom.drawn import list_rois
from autodls.dicom.segments import paint_segment
from autodls.dicom.stacks import UnfitError
from autodls.imaging.geometry import Geometry

# --- contours ---

TURNED = (1.0, 0.0, 0.0, 0.0, 0.8, -0.6, 0.0, 0.6, 0.8)
GRID = Geometry((40, 30, 6), (1.0, 2.0, 4.0), (5.0, -3.0, 10.0), TURNED)


def on_plane(points, plane=2):
    return GRID.index_to_physical([(*point, plane) for point in points])


def circle(x, y, radius, count=200):
    at = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.column_stack([x + radius * np.cos(at), y + radius * np.sin(at)])


def test_a_contour_in_a_contour_is_a_hole():
    outer, hole, island = circle(20, 15, 10), circle(20, 15, 6), circle(20, 15, 3)
    painted = paint([on_plane(outer), on_plane(hole), on_plane(island)], GRID)
    assert painted.mask[2, 15, 20] and not painted.mask[2, 15, 24] and painted.mask[2, 15, 28]
    assert set(np.nonzero(painted.mask)[0]) == {2}
    expected = np.pi * (10**2 - 6**2 + 3**2) * 8.0
    assert painted.drawn_mm3 == pytest.approx(expected, rel=1e-3)
    assert painted.mask.sum() * 8.0 == pytest.approx(expected, rel=0.05)


def test_the_even_odd_rule_pixel_by_pixel():
    """Against a ray from every pixel, for polygons that cross themselves and each other."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        polygons = [rng.uniform(-4, 24, (rng.integers(3, 9), 2)) for _ in range(3)]
        expected = np.zeros((18, 20), dtype=bool)
        for polygon in polygons:
            for row, column in np.ndindex(18, 20):
                odd = False
                for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
                    if (y0 < row) != (y1 < row) and column >= x0 + (row - y0) / (y1 - y0) * (x1 - x0):
                        odd = not odd
                expected[row, column] ^= odd
        np.testing.assert_array_equal(inside(polygons, (18, 20)), expected)


def test_area_of_polygons_with_holes():
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10.0]])
    assert area([square, square[::-1] / 2 + 1, square / 10 + 2]) == pytest.approx(100 - 25 + 1)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (on_plane(circle(20, 15, 5), 2.4), "lies 1.60 mm off every plane of the series"),
        (GRID.index_to_physical([(x, y, 2 + y / 40) for x, y in circle(20, 15, 5)]), "off every plane of the series"),
        (on_plane(circle(20, 15, 5), 9), "lies outside the series, at plane 10 of 6"),
        (on_plane(circle(20.5, 15.5, 0.1)), "no centre of a voxel lies inside"),
    ],
)  # fmt: skip
def test_contours_that_are_refused(points, said):
    with pytest.raises(UnfitError, match=said):
        paint([points], GRID)


def test_planes_that_were_left_out_are_told():
    painted = paint([on_plane(circle(20, 15, 5), 1), on_plane(circle(20, 15, 5), 4)], GRID)
    assert painted.notes == ("2 planes between drawn ones hold no contour (plane 3 first)",)


def test_points_and_open_lines_are_no_roi(tmp_path):
    series = mr(Study(), tmp_path / "in")
    corners = [series.mm(5, 5, 2), series.mm(9, 5, 2), series.mm(9, 9, 2)]
    rtstruct(series, tmp_path / "in" / "rt", {"GTV": [np.array(corners)]}, "OPEN_PLANAR")
    rois, _ = list_rois(found_in(tmp_path / "in").drawn)
    with pytest.raises(UnfitError, match="no closed contour, 1 of other kinds"):
        read_contours(rois[0])


def test_the_volume_of_a_real_roi_is_that_of_its_contours(real_dicom):
    """STS_001: two ROIs on T1 and on T2 with fat saturation, oblique planes 5.2 mm apart."""
    found = found_in(real_dicom / "sts001_raw_T1_T2FS_rtstruct")
    rois, _ = list_rois(found.drawn)
    assert len(rois) == 4
    volumes = {}
    for roi in rois:
        (part,) = [part for part in found.parts if part.series in roi.series]
        contours, notes = read_contours(roi)
        painted = paint(contours, part.stack.geometry)
        assert not notes and not painted.notes
        own = painted.mask.sum() * np.prod(part.stack.geometry.spacing_mm)
        assert own == pytest.approx(painted.drawn_mm3, rel=5e-4)
        volumes.setdefault(roi.name, []).append(own)
    for one, other in volumes.values():
        assert one == pytest.approx(other, rel=2e-3)  # the same tumour on both series


# --- SEG ---


def _plane_of(one):
    return one.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]


def _measures_of(one):
    return one.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


def mask(seed, shape=(24, 20)):
    return np.random.default_rng(seed).random(shape) < 0.3


def test_sparse_and_overlapping_segments(tmp_path):
    series = mr(Study(), tmp_path / "in")
    seg(series, tmp_path / "in" / "seg", [(1, 5, mask(1)), (2, 5, mask(2)), (1, 2, mask(3))])
    found = found_in(tmp_path / "in")
    rois, _ = list_rois(found.drawn)
    assert [roi.name for roi in rois] == ["Tumor 1", "Tumor 2"]
    grid = found.parts[0].stack.geometry
    first, second = (paint_segment(roi, grid).mask for roi in rois)
    np.testing.assert_array_equal(first[[2, 5]], [mask(3), mask(1)])
    np.testing.assert_array_equal(second[5], mask(2))
    assert first.sum() == mask(3).sum() + mask(1).sum() and second.sum() == mask(2).sum()


def test_fractional_segments_count_from_a_half_on(tmp_path):
    series = mr(Study(), tmp_path / "in")
    values = np.random.default_rng(0).integers(0, 201, (24, 20))
    seg(series, tmp_path / "in" / "seg", [(1, 3, values)], kind="FRACTIONAL", bits=8)
    found = found_in(tmp_path / "in")
    rois, _ = list_rois(found.drawn)
    assert "what is at least half counts as tumour" in rois[0].doubt
    np.testing.assert_array_equal(paint_segment(rois[0], found.parts[0].stack.geometry).mask[3], values >= 100)


def test_label_maps(tmp_path):
    series = mr(Study(), tmp_path / "in")
    values = np.random.default_rng(0).integers(0, 4, (24, 20))
    seg(series, tmp_path / "in" / "seg", [(2, 3, values)], kind="LABELMAP", bits=8)
    found = found_in(tmp_path / "in")
    rois, _ = list_rois(found.drawn)
    np.testing.assert_array_equal(paint_segment(rois[0], found.parts[0].stack.geometry).mask[3], values == 2)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda one: setattr(_plane_of(one), "ImagePositionPatient", [0, 0, 0]), "lies between the voxels"),
        (lambda one: setattr(_measures_of(one), "PixelSpacing", [1, 1]), "lies between the voxels"),
        (lambda one: setattr(one, "SegmentationType", "OTHER"), "type 'OTHER', expected BINARY"),
        (lambda one: setattr(one, "PixelData", bytes(60)), "is empty"),
        (lambda one: setattr(one, "PixelData", b""), "truncated|no pixels"),
    ],
)  # fmt: skip
def test_segments_that_are_refused(tmp_path, spoil, said):
    series = mr(Study(), tmp_path / "in")
    seg(series, tmp_path / "in" / "seg", [(1, 5, mask(1))], change=spoil)
    found = found_in(tmp_path / "in")
    rois, _ = list_rois(found.drawn)
    with pytest.raises(UnfitError, match=said):
        paint_segment(rois[0], found.parts[0].stack.geometry)


def test_real_segmentations_against_highdicom(shared_data):
    """Binary, and a sparse label map, on a CT: the same voxels at the same places."""
    found = found_in(shared_data / "dicom_seg")
    (part,) = [part for part in found.parts if part.facts.description == "Image 24x38x3"]
    rois = [roi for roi in list_rois(found.drawn)[0] if part.series in roi.series]
    assert len(rois) == 2
    for roi in rois:
        own = paint_segment(roi, part.stack.geometry).mask
        drawn = highdicom.seg.segread(roi.path).get_volume(segment_numbers=[roi.number], combine_segments=False)
        at = np.argwhere(drawn.array[..., 0])
        x, y, z = np.rint(part.stack.geometry.physical_to_index(drawn.map_indices_to_reference(at))).astype(int).T
        assert len(at) == own.sum() > 0 and own[z, y, x].all()


def test_a_real_fractional_segmentation_against_dcm2niix(real_dicom, dcm2niix, tmp_path):
    """42 of 60 planes of a breast, 8 bits, occupancy of 255."""
    folder = real_dicom / "ucsf_br_06_dce_pe1_seg"
    found = found_in(folder)
    (roi,), _ = list_rois(found.drawn)
    grid = found.parts[0].stack.geometry
    own = paint_segment(roi, grid).mask
    images = images_of_dcm2niix(dcm2niix, folder, tmp_path / "out")
    image = sitk.ReadImage(str(next(path for path, series in images.items() if series == found.drawn[0].series)))
    at = np.argwhere(sitk.GetArrayFromImage(image) >= 127.5)[:, ::-1]
    places = at @ (np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()).T + image.GetOrigin()
    index = grid.physical_to_index(places)
    x, y, z = np.rint(index).astype(int).T
    assert np.abs(index - np.rint(index)).max() < 1e-3
    assert len(at) == own.sum() == 82527 and own[z, y, x].all()


def test_a_segmentation_of_another_frame_of_reference(shared_data):
    """Overlapping segments and a liver whose CT is not there: listed, and not to be converted."""
    found = found_in(shared_data / "dicom_seg")
    rois, _ = list_rois(found.drawn)
    names = [roi.name for roi in rois]
    assert {"GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE"} < set(names) and names.count("Liver") == 2
    known = {part.series for part in found.parts}
    assert all(not known & set(roi.series) for roi in rois if roi.name != "Liver")
    overlapping = next(roi for roi in rois if roi.name == "GREEN")
    assert pydicom.dcmread(overlapping.path).NumberOfFrames == 7
