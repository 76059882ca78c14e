"""Grad-CAM against MONAI's, against finite differences, and against what a receptive field really sees."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from guided_networks import eventful_encoder, guided_input, guided_plan, unsettle_norms
from monai.visualize import GradCAM
from tiny_models import brightness_encoder, random_input, tiny_fold, tiny_plan
from torch import nn

from autodls.models.encoder import SequenceEncoder
from autodls.models.folded import FoldedEncoder
from autodls.models.gradcam import activation_map, fold_maps, heat_maps, shuffled, to_input_size
from autodls.models.network import class_logit
from autodls.records.scale import LogisticScale

FEATURES, STRIDE_PX = 2048, 32  # of a ResNet-50


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Small tensors gain nothing from threads, and lose much where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained_encoder():
    """A ResNet-50 whose batch norms do something, so that folding is part of what is tested."""
    draw = torch.Generator().manual_seed(0)
    encoder = SequenceEncoder("resnet50", dropout=0.3, batch_norm_momentum=0.1)
    encoder.start_from_random(draw)
    unsettle_norms(encoder, draw, bias=0)
    with torch.no_grad():
        encoder.eval().net.fc.weight.normal_(0, 0.5, generator=draw)
        usual = encoder.features(torch.randn(4, 3, 64, 64, generator=draw)).mean(dim=(0, 2, 3))
        usual /= usual.norm()
        encoder.net.fc.weight -= (encoder.net.fc.weight @ usual)[:, None] * usual  # else all cells are of one sign
    return encoder


class Margin(nn.Module):
    """The class margin as a network of one output, for MONAI."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, planes):
        return class_logit(self.encoder(planes))[:, None]


@pytest.fixture
def exact(monkeypatch):
    """Weights are folded, and not rounded."""
    monkeypatch.setattr("autodls.models.folded._rounded", lambda weight: weight)


@pytest.mark.usefixtures("exact")
def test_equals_monai_for_a_sequence_model(trained_encoder):
    plan = tiny_plan(("T1WI",), input_size_px=96)
    pixels, present = random_input(plan, cases=3)
    monai = GradCAM(nn_module=Margin(trained_encoder.net), target_layers="encoder.layer4")
    expected = monai.compute_map(pixels[:, 0], class_idx=0).detach().numpy()
    folded = FoldedEncoder.from_state(trained_encoder.net.state_dict())
    fold = tiny_fold(plan, encoder=lambda: folded, feature_channels=FEATURES)
    found = fold_maps(fold, pixels, present).by_sequence["T1WI"]
    assert found.shape == (3, 1, 3, 3)  # one map for all planes: they are the channels of one picture
    assert 0 < (expected > 0).mean() < 1  # so that rectification is part of what is tested
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())


@pytest.mark.usefixtures("exact")
def test_activation_map_equals_monai_for_one_class(trained_encoder):
    pixels = random_input(tiny_plan(("T1WI",), input_size_px=64), cases=2)[0][:, 0]
    expected = GradCAM(nn_module=trained_encoder.net, target_layers="layer4").compute_map(pixels, class_idx=1)
    folded = FoldedEncoder.from_state(trained_encoder.net.state_dict())
    features = folded.features(pixels).requires_grad_()
    (gradients,) = torch.autograd.grad(folded.logits(features, pixels)[:, 1].sum(), features)
    found = activation_map(features, gradients).relu()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.max().item())


def test_cells_of_a_sequence_map_add_up_to_its_margin():
    plan = tiny_plan()
    pixels, present = random_input(plan)
    fold = tiny_fold(plan, slope=2.5)
    maps = fold_maps(fold, pixels, present, rectified=False)
    logits = fold.logits(pixels, present)
    for name, values in maps.by_sequence.items():
        bias = 0.3  # of the brightness encoder's positive class
        expected = 2.5 * (logits.by_sequence[name].numpy() - bias)
        np.testing.assert_allclose(values.sum(axis=(1, 2, 3)), expected, rtol=1e-5)


@pytest.mark.parametrize("fused_by", ["transformer", "mean"])
def test_cells_add_up_to_the_margin_of_an_encoder_that_the_roi_guides(fused_by):
    """Its gradient differs from cell to cell, so each keeps its own."""
    encoder = FoldedEncoder.from_state(eventful_encoder("resnet8", roi_guided=True).net.state_dict())
    plan = guided_plan()
    pixels = torch.stack([guided_input(seed=seed) for seed in (1, 2)], dim=1)
    present = torch.ones(2, 2, dtype=torch.bool)
    fold = tiny_fold(plan, encoder=lambda: encoder, feature_channels=encoder.channels, slope=2.5)
    fold = replace(fold, fused_by=fused_by)
    maps, logits = fold_maps(fold, pixels, present, rectified=False), fold.logits(pixels, present)
    bias = float(encoder.fc[1][1] - encoder.fc[1][0])
    for name, values in maps.by_sequence.items():
        assert values.shape == (2, 3, 8, 8)  # a map for each plane
        expected = 2.5 * (logits.by_sequence[name].numpy() - bias)
        np.testing.assert_allclose(values.sum(axis=(1, 2, 3)), expected, rtol=1e-4, atol=1e-4)
        if fused_by == "mean":  # half of a sequence's log-odds, on the scale of the fused score
            np.testing.assert_allclose(maps.fused[name], 2.5 / 2 * values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fused_by", ["transformer", "mean"])
def test_planes_that_the_roi_guides_have_maps_of_their_own(fused_by):
    """They were added up, though each plane is a picture of its own: the map of one went over the others."""
    encoder = FoldedEncoder.from_state(eventful_encoder("resnet8", roi_guided=True).net.state_dict())
    plan = guided_plan()
    present = torch.ones(2, 2, dtype=torch.bool)
    fold = tiny_fold(plan, encoder=lambda: encoder, feature_channels=encoder.channels)
    fold = replace(fold, fused_by=fused_by)
    pixels = torch.stack([guided_input(seed=seed) for seed in (1, 2)], dim=1)
    turned = pixels[:, :, [1, 0, 2, 4, 3, 5]]  # axial and sagittal exchanged, each with its ROI
    maps, exchanged = (fold_maps(fold, planes, present, rectified=False) for planes in (pixels, turned))
    for name, found in maps.by_sequence.items():
        axial, sagittal, coronal = found.swapaxes(0, 1)
        assert np.abs(axial - sagittal).max() > 0.1 * np.abs(axial).max()
        assert np.abs(axial - coronal).max() > 0.1 * np.abs(axial).max()
        np.testing.assert_allclose(exchanged.by_sequence[name], found[:, [1, 0, 2]], rtol=1e-4, atol=1e-6)
    blank = pixels.clone()
    blank[:, :, 2] += 3.0  # the coronal plane alone
    for name, found in fold_maps(fold, blank, present, rectified=False).by_sequence.items():
        np.testing.assert_allclose(found[:, :2], maps.by_sequence[name][:, :2], rtol=1e-4, atol=1e-6)
        assert np.abs(found[:, 2] - maps.by_sequence[name][:, 2]).max() > 1e-3


def test_fused_map_equals_finite_differences_through_transformer_and_pca():
    plan = tiny_plan()
    pixels, present = random_input(plan, cases=1)
    fold = tiny_fold(plan, seed=3, slope=0.5)
    found = fold_maps(fold, pixels, present, rectified=False).fused
    maps = [encoder.features(pixels[:, i]).double() for i, encoder in enumerate(fold.encoders.values())]
    fusion, step = fold.fusion.double(), 1e-4

    def margin(features):
        pairs = zip(fold.projections.values(), features, strict=True)
        projected = [
            torch.einsum("kc,nchw->nkhw", pca.components.double(), one - pca.mean.double()[:, None, None]) / pca.scale
            for pca, one in pairs
        ]
        return float(class_logit(fusion(torch.stack(projected, dim=1), present)))

    with torch.no_grad():
        for index, name in enumerate(plan.sequences):
            expected = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
            for channel in range(4):
                shifted = [[one.clone() for one in maps] for _ in range(2)]
                shifted[0][index][:, channel] += step
                shifted[1][index][:, channel] -= step
                weight = (margin(shifted[0]) - margin(shifted[1])) / (2 * step) / 16  # mean over the cells
                expected += weight * maps[index][:, channel]
            np.testing.assert_allclose(found[name], 0.5 * expected, rtol=1e-3, atol=1e-4 * np.abs(found[name]).max())
            assert np.abs(found[name]).max() > 1e-5


def test_cases_of_a_batch_do_not_see_each_other():
    plan = tiny_plan()
    pixels, present = random_input(plan, cases=3)
    fold = tiny_fold(plan)
    together = fold_maps(fold, pixels, present, rectified=False)
    alone = fold_maps(fold, pixels[1:2], present[1:2], rectified=False)
    for name in plan.sequences:
        np.testing.assert_allclose(together.fused[name][1:2], alone.fused[name], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(together.by_sequence[name][1:2], alone.by_sequence[name], rtol=1e-4, atol=1e-7)


def test_a_missing_sequence_has_an_empty_map_and_leaves_the_other_alone():
    plan = tiny_plan()
    pixels, present = random_input(plan)
    present[:, 1] = False
    fold = tiny_fold(plan)
    maps = fold_maps(fold, pixels, present, rectified=False)
    pixels[:, 1] = 7.0
    again = fold_maps(fold, pixels, present, rectified=False)
    assert not maps.fused["CE-T1WI"].any()
    assert not maps.by_sequence["CE-T1WI"].any()
    assert maps.fused["T1WI"].any()
    np.testing.assert_array_equal(maps.fused["T1WI"], again.fused["T1WI"])


def test_ensemble_is_the_mean_of_the_folds_on_their_common_scale():
    plan = tiny_plan()
    pixels, present = random_input(plan)
    plain = [tiny_fold(plan, seed) for seed in (0, 1)]
    scaled = [tiny_fold(plan, 0, slope=3.0), tiny_fold(plan, 1, slope=0.5)]
    parts = [fold_maps(fold, pixels, present) for fold in plain]
    found = heat_maps(scaled, pixels, present)
    for name in plan.sequences:
        for kind in ("by_sequence", "fused"):
            first, second = (getattr(part, kind)[name] for part in parts)
            np.testing.assert_allclose(getattr(found, kind)[name], (3.0 * first + 0.5 * second) / 2, rtol=1e-4)
            assert getattr(found, kind)[name].min() >= 0


def test_shuffling_keeps_the_weights_but_not_their_order():
    fold = tiny_fold(tiny_plan())
    mixed = shuffled(fold, np.random.default_rng(0))
    for name, encoder in fold.encoders.items():
        before, after = (
            encoder.convolutions["layer2.0.conv2"][0],
            mixed.encoders[name].convolutions["layer2.0.conv2"][0],
        )
        assert torch.equal(before.flatten().sort().values, after.flatten().sort().values)
        assert not torch.equal(before, after)
    assert mixed.fusion is fold.fusion
    assert torch.equal(fold.encoders["T1WI"].convolutions["conv1"][0], brightness_encoder().convolutions["conv1"][0])


def test_cells_are_placed_where_their_receptive_field_is_centred(trained_encoder):
    folded = FoldedEncoder.from_state(trained_encoder.net.state_dict())
    pixels = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(1), requires_grad=True)
    (gradients,) = torch.autograd.grad(folded.features(pixels)[:, :, 2, 2].sum(), pixels)
    weight = (gradients**2).sum(dim=(0, 1)).numpy()
    seen_at = [(weight.sum(axis=1 - axis) @ np.arange(160)) / weight.sum() for axis in (0, 1)]
    cells = np.zeros((5, 5))
    cells[2, 2] = 1.0
    placed_at = np.unravel_index(to_input_size(cells, 160).argmax(), (160, 160))
    assert placed_at == (2 * STRIDE_PX, 2 * STRIDE_PX)
    np.testing.assert_allclose(seen_at, placed_at, atol=6)  # the border-aligned place would be 15.5 px away


@pytest.mark.parametrize("size_px", [32, 96, 100, 224])
def test_enlarging_passes_through_the_cells_and_stays_within_them(size_px):
    side = -(-size_px // STRIDE_PX)
    cells = np.random.default_rng(0).uniform(size=(2, side, side))
    enlarged = to_input_size(cells, size_px)
    assert enlarged.shape == (2, size_px, size_px)
    np.testing.assert_allclose(enlarged[:, ::STRIDE_PX, ::STRIDE_PX], cells)
    assert enlarged.min() >= cells.min() - 1e-12
    assert enlarged.max() <= cells.max() + 1e-12


def test_a_map_is_weighted_by_the_scale_that_all_folds_share_and_the_fused_score_is_not_changed_by_it():
    plan = tiny_plan()
    fold = tiny_fold(plan)
    wide = replace(fold, common={row: LogisticScale(slope=3.0, intercept=1.0) for row in fold.scales})
    pixels, present = random_input(plan)
    plain, scaled = (fold_maps(one, pixels, present, rectified=False) for one in (fold, wide))
    for name, picture in plain.fused.items():
        np.testing.assert_allclose(scaled.fused[name], 3 * picture, rtol=1e-5)
    mean, wide_mean = (replace(one, fused_by="mean") for one in (fold, wide))
    torch.testing.assert_close(wide_mean.logits(pixels, present).fused, mean.logits(pixels, present).fused)
