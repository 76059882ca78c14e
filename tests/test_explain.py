"""Heat maps of whole cases: in the right place of the patient, shared out over tumour, rim and the rest, drawn."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from guided_networks import eventful_encoder, guided_plan
from small_volumes import ORIENTATIONS, ball, grid_around, oblique
from tiny_models import SEQUENCES, tiny_fold, tiny_model, tiny_plan

from autodls.errors import ArgumentError
from autodls.imaging.geometry import Volume
from autodls.imaging.volumes import read_geometry, write_volume
from autodls.inference.explain import (
    ALL,
    Explanation,
    explain_sample,
    randomisation_check,
    roi_on_planes,
    shares,
    write_explanation,
    write_randomisation,
    write_shares,
)
from autodls.models.folded import FoldedEncoder
from autodls.preprocessing.case import prepare_case
from autodls.preprocessing.planes import find_planes
from autodls.preprocessing.store import Sample
from autodls.records.scores import FUSED
from autodls.report.figures.overlays import Overlay, side_labels, write_overlay

STRIDE_PX = 32  # of a ResNet-50
TUMOUR_MM = np.array([12.0, -30.0, 8.0])
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Small tensors gain nothing from threads, and lose much where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def marker_mm(direction):
    """20 mm from the tumour along the image axis that runs nearest to the patient's left."""
    axes = np.reshape(direction, (3, 3))
    nearest = np.abs(axes[0]).argmax()
    return TUMOUR_MM + 20 * axes[:, nearest] * np.sign(axes[0, nearest])


def write_case(folder, direction, spacing_mm=(1.5, 1.5, 2.0), sequences=SEQUENCES):
    """A dim head with a tumour of middle brightness and a bright ball on the tumour's left."""
    size = [round(96 / step) for step in spacing_mm]
    grid = grid_around(TUMOUR_MM, size, spacing_mm, direction)
    chance = np.random.default_rng(0)
    image = 10 + chance.normal(size=grid.size_xyz[::-1])
    image += 40 * ball(grid, TUMOUR_MM).array + 400 * ball(grid, marker_mm(direction), (5, 5, 5)).array
    images = {name: folder / f"case_{name}.nii.gz" for name in sequences}
    for path in images.values():
        write_volume(path, Volume(image.astype(np.float32), grid))
    roi = folder / "case.nii.gz"
    write_volume(roi, ball(grid, TUMOUR_MM))
    return images, roi


def prepare(folder, model, direction=STRAIGHT, **settings):
    images, roi = write_case(folder, direction, **settings)
    return prepare_case("case", images, roi, frozenset({1}), model.plan.preprocessing), roi


def largest_near(path, point_mm, reach_mm=2.0):
    """The largest voxel of a file around an LPS point, by SimpleITK alone."""
    image = sitk.ReadImage(str(path))
    offsets = np.stack(np.meshgrid(*[(-reach_mm, 0.0, reach_mm)] * 3), axis=-1).reshape(-1, 3)
    return max(image.GetPixel(image.TransformPhysicalPointToIndex((point_mm + offset).tolist())) for offset in offsets)


@pytest.mark.parametrize("number", [0, 5, 14, 23, 31, 47])
@pytest.mark.parametrize("tilt_deg", [0.0, 12.0])
def test_the_map_of_a_marker_on_the_left_lies_on_the_left(tmp_path, model, number, tilt_deg):
    direction = oblique(ORIENTATIONS[number], tilt_deg, np.random.default_rng(number))
    sample, roi = prepare(tmp_path, model, direction)
    paths = write_explanation(tmp_path / "heatmaps", explain_sample(model, sample), read_geometry(roi))
    assert [path.name for path in paths] == ["case_dls.nii.gz", "case_T1WI.nii.gz", "case_CE-T1WI.nii.gz"]
    heat = sitk.GetArrayFromImage(sitk.ReadImage(str(paths[2])))
    marker = marker_mm(direction)
    assert marker[0] > TUMOUR_MM[0] + 15
    assert largest_near(paths[2], marker) > 0.6 * heat.max()
    assert largest_near(paths[2], 2 * TUMOUR_MM - marker) < 0.1 * heat.max()
    assert largest_near(paths[2], TUMOUR_MM + 14.0) == 0  # in none of the three planes


def test_explanation_is_pasted_where_the_network_looked(tmp_path, model):
    sample, _ = prepare(tmp_path, model)
    explanation = explain_sample(model, sample)
    rows, columns = explanation.crop
    assert (rows.start, rows.stop, columns.start, columns.stop) == (8, 136, 8, 136)
    for picture in (*explanation.by_sequence.values(), *explanation.fused.values()):
        assert picture.shape == (1, 144, 144)
        outside = picture.copy()
        outside[(0, *explanation.crop)] = 0
        assert not outside.any()
        assert picture.min() >= 0
    np.testing.assert_allclose(explanation.summary[FUSED], sum(explanation.fused.values()))
    assert set(explanation.pictures(FUSED)) == set(SEQUENCES)
    assert set(explanation.pictures("T1WI")) == {"T1WI"}
    peak = np.unravel_index(explanation.by_sequence["T1WI"][0].argmax(), (144, 144))
    marker = np.array([72, 72 + 40])  # 20 mm of 0.5 mm pixels to the right of the picture, which is the left
    assert np.abs(peak - marker).max() <= STRIDE_PX / 2 + 2


def test_a_missing_sequence_has_no_map(tmp_path, model):
    sample, roi = prepare(tmp_path, model, sequences=("CE-T1WI",))
    explanation = explain_sample(model, sample)
    assert list(explanation.by_sequence) == list(explanation.fused) == ["CE-T1WI"]
    np.testing.assert_array_equal(explanation.summary[FUSED], explanation.fused["CE-T1WI"])
    assert len(write_explanation(tmp_path, explanation, read_geometry(roi))) == 2
    assert {row.sequence for row in randomisation_check(model, [sample], np.random.default_rng(0))} == {"CE-T1WI", ALL}


def flat_explanation(*pictures):
    """One sequence, whose own maps are `pictures`; planes of 40 x 40 pixels of 1 mm; no crop."""
    grid = grid_around((0, 0, 0), (48, 48, 48), (1.0, 1.0, 1.0))
    planes = find_planes(ball(grid).array, grid, 1.0, 40.0)
    whole = (slice(0, 40), slice(0, 40))
    return Explanation("case", planes, whole, {"T1WI": np.stack(pictures)}, {"T1WI": np.zeros((1, 40, 40))})


def test_shares_of_a_half_plane_are_as_counted_by_hand():
    picture = np.tile(np.arange(1.0, 41.0), (40, 1))
    rois = np.zeros((3, 40, 40), dtype=bool)
    rois[0, :, :10] = True
    rois[1, 20, 20] = True
    rows = {(row.score, row.plane): row for row in shares(flat_explanation(picture), rois) if row.sequence == "T1WI"}
    axial = rows["T1WI", "axial"]
    assert (axial.tumour_area, axial.rim_area, axial.outside_area) == (0.25, 0.125, 0.625)
    np.testing.assert_allclose((axial.tumour, axial.rim, axial.outside), np.array([55, 65, 700]) / 820)
    lattice_points = 81  # with 0 < x^2 + y^2 <= 25, less the centre
    assert rows["T1WI", "sagittal"].rim_area == pytest.approx((lattice_points - 1) / 1600)
    coronal = rows["T1WI", "coronal"]
    assert (coronal.tumour, coronal.rim_area) == (None, None)  # no tumour in this plane
    fused = rows[FUSED, "axial"]
    assert (fused.tumour, fused.tumour_area) == (None, 0.25)  # an empty map has no shares, the regions have areas


def test_shares_of_a_plane_are_those_of_its_own_map():
    left, right = np.zeros((2, 40, 40))
    left[:, :10], right[:, 30:] = 1.0, 1.0
    rois = np.zeros((3, 40, 40), dtype=bool)
    rois[:, :, :10] = True
    rows = [row for row in shares(flat_explanation(left, right, left + right), rois) if row.score == "T1WI"]
    assert [row.tumour for row in rows] == [1.0, 0.0, 0.5]


def test_shares_add_up_and_are_written_with_empty_cells(tmp_path, model):
    sample, roi = prepare(tmp_path, model)
    rois = roi_on_planes(ball(read_geometry(roi), TUMOUR_MM), sample.planes)
    rows = shares(explain_sample(model, sample), rois)
    assert len(rows) == 3 * (2 + 2 + 1)
    for row in rows:
        if row.tumour is not None:
            assert row.tumour + row.rim + row.outside == pytest.approx(1)
        assert row.tumour_area + row.rim_area + row.outside_area == pytest.approx(1)
    write_shares(tmp_path / "shares.csv", rows)
    with (tmp_path / "shares.csv").open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    assert [line["plane"] for line in lines[:3]] == ["axial", "sagittal", "coronal"]
    assert float(lines[0]["rim_area"]) == rows[0].rim_area
    assert {line["sequence"] for line in lines if line["score"] == FUSED} == {*SEQUENCES, ALL}


def test_shares_refuse_an_roi_of_another_size():
    with pytest.raises(ArgumentError, match=r"\(3, 4, 4\), expected \(3, 40, 40\)"):
        shares(flat_explanation(np.ones((40, 40))), np.zeros((3, 4, 4), dtype=bool))


class NoChance:
    """A generator that shuffles nothing."""

    def permutation(self, count):
        return np.arange(count)


def test_randomisation_check_tells_changed_weights_from_unchanged(tmp_path):
    plan = tiny_plan(input_size_px=224, slice_size_px=240)
    model = tiny_model(plan, [tiny_fold(plan, seed, encoder=structured_encoder) for seed in (0, 1)])
    sample, _ = prepare(tmp_path, model)
    unchanged = randomisation_check(model, [sample], NoChance())
    assert [row.spearman for row in unchanged] == pytest.approx([1.0] * len(unchanged))
    changed = randomisation_check(model, [sample], np.random.default_rng(1))
    assert [(row.score, row.sequence) for row in changed] == [(row.score, row.sequence) for row in unchanged]
    assert max(abs(row.spearman) for row in changed) < 0.9
    twice = randomisation_check(model, [sample, sample], np.random.default_rng(1))
    assert twice == changed + changed  # the same shuffled network for all samples


def structured_encoder():
    """An encoder with random filters, whose map depends on them."""
    draw = torch.Generator().manual_seed(5)
    shapes = {"conv1": (4, 3, 7, 7)}
    for stage in (1, 2, 3, 4):
        block = f"layer{stage}.0"
        shapes |= {f"{block}.conv{n}": (4, 4, k, k) for n, k in ((1, 1), (2, 3), (3, 1))}
        shapes[f"{block}.downsample.0"] = (4, 4, 1, 1)
    convolutions = {
        name: (
            torch.randn(shape, generator=draw) * (2 / np.prod(shape[1:])) ** 0.5,
            0.1 * torch.randn(4, generator=draw),
        )
        for name, shape in shapes.items()
    }
    return FoldedEncoder(convolutions, (torch.randn(2, 4, generator=draw), torch.zeros(2)))


def test_a_constant_map_has_no_rank_correlation(tmp_path, model):
    planes = flat_explanation(np.ones((40, 40))).planes
    stored = tuple(plane.resized(144) for plane in planes)
    pixels, roi = np.zeros((2, 3, 144, 144), np.float32), np.zeros((3, 144, 144), bool)
    flat = Sample("flat", pixels, np.ones(2, bool), roi, stored, (), "")
    rows = randomisation_check(model, [flat], np.random.default_rng(0))
    assert [row.spearman for row in rows if row.score != FUSED] == [None, None]
    write_randomisation(tmp_path / "randomisation.csv", rows)
    lines = (tmp_path / "randomisation.csv").read_text().splitlines()
    assert lines[:2] == ["case,score,sequence,spearman", "flat,T1WI,T1WI,"]


def overlay_of(sample, explanation, score, target="PD-L1 high"):
    rois = np.zeros((3, 144, 144), dtype=bool)
    rois[:, 60:80, 60:80] = True
    return Overlay(sample, SEQUENCES, rois, explanation.pictures(score), score, target)


@pytest.mark.parametrize("score", [FUSED, "T1WI"])
def test_overlays_are_written_and_the_same_each_time(tmp_path, model, score):
    sample, _ = prepare(tmp_path, model)
    overlay = overlay_of(sample, explain_sample(model, sample), score, target="$x_{<b>\\frac")
    for name in ("a.png", "b.png"):
        write_overlay(tmp_path / name, overlay)
    content = (tmp_path / "a.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content == (tmp_path / "b.png").read_bytes()
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    assert width > 1000
    assert height > (700 if score == FUSED else 400)


def test_maps_of_a_guided_network_are_drawn_and_written_plane_by_plane(tmp_path):
    plan = guided_plan(input_size_px=128)
    encoder = FoldedEncoder.from_state(eventful_encoder("resnet8", roi_guided=True).net.state_dict())
    guided = tiny_model(plan, [tiny_fold(plan, encoder=lambda: encoder, feature_channels=encoder.channels)])
    sample, roi = prepare(tmp_path, guided)
    explanation = explain_sample(guided, sample)
    assert all(maps.shape == (3, 136, 136) for maps in explanation.summary.values())
    axial, sagittal, coronal = explanation.fused["T1WI"]  # the marker lies in axial and coronal alone
    assert min(axial.max(), coronal.max()) > 1.2 * sagittal.max() > 0
    assert len(randomisation_check(guided, [sample], np.random.default_rng(0))) == 5
    summed = replace(explanation, fused={name: maps.sum(axis=0)[None] for name, maps in explanation.fused.items()})
    rois = roi_on_planes(ball(read_geometry(roi), TUMOUR_MM), sample.planes)
    for name, one in (("own", explanation), ("summed", summed)):
        write_overlay(tmp_path / f"{name}.png", Overlay(sample, SEQUENCES, rois, one.fused, FUSED, "x"))
    assert (tmp_path / "own.png").read_bytes() != (tmp_path / "summed.png").read_bytes()


def test_each_plane_of_an_image_in_the_patient_has_its_own_map(tmp_path):
    grid = grid_around((0, 0, 0), (48, 48, 48), (1.0, 1.0, 1.0))
    explanation = flat_explanation(*(value * np.ones((40, 40)) for value in (1, 2, 3)))
    path = write_explanation(tmp_path, explanation, grid)[1]
    heat = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    axial, sagittal, coronal = (plane.index for plane in explanation.planes)
    assert (heat[axial, 12, 12], heat[12, 12, sagittal], heat[12, coronal, 12]) == (1, 2, 3)
    assert heat[axial, coronal, sagittal] == 3  # where they cross


def test_overlay_refuses_what_does_not_fit(tmp_path, model):
    sample, _ = prepare(tmp_path, model)
    good = overlay_of(sample, explain_sample(model, sample), "T1WI")
    zero = np.zeros((1, 144, 144))
    for pictures, rois, message in (
        ({"FLAIR": zero}, good.rois, "heat map of 'FLAIR'"),
        ({"T1WI": zero[:, :9]}, good.rois, r"shape \(1, 9, 144\), expected 1 or 3 of \(144, 144\)"),
        ({"T1WI": zero[[0, 0]]}, good.rois, r"shape \(2, 144, 144\)"),
        ({}, good.rois, "no heat map to draw"),
        ({"T1WI": zero}, good.rois[:1], r"expected \(3, 144, 144\)"),
    ):
        with pytest.raises(ArgumentError, match=message):
            write_overlay(tmp_path / "x.png", Overlay(sample, SEQUENCES, rois, pictures, "T1WI", "x"))
    write_overlay(tmp_path / "zero.png", Overlay(sample, SEQUENCES, ~good.rois, {"T1WI": zero}, "T1WI", "x"))


@pytest.mark.parametrize(
    ("step_mm", "sides"),
    [((1, 0, 0), ("R", "L")), ((0, 2, 0.3), ("A", "P")), ((0, 0, -0.5), ("S", "I")), ((-0.8, 0.1, 0), ("L", "R"))],
)
def test_sides_follow_the_geometry(step_mm, sides):
    assert side_labels(step_mm) == sides
