"""A model whose encoders are read as they are used: verified each time, a few at a time, each on one core."""

import subprocess
import sys
import threading
import time

import pytest
import torch
from tiny_model_folder import small_volume_plan, write_model_folder
from tiny_models import random_input, tiny_model

from autodls.errors import ModelFolderError
from autodls.inference.model_folder import load_model
from autodls.models import ensemble
from autodls.models.folded import FoldedEncoder
from autodls.models.network import FoldModel

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    write_model_folder(tmp_path / "model", tiny_model(small_volume_plan()))
    return tmp_path / "model"


def test_a_streamed_model_scores_the_same_bits_as_one_that_is_kept_in_any_company(folder):
    kept, streamed = load_model(folder, CPU), load_model(folder, CPU, streamed=True)
    pixels, present = random_input(kept.plan, cases=5)
    present[2, 0] = False
    expected = kept.score(pixels, present)
    for _ in range(2):
        assert (streamed.score(pixels, present).dls == expected.dls).all()
    assert (streamed.score(pixels[3:4], present[3:4]).dls == expected.dls[3:4]).all()


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_networks_are_few_at_a_time_on_one_core_each(folder, monkeypatch, cores):
    """So the bits of a score do not depend on the number of cores, and memory not on that of networks."""
    model = load_model(folder, CPU, streamed=True)
    at_once, most, threads, lock = 0, 0, set(), threading.Lock()
    every_core, see = torch.get_num_threads(), FoldModel.encode_planes

    def watched(*asked, **named):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
            threads.add(torch.get_num_threads())
        try:
            return see(*asked, **named)
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr(FoldModel, "encode_planes", watched)
    monkeypatch.setattr(ensemble, "usable_cores", lambda: cores)
    model.score(*random_input(model.plan, cases=3))
    assert threads == {1} and most <= cores
    assert torch.get_num_threads() == every_core


def test_what_one_network_fails_at_is_raised_and_the_rest_not_begun(folder, monkeypatch):
    model = load_model(folder, CPU, streamed=True)
    every_core, begun = torch.get_num_threads(), []

    def failing(_fold, sequence, *_asked, **_named):
        begun.append(sequence)
        time.sleep(0.3 * (len(begun) > 1))  # what had begun when the first failed
        raise ModelFolderError("altered")

    monkeypatch.setattr(FoldModel, "encode_planes", failing)
    monkeypatch.setattr(ensemble, "usable_cores", lambda: 1)
    with pytest.raises(ModelFolderError, match="altered"):
        model.score(*random_input(model.plan, cases=1))
    assert torch.get_num_threads() == every_core
    assert len(begun) < sum(len(fold.encoders) for fold in model.folds)


def test_who_is_at_work_when_one_network_fails_stops_at_the_next_case(folder, monkeypatch):
    """Ctrl-C leaves the block in the same way: nobody waits until whole networks are done."""
    model = load_model(folder, CPU)
    seen, features = [], FoldedEncoder.features

    def slowly(encoder, planes):
        if encoder is model.folds[0].encoders[model.plan.sequences[0]]:
            time.sleep(0.2)
            raise ModelFolderError("altered")
        seen.append(len(planes))
        time.sleep(0.05)
        return features(encoder, planes)

    monkeypatch.setattr(FoldedEncoder, "features", slowly)
    monkeypatch.setattr(FoldedEncoder, "unpacked", lambda encoder: encoder)
    monkeypatch.setattr(ensemble, "usable_cores", lambda: 2)
    with pytest.raises(ModelFolderError, match="altered"):
        model.score(*random_input(model.plan, cases=200))
    assert 0 < len(seen) < 100


def test_an_encoder_that_changes_between_two_passes_is_refused(folder):
    streamed = load_model(folder, CPU, streamed=True)
    pixels, present = random_input(streamed.plan, cases=1)
    streamed.score(pixels, present)
    path = folder / "fold_1" / "T2WI.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelFolderError, match=r"fold_1/T2WI.safetensors: altered .* copy the model folder anew"):
        streamed.score(pixels, present)


@pytest.mark.parametrize("name", ["fold_0/CE-T1WI.safetensors", "fold_1/T2WI.safetensors"])
def test_an_altered_encoder_gives_no_score(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(bytes(content))
    streamed = load_model(folder, CPU, streamed=True)
    with pytest.raises(ModelFolderError, match=f"{name}: altered"):
        streamed.score(*random_input(streamed.plan, cases=1))


@pytest.mark.parametrize("name", ["fold_0/fusion.safetensors", "plan.json", "fingerprint.json"])
def test_what_is_not_streamed_is_verified_at_once(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 0x20
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(ModelFolderError, match=name):
        load_model(folder, CPU, streamed=True)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("autodls.cli.predict_command", ("torch", "scipy", "SimpleITK")),
        ("autodls.stages.predict", ("torch", "scipy", "SimpleITK")),
        ("autodls.inference.predict", ("scipy", "SimpleITK", "monai", "pandas", "sklearn")),
        ("autodls.inference.prepare", ("torch", "scipy", "SimpleITK", "monai", "pandas", "sklearn")),
    ],
)
def test_scoring_waits_for_no_import_that_it_can_do_without(module, unwanted):
    """A model folder is checked before torch is there; SciPy and SimpleITK take 0.2 s each.

    A process that reads volumes needs no torch at all.
    """
    program = f"import sys, {module}; sys.exit(' '.join(set(sys.modules) & {set(unwanted)!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
