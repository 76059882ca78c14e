"""Weights to start from: ImageNet's, a file, or none; anything else is one clear line and never runs code."""

import pickle
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from monai.networks import nets
from safetensors.torch import save_file

from autodls import Study
from autodls.errors import WeightsError
from autodls.models.encoder import SequenceEncoder
from autodls.training.weights import encoder_weights, start_sha256, weights_file


@pytest.fixture(autouse=True)
def no_memory():
    encoder_weights.cache_clear()
    yield
    encoder_weights.cache_clear()


def thin_state(encoder="resnet50"):
    """All tensors of an ImageNet encoder, each one number seen in its full shape, so that a file of them is small."""
    with torch.device("meta"):
        state = SequenceEncoder(encoder, 0.0, 0.1).net.state_dict()
    state |= {"fc.weight": torch.empty(1000, 2048, device="meta"), "fc.bias": torch.empty(1000, device="meta")}
    return {
        name: torch.tensor(number, dtype=value.dtype).expand(value.shape)
        for number, (name, value) in enumerate(state.items())
    }


def assert_names_the_three_ways(failure):
    text = str(failure.value)
    assert "\n" not in text
    for way in ("--encoder-weights FILE", "'imagenet'", "--encoder-weights random"):
        assert way in text
    return text


def refused(path, encoder="resnet50"):
    with pytest.raises(WeightsError) as failure:
        encoder_weights(encoder, str(path))
    return assert_names_the_three_ways(failure)


def write(path, state):
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def test_random_has_no_weights():
    assert encoder_weights("resnet101", "random") is None


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_file_exchanged_after_it_was_hashed_is_not_used(tmp_path, name):
    path = write(tmp_path / name, thin_state())
    hashed = start_sha256(str(path))
    assert encoder_weights("resnet50", str(path), hashed) is not None
    encoder_weights.cache_clear()
    write(path, {key: value + 1 for key, value in thin_state().items()})
    with pytest.raises(WeightsError, match="exchanged since training began"):
        encoder_weights("resnet50", str(path), hashed)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_file_with_the_names_of_torchvision_is_loaded(tmp_path, name):
    state = thin_state()
    found = encoder_weights("resnet50", str(write(tmp_path / name, state)))
    assert found.keys() == state.keys()
    encoder = SequenceEncoder("resnet50", 0.0, 0.1)
    encoder.start_from_weights(found, torch.Generator().manual_seed(0))
    kernel = encoder.net.layer3[5].conv2.weight
    assert torch.equal(kernel, state["layer3.5.conv2.weight"])


def monais(name="resnet18"):
    """State dict of MONAI's own 2D network, with its own names and its own classes."""
    net = getattr(nets, name)(spatial_dims=2, n_input_channels=3, num_classes=4, bias_downsample=False)
    return net.state_dict()


WRAPPED = {
    "plain": lambda state: state,
    "module": lambda state: {f"module.{key}": value for key, value in state.items()},
    "model": lambda state: {"model": state, "epoch": 3, "optimizer": {"lr": 0.1}},
    "state_dict": lambda state: {"epoch": 3, "state_dict": WRAPPED["module"](state)},
}


@pytest.mark.parametrize(
    ("name", "wrapped"),
    [*(("model.pt", wrapped) for wrapped in WRAPPED), ("model.safetensors", "plain"), ("model.safetensors", "module")],
)
def test_weights_of_a_monai_bundle_are_an_encoder(tmp_path, name, wrapped):
    state = monais()
    content = WRAPPED[wrapped](state)
    (tmp_path / "models").mkdir()
    path = write(tmp_path / "models" / name, content)
    assert weights_file(str(tmp_path)) == str(path)
    found = encoder_weights("resnet18", str(path))
    encoder = SequenceEncoder("resnet18", 0.0, 0.1)
    encoder.start_from_weights(found, torch.Generator().manual_seed(0))
    for key in ("conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.bn2.running_var"):
        assert torch.equal(encoder.net.state_dict()[key], state[key])


def test_a_plan_takes_the_folder_of_a_bundle_and_names_its_file(make_dataset, tmp_path):
    dataset, bundle = make_dataset(tmp_path / "dataset", training=12, held_out=0), tmp_path / "bundle"
    (bundle / "models").mkdir(parents=True)
    study = Study(dataset)
    with pytest.raises(WeightsError, match="a folder without models/model"):
        study.plan(encoder="resnet18", encoder_weights=str(bundle), device="cpu")
    path = write(bundle / "models" / "model.pt", monais())
    made = study.plan(encoder="resnet18", encoder_weights=str(bundle), device="cpu").plan
    assert made.network.encoder_weights == str(path) and not made.network.roi_guided


@pytest.mark.parametrize("source", ["imagenet", "random", "somewhere/weights.pth"])
def test_what_is_no_folder_stays_as_it_is(source):
    assert weights_file(source) == source


def test_a_folder_without_weights_is_one_line(tmp_path):
    (tmp_path / "models").mkdir()
    torch.jit.script(torch.nn.ReLU()).save(str(tmp_path / "models" / "model.ts"))
    with pytest.raises(WeightsError, match=r"a folder without models/model.safetensors or models/model.pt"):
        weights_file(str(tmp_path))
    assert "not readable as plain tensors" in refused(tmp_path / "models" / "model.ts")


def test_first_files_of_torchvision_without_counters_are_loaded(tmp_path):
    state = {name: value for name, value in thin_state().items() if not name.endswith("num_batches_tracked")}
    assert len(encoder_weights("resnet50", str(write(tmp_path / "old.pth", state)))) == len(state)


def without(name):
    return {key: value for key, value in thin_state().items() if key != name}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: thin_state("resnet101"), "unknown tensor layer3.10.bn1.bias"),
        (lambda: without("layer1.0.conv1.weight"), "1 tensors of resnet50 are missing, e.g. layer1.0.conv1.weight"),
        (lambda: thin_state() | {"conv1.weight": torch.zeros(64, 1, 7, 7)}, "conv1.weight has shape (64, 1, 7, 7)"),
        (lambda: {"weights": thin_state()}, "'weights' is a dict, not a tensor"),
        (lambda: {"state_dict": {"a": 1.0}, "epoch": 3}, "'a' is a float, not a tensor"),
        (lambda: {"model": {**thin_state(), "layer1.0.downsample.0.bias": torch.zeros(256)}}, "downsample.0.bias"),
        (lambda: {"module.conv1.weight": torch.zeros(64, 1, 7, 7, 7)}, "of a 3D network, as MedicalNet's are (conv1"),
        (lambda: thin_state() | {"bn1.bias": 3.0}, "'bn1.bias' is a float, not a tensor"),
        (lambda: {1: torch.zeros(1)}, "1 is a Tensor"),
        (lambda: [torch.zeros(1)], "holds a list"),
    ],
)
def test_file_of_another_network_is_refused(tmp_path, content, said):
    assert said in refused(write(tmp_path / "weights.pth", content()))


def test_smaller_network_is_refused_by_the_larger_one(tmp_path):
    assert "of resnet101 are missing" in refused(write(tmp_path / "weights.pth", thin_state()), "resnet101")


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors"])
def test_missing_file_is_named(tmp_path, name):
    text = refused(tmp_path / name)
    assert "no such file" in text
    assert name in text


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04" + bytes(100)])
def test_broken_file_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert name in refused(path)


def test_folder_is_refused(tmp_path):
    refused(tmp_path)


class Malicious:
    """Creates a file as soon as it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("dump", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
@pytest.mark.parametrize("wrap", [lambda thing: thing, lambda thing: {**thin_state(), "extra": thing}])
def test_malicious_pickle_is_refused_and_not_executed(tmp_path, dump, wrap):
    marker, path = tmp_path / "executed", tmp_path / "weights.pth"
    dump(wrap(Malicious(marker)), path)
    refused(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Malicious(marker)))  # noqa: S301 - unpickled, it does what this test is afraid of
    assert marker.exists()


def test_imagenet_without_network_names_the_three_ways(monkeypatch):
    def no_network(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)
    with pytest.raises(WeightsError) as failure:
        encoder_weights("resnet101", "imagenet")
    text = assert_names_the_three_ways(failure)
    assert "resnet101-cd907fc2.pth" in text
    assert "no route to host" in text


def test_damaged_download_is_refused(monkeypatch):
    def damaged(*_, **__):
        raise pickle.UnpicklingError("invalid load key")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", damaged)
    with pytest.raises(WeightsError) as failure:
        encoder_weights("resnet50", "imagenet")
    assert_names_the_three_ways(failure)


def test_imagenet_is_downloaded_with_its_hash_checked_and_without_pickles(monkeypatch):
    calls = []

    def download(url, **options):
        calls.append((url, options))
        return thin_state()

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    assert encoder_weights("resnet50", "imagenet").keys() == thin_state().keys()
    (url, options), *others = calls
    assert not others
    assert url.endswith("/resnet50-11ad3fa6.pth")
    assert options["check_hash"] is True
    assert options["weights_only"] is True
