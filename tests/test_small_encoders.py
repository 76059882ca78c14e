"""The small encoders, with and without the ROI: their shape, their cost, and that they fold like the large ones."""

import pytest
import torch
from guided_networks import eventful_encoder, guided_input
from monai.networks.nets import ResNetBlock
from torch import nn

from autodls.models.encoder import SequenceEncoder
from autodls.models.folded import FoldedEncoder
from autodls.models.pooling import input_channels
from autodls.planning.encoder_cost import encoder_cost, feature_channels
from autodls.records.encoders import encoder_stride_px
from autodls.records.network_shape import PLANE_COUNT

NETWORKS = [(name, guided) for name in ("resnet8", "resnet18") for guided in (False, True)]
networks = pytest.mark.parametrize(("name", "roi_guided"), NETWORKS)


def folded(encoder):
    return FoldedEncoder.from_state(encoder.net.state_dict())


@networks
@pytest.mark.parametrize("size_px", [50, 64])
def test_folded_encoder_equals_the_trained_one(name, roi_guided, size_px, monkeypatch):
    monkeypatch.setattr("autodls.models.folded._rounded", lambda weight: weight)
    trained, inputs = eventful_encoder(name, roi_guided=roi_guided), guided_input(2, size_px, roi_guided=roi_guided)
    scoring = folded(trained)
    with torch.inference_mode():
        expected, features = trained.features(inputs), scoring.features(inputs)
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5 * float(expected.max()))
        torch.testing.assert_close(scoring.logits(features, inputs), trained(inputs), rtol=1e-4, atol=1e-4)
    side = -(-size_px // encoder_stride_px(name))
    assert expected.shape == (2, feature_channels(name, roi_guided=roi_guided), side, side)
    assert (scoring.channels, scoring.stride_px) == (expected.shape[1], trained.stride_px)
    assert scoring.roi_guided == roi_guided


@networks
def test_folded_encoder_is_stored_without_loss(name, roi_guided):
    scoring = folded(eventful_encoder(name, roi_guided=roi_guided))
    back = FoldedEncoder.from_tensors(scoring.tensors())
    inputs = guided_input(roi_guided=roi_guided)
    assert torch.equal(back.unpacked().features(inputs), scoring.features(inputs))
    assert all(torch.equal(*pair) for pair in zip(back.fc, scoring.fc, strict=True))


def test_resnet8_is_the_smallest_of_he_et_al():
    """A convolution of 3 x 3 and three blocks of two, of 16, 32 and 64 channels; the second and third halve the map."""
    net = SequenceEncoder("resnet8", 0.0, 0.1).net
    found = [(tuple(one.weight.shape), one.stride) for one in net.modules() if isinstance(one, nn.Conv2d)]
    assert found == [
        ((16, 3, 3, 3), (2, 2)),
        ((16, 16, 3, 3), (1, 1)), ((16, 16, 3, 3), (1, 1)),
        ((32, 16, 3, 3), (2, 2)), ((32, 32, 3, 3), (1, 1)), ((32, 16, 1, 1), (2, 2)),
        ((64, 32, 3, 3), (2, 2)), ((64, 64, 3, 3), (1, 1)), ((64, 32, 1, 1), (2, 2)),
    ]  # fmt: skip
    assert [type(block) for layer in (net.layer1, net.layer2, net.layer3) for block in layer] == [ResNetBlock] * 3


BODY = (
    2 * 16 * 16 * 9 + 16 * 32 * 9 + 32 * 32 * 9 + 32 * 64 * 9 + 64 * 64 * 9  # 3 x 3 of the blocks
    + 16 * 32 + 32 * 64  # projected shortcuts
    + 2 * (16 + 2 * 16 + 3 * 32 + 3 * 64)  # gain and bias of the batch norms
)  # fmt: skip


@pytest.mark.parametrize(
    ("roi_guided", "parameters"),
    [(False, BODY + 3 * 16 * 9 + 2 * 64 + 2), (True, BODY + 2 * 16 * 9 + 2 * 128 + 2)],
)
def test_resnet8_has_as_many_parameters_as_its_layers_by_hand(roi_guided, parameters):
    encoder = SequenceEncoder("resnet8", 0.0, 0.1, roi_guided=roi_guided)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert parameters == (77_506 if roi_guided else 77_522)


@networks
def test_cost_is_that_of_the_network_that_is_built(name, roi_guided):
    """Its parameters, and the maps that its forward pass keeps for the backward pass, its input aside."""
    encoder = SequenceEncoder(name, 0.0, 0.1, roi_guided=roi_guided)
    inputs = guided_input(2, roi_guided=roi_guided)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*encoder.state_dict().values(), inputs)}
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        encoder.train().features(inputs)
    maps = [one for address, one in kept.items() if address not in own and one.is_floating_point() and one.ndim == 4]
    pictures = 2 * PLANE_COUNT * 2 * inputs[0, 0].numel() if roi_guided else 0  # planes and ROIs, turned into pictures
    cost = encoder_cost(name, 64, roi_guided=roi_guided)
    assert cost.parameters == sum(parameter.numel() for parameter in encoder.parameters())
    assert 2 * cost.activations + pictures == pytest.approx(sum(one.numel() for one in maps), rel=0.02)


@networks
def test_last_gain_of_every_block_starts_at_zero(name, roi_guided):
    encoder = SequenceEncoder(name, 0.0, 0.1, roi_guided=roi_guided)
    encoder.start_from_random(torch.Generator().manual_seed(0))
    gains = [block.bn2.weight for block in encoder.modules() if isinstance(block, ResNetBlock)]
    assert len(gains) == {"resnet8": 3, "resnet18": 8}[name]
    assert all((gain == 0).all() for gain in gains)


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_planes_count_alike_and_go_through_the_same_weights(order):
    encoder, inputs = eventful_encoder("resnet8", roi_guided=True), guided_input()
    planes, roi = inputs[:, list(order)], inputs[:, [PLANE_COUNT + plane for plane in order]]
    with torch.inference_mode():
        expected, found = encoder(inputs), encoder(torch.cat([planes, roi], dim=1))
        torch.testing.assert_close(found, expected)
        apart = encoder(torch.cat([planes, inputs[:, PLANE_COUNT:]], dim=1))
    assert not torch.allclose(apart, expected, atol=1e-2), "a plane goes with its own ROI"


def test_the_roi_has_a_say():
    encoder, inputs = eventful_encoder("resnet8", roi_guided=True), guided_input()
    moved = torch.cat([inputs[:, :PLANE_COUNT], inputs[:, PLANE_COUNT:].flip(-1)], dim=1)
    with torch.inference_mode():
        assert not torch.allclose(encoder(moved), encoder(inputs), atol=1e-2)
    assert inputs.shape[1] == input_channels(roi_guided=True)


def test_stages_after_a_gap_are_refused():
    """Each halves the map but the first, so that its map would have another stride than the number of stages says."""
    scoring = folded(eventful_encoder("resnet8", roi_guided=False))
    rest = {name: pair for name, pair in scoring.convolutions.items() if not name.startswith("layer1.")}
    with pytest.raises(ValueError, match="expected"):
        FoldedEncoder(rest, scoring.fc).require_chain()
