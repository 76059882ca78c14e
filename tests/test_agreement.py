"""Automatic against manual ROIs: shapes of known agreement, SimpleITK, MONAI's Dice, brute force, and summaries."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_dice
from pydantic import ValidationError
from scipy import ndimage
from scipy.spatial import cKDTree
from small_volumes import ball, grid_around, lumps, oblique, points_of, random_grid
from tiny_models import tiny_plan

from autodls.analysis.roi_agreement import compare_rois
from autodls.errors import ArgumentError
from autodls.evaluation.agreement import case_agreement
from autodls.evaluation.agreement_records import CaseAgreement
from autodls.evaluation.agreement_summary import metric_values, summarise_agreement, weighted_medians
from autodls.evaluation.plane_agreement import Crop, plane_agreement
from autodls.imaging.geometry import Volume
from autodls.imaging.perturbation import shift
from autodls.imaging.volumes import read_roi

FINE = grid_around((0, 0, 0), (40, 40, 40), (1.0, 1.0, 1.0))
FINER = grid_around((0, 0, 0), (80, 80, 80), (0.5, 0.5, 0.5))


def box(low, high, grid=FINE):
    """Voxels from `low` to before `high`, both in x, y, z."""
    array = np.zeros(grid.size_xyz[::-1], dtype=bool)
    array[tuple(slice(first, last) for first, last in zip(low[::-1], high[::-1], strict=True))] = True
    return Volume(array, grid)


def agree(manual, automatic):
    return case_agreement("case_1", "patient_1", manual, automatic)


def edges_mm(roi):
    """LPS mm of the voxels of `roi` that touch the outside by a face."""
    framed = np.pad(roi.array, 1)
    inner = ndimage.binary_erosion(framed)[1:-1, 1:-1, 1:-1]
    return points_of(roi.geometry)[roi.array & ~inner]


def random_pair(seed):
    chance = np.random.default_rng(seed)
    grid = random_grid(chance, degrees=25.0)
    return lumps(grid, chance), lumps(grid, chance)


def test_the_same_roi_agrees():
    roi = ball(FINE, radii_mm=(9.0, 7.0, 8.0))
    found = agree(roi, roi)
    assert (found.dice, found.surface_dice_2mm, found.hd95_mm) == (1.0, 1.0, 0.0)
    assert (found.volume_error_mm3, found.volume_error_percent, found.centroid_error_mm) == (0.0, 0.0, 0.0)
    assert (found.manual_lesions, found.missed_lesions, found.wrong_lesions) == (1, 0, 0)
    assert found.undefined == {}


@pytest.mark.parametrize("by", [1, 2, 3, 5, 10])
def test_a_cube_that_was_moved(by):
    found = agree(box((5, 10, 10), (15, 20, 20)), box((5 + by, 10, 10), (15 + by, 20, 20)))
    assert found.dice == pytest.approx(1 - by / 10)
    # Over 5 % of a face's voxels lie in the end faces, and those are `by` away.
    assert found.hd95_mm == pytest.approx(by)
    assert found.centroid_error_mm == pytest.approx(by)
    assert found.volume_error_mm3 == 0.0
    assert (found.surface_dice_2mm == 1.0) == (by <= 2)


@pytest.mark.parametrize(("larger_mm", "tolerated"), [(1.0, True), (4.0, False)])
def test_concentric_balls(larger_mm, tolerated):
    inner, outer = (ball(FINER, radii_mm=(radius,) * 3) for radius in (12.0, 12.0 + larger_mm))
    found = agree(inner, outer)
    ratio = (12 / (12 + larger_mm)) ** 3
    assert found.dice == pytest.approx(2 * ratio / (1 + ratio), abs=0.01)
    assert found.volume_error_percent == pytest.approx(100 * (1 / ratio - 1), rel=0.03)
    assert found.hd95_mm == pytest.approx(larger_mm, abs=0.7)
    assert found.surface_dice_2mm == (1.0 if tolerated else 0.0)
    assert found.centroid_error_mm == pytest.approx(0, abs=1e-9)


def test_surface_dice_counts_area_and_not_voxels():
    """Of two slabs on thick slices the outer faces are 4 mm apart and the sides are one."""
    grid = grid_around((0, 0, 0), (40, 40, 12), (1.0, 1.0, 4.0))
    found = agree(box((10, 10, 2), (30, 30, 7), grid), box((10, 10, 2), (30, 30, 8), grid))
    faces, sides = 20 * 20, 4 * 20 * 4
    apart = 2 * faces  # the upper face of both
    # The side of the sixth slice reaches from 0 to 4 mm beyond the other slab: about half of it is tolerated.
    expected = 1 - (apart + sides / 2) / (4 * faces + 11 * sides)
    assert found.surface_dice_2mm == pytest.approx(expected, abs=0.06)
    assert found.hd95_mm == 4.0


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_against_simpleitk_monai_and_brute_force(seed):
    manual, automatic = random_pair(seed)
    found = agree(manual, automatic)
    images = [sitk.GetImageFromArray(roi.array.astype(np.uint8)) for roi in (manual, automatic)]
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(*images)
    assert found.dice == pytest.approx(measures.GetDiceCoefficient())
    pair = [torch.from_numpy(roi.array)[None, None] for roi in (automatic, manual)]
    assert found.dice == pytest.approx(float(compute_dice(*pair)), abs=1e-6)
    first, second = edges_mm(manual), edges_mm(automatic)
    directed = [cKDTree(to).query(start)[0] for start, to in ((first, second), (second, first))]
    expected = max(np.percentile(distances, 95) for distances in directed)
    assert found.hd95_mm == pytest.approx(expected, abs=1e-4)
    apart = points_of(manual.geometry)[manual.array].mean(0) - points_of(manual.geometry)[automatic.array].mean(0)
    assert found.centroid_error_mm == pytest.approx(np.linalg.norm(apart))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_agreement_is_symmetric_where_it_should_be(seed):
    manual, automatic = random_pair(seed)
    there, back = agree(manual, automatic), agree(automatic, manual)
    for name in ("dice", "surface_dice_2mm", "hd95_mm", "centroid_error_mm", "overlap_mm3"):
        assert getattr(there, name) == pytest.approx(getattr(back, name), abs=1e-6)
    assert there.volume_error_mm3 == pytest.approx(-back.volume_error_mm3)
    assert (there.missed_lesions, there.wrong_lesions) == (back.wrong_lesions, back.missed_lesions)
    assert 0 <= there.surface_dice_2mm <= 1
    assert there.missed_lesions <= there.manual_lesions


def test_an_image_border_is_a_surface():
    grid = grid_around((0, 0, 0), (6, 6, 6), (1.0, 1.0, 1.0))
    found = agree(box((0, 0, 0), (6, 6, 6), grid), box((0, 0, 0), (6, 6, 3), grid))
    assert (found.dice, found.hd95_mm) == (pytest.approx(2 / 3), 3.0)
    assert 0 < found.surface_dice_2mm < 1


@pytest.mark.parametrize(
    ("manual", "automatic", "defined", "reason"),
    [
        (True, False, {"dice": 0.0, "surface_dice_2mm": 0.0, "volume_error_percent": -100.0}, "the automatic ROI is"),
        (False, True, {"dice": 0.0, "surface_dice_2mm": 0.0}, "the manual ROI is empty"),
        (False, False, {}, "both ROIs are empty"),
    ],
)
def test_what_is_undefined_is_none_with_a_reason(manual, automatic, defined, reason):
    cube, nothing = box((4, 4, 4), (8, 8, 8)), box((0, 0, 0), (0, 0, 0))
    found = agree(cube if manual else nothing, cube if automatic else nothing)
    names = {"dice", "surface_dice_2mm", "hd95_mm", "volume_error_percent", "centroid_error_mm"}
    assert {name: getattr(found, name) for name in names} == dict.fromkeys(names) | defined
    assert found.undefined.keys() == names - defined.keys()
    assert all(said.startswith(reason) for said in found.undefined.values())
    assert (found.missed_lesions, found.wrong_lesions) == (int(manual), int(automatic))
    assert CaseAgreement.parse(found.model_dump(mode="json"), "here", "") == found


def test_a_null_without_a_reason_cannot_be_written():
    found = agree(box((4, 4, 4), (8, 8, 8)), box((4, 4, 4), (8, 8, 8)))
    with pytest.raises(ValidationError, match="null is"):
        CaseAgreement.model_validate(found.model_dump() | {"hd95_mm": None})


def test_missed_and_wrong_lesions():
    manual, automatic = box((2, 2, 2), (8, 8, 8)), box((6, 6, 6), (12, 12, 12))
    manual.array[20:24, 20:24, 20:24] = True
    automatic.array[30:33, 2:4, 2:4] = automatic.array[30:33, 10:12, 2:4] = True
    found = agree(manual, automatic)
    assert (found.manual_lesions, found.missed_lesions) == (2, 1)
    assert (found.automatic_lesions, found.wrong_lesions) == (3, 2)


def test_a_whole_field_has_found_nothing():
    """The classifier is given it, but it overlaps with every lesion without having found one."""
    manual, field = box((2, 2, 2), (8, 8, 8)), box((0, 0, 0), (40, 40, 40))
    manual.array[20:24, 20:24, 20:24] = True
    plan = tiny_plan().preprocessing
    found, drawn = (compare_rois("case_1", "p", manual, field, plan, source) for source in ("whole-field", "threshold"))
    assert (drawn.missed_lesions, drawn.automatic_lesions) == (0, 1), "so that the next lines can fail"
    assert (found.manual_lesions, found.missed_lesions) == (2, 2)
    assert (found.automatic_lesions, found.wrong_lesions, found.automatic_mm3, found.overlap_mm3) == (0, 0, 0, 0)
    assert (found.dice, found.surface_dice_2mm) == (0, 0)
    undefined = {"volume_error_mm3", "volume_error_percent", "hd95_mm", "centroid_error_mm"}
    assert found.undefined == dict.fromkeys(undefined, "no tumour was found: the whole field is the ROI")
    assert found.planes == drawn.planes, "the planes that the classifier is given"
    another = drawn.model_copy(update={"patient": "p2"})
    lesions = summarise_agreement([found, another], np.random.default_rng(0)).all.lesions
    assert (lesions.missed, lesions.manual, lesions.whole_field, lesions.cases_without_overlap) == (2, 4, 1, 1)
    assert (lesions.missed_share.value, lesions.missed_share.low, lesions.missed_share.high) == (0.5, 0, 1)


def test_rois_on_different_grids_are_refused():
    cube = box((4, 4, 4), (8, 8, 8))
    other = Volume(cube.array, grid_around((3, 0, 0), (40, 40, 40), (1.0, 1.0, 1.0)))
    for compare in (agree, lambda *pair: compare_rois("case_1", "p", *pair, tiny_plan().preprocessing)):
        with pytest.raises(ArgumentError, match=r"case case_1: the manual ROI has 40 x 40 x 40 voxels.*resample"):
            compare(cube, other)


@pytest.mark.parametrize(
    ("moved", "expected_mm", "expected_iou"),
    [((0, 0, 0), 0, 1.0), ((0, 0, 4), 4, 1.0), ((5, 0, 0), 0, 1 / 3), ((5, 5, 1), 1, 1 / 7), ((10, 0, 0), 0, 0.0)],
)
def test_crops_of_known_overlap(moved, expected_mm, expected_iou):
    axes = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)
    there, away = (Crop(tuple(map(float, centre)), *axes, 10.0) for centre in ((0, 0, 0), moved))
    found = plane_agreement({"axial": there}, {"axial": away})["axial"]
    assert (found.plane_error_mm, found.crop_iou) == (pytest.approx(expected_mm), pytest.approx(expected_iou))


def test_a_crop_within_another():
    axes = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)
    small, large = (Crop((0.0, 0.0, 0.0), *axes, side) for side in (5.0, 10.0))
    assert plane_agreement({"axial": small}, {"axial": large})["axial"].crop_iou == pytest.approx(0.25)


def test_squares_that_do_not_lie_alike_are_refused():
    there = Crop((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), 10.0)
    turned = Crop((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 10.0)
    with pytest.raises(ArgumentError, match="axial plane: axis"):
        plane_agreement({"axial": there}, {"axial": turned})
    with pytest.raises(ArgumentError, match=r"planes \['axial'\] against \['coronal'\]"):
        plane_agreement({"axial": there}, {"coronal": there})


@pytest.mark.parametrize("degrees", [0.0, 20.0])
def test_a_moved_roi_moves_planes_and_crops(degrees):
    """Along the image's own axes, also where those are oblique."""
    direction = oblique(np.eye(3), degrees, np.random.default_rng(3))
    grid = grid_around((20.0, 0.0, -30.0), (60, 60, 40), (1.0, 1.0, 2.0), direction)
    manual = ball(grid, (20.0, 0.0, -30.0), (9.0, 8.0, 11.0))
    along_z = tuple((np.reshape(direction, (3, 3)) @ (0.0, 0.0, 6.0)).tolist())
    found = compare_rois("case_1", "p", manual, shift(manual, along_z).roi, tiny_plan().preprocessing)
    errors = {plane: agreement.plane_error_mm for plane, agreement in found.planes.items()}
    assert errors == pytest.approx({"axial": 6.0, "sagittal": 0.0, "coronal": 0.0}, abs=1e-6)
    crops = {plane: agreement.crop_iou for plane, agreement in found.planes.items()}
    assert crops == pytest.approx({"axial": 1.0, "sagittal": (72 - 6) / (72 + 6), "coronal": (72 - 6) / (72 + 6)})
    assert found.centroid_error_mm == pytest.approx(6.0)


def test_without_an_roi_there_are_no_planes():
    cube, nothing = box((4, 4, 4), (8, 8, 8)), box((0, 0, 0), (0, 0, 0))
    assert compare_rois("case_1", "p", cube, nothing, tiny_plan().preprocessing).planes == {}


def made_up(number, manual, automatic, overlap, patient=None, **changes):
    values = {
        "case": f"case_{number}", "patient": patient or f"patient_{number}", "source": "threshold",
        "manual_mm3": manual,
        "automatic_mm3": automatic, "overlap_mm3": overlap, "dice": 2 * overlap / (manual + automatic),
        "surface_dice_2mm": 0.5, "hd95_mm": float(number), "volume_error_mm3": automatic - manual,
        "volume_error_percent": 0.0, "centroid_error_mm": 1.0, "manual_lesions": 1, "automatic_lesions": 2,
        "missed_lesions": 0, "wrong_lesions": 1, "planes": {}, "undefined": {},
    }  # fmt: skip
    return CaseAgreement.model_validate({**values, **changes})


def test_summary_of_a_cohort():
    cases = [made_up(number, 1000.0 * number, 1000.0, 500.0) for number in range(1, 10)]
    summary = summarise_agreement(cases, np.random.default_rng(0))
    assert (summary.all.cases, summary.all.patients) == (9, 9)
    assert summary.all.aggregated_dice.value == pytest.approx(2 * 9 * 500 / (45_000 + 9_000))
    assert summary.all.metrics["dice"].mean.value == pytest.approx(np.mean([case.dice for case in cases]))
    hd95 = summary.all.metrics["hd95_mm"]
    assert (hd95.mean.value, hd95.median.value, hd95.cases, hd95.undefined) == (5.0, 5.0, 9, 0)
    # The standard error of the mean of 1..9 is 0.86: the bootstrap's interval is a little under 1.96 of it.
    assert (hd95.mean.low, hd95.mean.high) == pytest.approx((5 - 1.65, 5 + 1.65), abs=0.25)
    assert 1 <= hd95.median.low < 5 < hd95.median.high <= 9
    assert (summary.all.lesions.automatic, summary.all.lesions.wrong) == (18, 9)
    tertiles = summary.by_volume
    assert {name: part.cases for name, part in tertiles.items()} == {"small": 3, "medium": 3, "large": 3}
    assert (tertiles["medium"].smallest_ml, tertiles["medium"].largest_ml) == (4.0, 6.0)
    assert summarise_agreement(cases, np.random.default_rng(0)) == summary


def test_undefined_cases_are_counted_and_not_averaged():
    names = ("surface_dice_2mm", "hd95_mm", "volume_error_percent", "centroid_error_mm")
    lost = made_up(9, 1000.0, 0.0, 0.0, **dict.fromkeys(names), undefined=dict.fromkeys(names, "why"))
    cases = [made_up(1, 1000.0, 1000.0, 500.0), made_up(3, 1000.0, 1000.0, 500.0), lost]
    summary = summarise_agreement(cases, np.random.default_rng(0))
    hd95 = summary.all.metrics["hd95_mm"]
    assert (hd95.mean.value, hd95.cases, hd95.undefined) == (2.0, 2, 1)
    assert summary.all.metrics["dice"].undefined == 0
    assert summary.all.lesions.cases_without_overlap == 1
    assert summary.by_volume is None
    assert summary.by_volume_reason == "3 cases with a manual ROI, fewer than 6"


def test_patients_are_drawn_and_not_cases():
    """Ten cases of two patients who differ: the mean of a resample is 0, 1/2 or 1."""
    cases = [
        made_up(number, 1000.0, 1000.0, 1000.0, patient="AB"[number % 2], hd95_mm=float(number % 2))
        for number in range(10)
    ]
    mean = summarise_agreement(cases, np.random.default_rng(0)).all.metrics["hd95_mm"].mean
    assert (mean.value, mean.low, mean.high) == (0.5, 0.0, 1.0)


def test_small_cohorts_have_no_invented_numbers():
    nothing = summarise_agreement([], np.random.default_rng(0)).all
    assert (nothing.cases, nothing.metrics, nothing.aggregated_dice.value) == (0, {}, None)
    assert nothing.aggregated_dice.reason == "no case has an ROI"
    single = summarise_agreement([made_up(1, 10.0, 10.0, 5.0)], np.random.default_rng(0)).all.metrics["dice"].mean
    assert (single.value, single.low, single.reason) == (0.5, None, "one case has no interval")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=12))
def test_weighted_median_is_the_median_of_the_drawn_values(drawn):
    values, counts = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    everything = np.repeat(values, counts.astype(int))
    expected = np.median(everything) if everything.size else np.nan
    assert weighted_medians(values, counts[None])[0] == pytest.approx(expected, nan_ok=True)


def test_real_rois_of_gliomas(shared_data):
    path = min((shared_data / "lgg_ht" / "labelsTr").glob("*.nii.gz"))
    roi = read_roi(path, frozenset({1}))
    spacing_x = roi.geometry.spacing_mm[0]
    moved = shift(roi, tuple((roi.geometry.cosines[:, 0] * 3 * spacing_x).tolist())).roi
    found = compare_rois(path.name, "p", roi, moved, tiny_plan().preprocessing)
    assert found.centroid_error_mm == pytest.approx(3 * spacing_x, abs=0.05)
    assert found.planes["sagittal"].plane_error_mm == pytest.approx(3 * spacing_x, abs=1.01)
    assert 0.7 < found.dice < 1
    assert metric_values(found)["crop_iou.axial"] < 1
