"""The encoder that is trained and the one that scores."""

import copy

import pytest
import torch
from guided_networks import unsettle_norms
from torch import nn

from autodls.models.encoder import SequenceEncoder
from autodls.models.folded import FoldedEncoder
from autodls.records.files import sha256_of_bytes
from autodls.records.tensors import load_tensors, save_tensors

BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
# https://docs.pytorch.org/vision/stable/models.html, with 1000 classes
PARAMETERS = {"resnet50": 25_557_032, "resnet101": 44_549_160}


def torchvision_names(encoder):
    """Names of the state dict by the layout of torchvision's ResNet."""
    layers = [("conv1", "bn1")]
    for stage, blocks in enumerate(BLOCKS[encoder], start=1):
        for block in range(blocks):
            place = f"layer{stage}.{block}"
            layers += [(f"{place}.conv{number}", f"{place}.bn{number}") for number in (1, 2, 3)]
        layers.append((f"layer{stage}.0.downsample.0", f"layer{stage}.0.downsample.1"))
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return {
        *(f"{convolution}.weight" for convolution, _ in layers),
        *(f"{batch_norm}.{part}" for _, batch_norm in layers for part in norm),
        "fc.weight",
        "fc.bias",
    }


def meta_encoder(name):
    with torch.device("meta"):
        return SequenceEncoder(name, dropout=0.0, batch_norm_momentum=0.1)


@pytest.fixture(scope="module")
def trained():
    """A ResNet-50 whose batch norms have seen a batch and whose last gains are not zero, in evaluation mode."""
    encoder = SequenceEncoder("resnet50", dropout=0.5, batch_norm_momentum=0.3)
    draw = torch.Generator().manual_seed(0)
    encoder.start_from_random(draw)
    unsettle_norms(encoder, draw, gains=(0.3, 0.6), means=0)
    with torch.no_grad():
        encoder.train()(torch.randn(4, 3, 64, 64, generator=draw))
    return encoder.eval()


@pytest.mark.parametrize("name", BLOCKS)
def test_state_dict_has_the_names_of_torchvision(name):
    assert set(meta_encoder(name).net.state_dict()) == torchvision_names(name)


def test_resnet101_has_626_tensors():
    assert len(meta_encoder("resnet101").net.state_dict()) == 626


@pytest.mark.parametrize("name", BLOCKS)
def test_number_of_parameters_is_the_published_one(name):
    two_classes_less = 998 * (2048 + 1)
    found = sum(parameter.numel() for parameter in meta_encoder(name).parameters())
    assert found == PARAMETERS[name] - two_classes_less


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv1.weight", (64, 3, 7, 7)),
        ("layer1.0.downsample.0.weight", (256, 64, 1, 1)),
        ("layer2.0.conv2.weight", (128, 128, 3, 3)),
        ("layer3.22.conv3.weight", (1024, 256, 1, 1)),
        ("layer4.0.downsample.0.weight", (2048, 1024, 1, 1)),
        ("fc.weight", (2, 2048)),
    ],
)
def test_shapes_of_resnet101(name, shape):
    assert tuple(meta_encoder("resnet101").net.state_dict()[name].shape) == shape


def test_stride_sits_on_the_middle_convolution_as_in_torchvision():
    block = meta_encoder("resnet50").net.layer2[0]
    assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == ((1, 1), (2, 2), (1, 1))


def test_last_gain_of_every_block_starts_at_zero_so_blocks_start_as_identity():
    encoder = SequenceEncoder("resnet50", dropout=0.0, batch_norm_momentum=0.3)
    encoder.start_from_random(torch.Generator().manual_seed(0))
    gains = {name: value for name, value in encoder.named_parameters() if name.endswith("bn3.weight")}
    assert len(gains) == sum(BLOCKS["resnet50"])
    assert all((gain == 0).all() for gain in gains.values())
    maps = torch.rand(1, 256, 4, 4)
    torch.testing.assert_close(encoder.net.layer1[1].eval()(maps), maps)


def spoilt(name):
    """An encoder in memory that nobody has written to yet, which may hold anything."""
    encoder = meta_encoder(name).to_empty(device="cpu")
    for tensor in encoder.state_dict().values():
        tensor.fill_(7)
    return encoder


def test_start_depends_on_the_generator_alone():
    first, third = (SequenceEncoder("resnet50", 0.0, 0.3) for _ in range(2))
    second = spoilt("resnet50")
    for encoder, seed in ((first, 1), (second, 1), (third, 2)):
        encoder.start_from_random(torch.Generator().manual_seed(seed))
    expected = first.state_dict()
    assert all(torch.equal(found, expected[name]) for name, found in second.state_dict().items())
    assert not torch.equal(first.net.conv1.weight, third.net.conv1.weight)


def test_momentum_is_set_in_every_batch_norm():
    norms = [module for module in meta_encoder("resnet101").modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 104
    assert {module.momentum for module in norms} == {0.1}


@pytest.mark.parametrize(("rounded", "tolerance"), [(False, 1e-5), (True, 5e-4)])
@pytest.mark.parametrize("size_px", [32, 50, 64])
def test_folded_encoder_equals_the_network_in_evaluation(trained, size_px, rounded, tolerance, monkeypatch):
    if not rounded:
        monkeypatch.setattr("autodls.models.folded._rounded", lambda weight: weight)
    folded = FoldedEncoder.from_state(trained.net.state_dict())
    planes = torch.randn(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected_features, expected = trained.features(planes), trained(planes)
        features = folded.features(planes)
    assert features.shape == (2, 2048, -(-size_px // 32), -(-size_px // 32))
    assert expected_features.std() > 1e-3
    torch.testing.assert_close(
        features, expected_features, rtol=tolerance, atol=tolerance * float(expected_features.max())
    )
    torch.testing.assert_close(folded.logits(features, planes), expected, rtol=1e-4, atol=1e-5)


def test_folded_encoder_is_stored_without_loss_in_about_half_the_bytes(tmp_path, trained):
    folded = FoldedEncoder.from_state(trained.net.state_dict())
    for name in ("once", "twice"):
        save_tensors(tmp_path / name, folded.tensors())
    content = (tmp_path / "once").read_bytes()
    back = FoldedEncoder.from_tensors(load_tensors(tmp_path / "once", "", sha256_of_bytes(content))[0])
    assert content == (tmp_path / "twice").read_bytes()
    assert len(content) < 0.51 * 4 * sum(weight.numel() for weight, _ in folded.convolutions.values())
    assert back.convolutions.keys() == folded.convolutions.keys()
    for name, pair in folded.convolutions.items():
        assert all(torch.equal(*values) for values in zip(pair, back.convolutions[name], strict=True))
    assert all(torch.equal(*values) for values in zip(folded.fc, back.fc, strict=True))


def test_a_weight_that_half_precision_cannot_hold_stays_as_it_is(trained):
    state = {**trained.net.state_dict(), "conv1.weight": 1e9 * trained.net.conv1.weight.detach()}
    folded = FoldedEncoder.from_state(state)
    assert folded.convolutions["conv1"][0].abs().max() > 65504
    assert folded.tensors()["conv1.weight"].dtype == torch.float32
    assert torch.equal(
        FoldedEncoder.from_tensors(folded.tensors()).convolutions["conv1"][0], folded.convolutions["conv1"][0]
    )


@pytest.mark.parametrize("name", ["resnet8", "resnet18", "resnet50"])
def test_forward_and_its_gradients_are_those_of_monai_bit_for_bit(name):
    """What follows what is told by us, for training and scoring; MONAI says it too."""
    ours = SequenceEncoder(name, dropout=0.0, batch_norm_momentum=0.3)
    ours.start_from_random(torch.Generator().manual_seed(0))
    unsettle_norms(ours, torch.Generator().manual_seed(1), gains=(0.3, 0.6), means=0)
    theirs = copy.deepcopy(ours.net)
    planes = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    found, expected = ours.train()(planes), _monai(theirs.train(), planes)
    assert torch.equal(found, expected)
    for logits in (found, expected):
        logits.square().sum().backward()
    gradients = [dict(net.named_parameters()) for net in (ours.net, theirs)]
    assert all(torch.equal(gradients[0][name].grad, one.grad) for name, one in gradients[1].items())
    state = theirs.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in ours.net.state_dict().items())


def _monai(net, planes):
    """MONAI's own walk, with our mean over places, which sums in another order than its pooling."""
    stem = net.act(net.bn1(net.conv1(planes)))
    stem = stem if net.no_max_pool else net.maxpool(stem)
    return net.fc(net.layer4(net.layer3(net.layer2(net.layer1(stem)))).mean(dim=(2, 3)))


def test_a_feature_that_is_not_kept_has_no_say(trained):
    """Dropout is drawn outside and given: the network draws nothing."""
    planes = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    features = trained.features(planes).detach()
    keep = 2.0 * (torch.rand(2, trained.pooled, generator=torch.Generator().manual_seed(0)) < 0.5)
    pooled = features.mean(dim=(2, 3))
    torch.testing.assert_close(trained.logits(features, planes, keep), trained.net.fc(pooled * keep))
    assert torch.equal(trained.logits(features, planes, torch.ones_like(keep)), trained.logits(features, planes))


def test_folded_encoder_in_bfloat16_gives_float32_near_the_exact_one(trained):
    folded = FoldedEncoder.from_state(trained.net.state_dict())
    planes = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    exact = folded.features(planes)
    rough = folded.to(torch.device("cpu"), torch.bfloat16).features(planes)
    assert rough.dtype == torch.float32
    assert float((rough - exact).norm() / exact.norm()) < 0.05


def test_loaded_weights_keep_the_body_and_draw_the_last_layer_anew(trained):
    weights = {**trained.net.state_dict(), "fc.weight": torch.ones(1000, 2048), "fc.bias": torch.ones(1000)}
    weights = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    encoder = spoilt("resnet50")
    encoder.start_from_weights(weights, torch.Generator().manual_seed(0))
    assert torch.equal(encoder.net.layer4[2].conv3.weight, trained.net.layer4[2].conv3.weight)
    assert torch.equal(encoder.net.bn1.running_var, trained.net.bn1.running_var)
    assert encoder.net.fc.weight.shape == (2, 2048)
    assert encoder.net.bn1.num_batches_tracked == 0
    assert 0 < encoder.net.fc.weight.std() < 0.02


def test_saved_tensors_come_back_exactly_and_as_the_same_bytes(tmp_path, trained):
    state = {name: value for name, value in trained.net.state_dict().items() if name.startswith(("bn1", "conv1"))}
    state["conv1.weight"] = state["conv1.weight"].contiguous(memory_format=torch.channels_last)
    save_tensors(tmp_path / "a.safetensors", state, {"key": "k", "number": 1})
    save_tensors(tmp_path / "b.safetensors", dict(reversed(state.items())), {"number": 1, "key": "k"})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    tensors, note = load_tensors(tmp_path / "a.safetensors", "repair")
    assert note == {"key": "k", "number": 1}
    assert all(torch.equal(tensors[name], state[name]) for name in state)
