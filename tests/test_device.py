"""Where networks are computed: the device that is asked for, and batches whose size depends on nobody."""

import numpy as np
import pytest
import torch
from command_line import autodls
from tiny_model_folder import small_volume_plan, write_model_folder
from tiny_models import random_input, tiny_fold, tiny_model, tiny_plan

from autodls.errors import ArgumentError, AutoDLSError
from autodls.inference.model_folder import load_model
from autodls.models import ensemble
from autodls.models.device import memory_of, resolve_device
from autodls.models.folded import FoldedEncoder
from autodls.records.scale import LogisticScale

IDENTITY = LogisticScale(slope=1.0, intercept=0.0)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.fixture
def see_gpus(monkeypatch):
    """Lets PyTorch see so many GPUs."""

    def see(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return see


class TestResolving:
    @pytest.mark.parametrize(
        ("asked", "gpus", "expected"),
        [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda"), ("cuda:1", 2, "cuda:1")],
    )
    def test_what_there_is(self, see_gpus, asked, gpus, expected):
        see_gpus(gpus)
        assert resolve_device(asked) == torch.device(expected)

    @pytest.mark.parametrize(
        ("asked", "gpus", "part"),
        [
            ("cuda", 0, "--device cuda: PyTorch sees no CUDA device here; take --device cpu"),
            ("cuda:0", 0, "--device cuda:0: PyTorch sees no CUDA device here"),
            ("cuda:2", 2, "--device cuda:2: PyTorch sees 2 here; take one from cuda:0 to cuda:1"),
            ("gpu", 1, "--device gpu: expected auto, cpu, cuda, or cuda:N"),
            ("cuda:-1", 1, "expected auto, cpu, cuda, or cuda:N"),
            ("cuda:", 1, "expected auto, cpu, cuda, or cuda:N"),
            ("", 1, "expected auto, cpu, cuda, or cuda:N"),
        ],
    )
    def test_what_there_is_not(self, see_gpus, asked, gpus, part):
        see_gpus(gpus)
        with pytest.raises(ArgumentError) as raised:
            resolve_device(asked)
        assert part in str(raised.value) and "\n" not in str(raised.value)


def test_too_little_memory_is_one_line():
    told = pytest.raises(AutoDLSError, match=r"^cuda:1: its free memory is not enough .* take --device cpu$")
    with told, memory_of(torch.device("cuda:1")):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")


@pytest.fixture
def folds():
    return [tiny_fold(tiny_plan(), seed) for seed in (0, 1)]


class TestBatches:
    @pytest.mark.parametrize("cases", [1, 4, 6])
    def test_have_one_size_whatever_the_number_of_cases(self, folds, monkeypatch, cases):
        sizes, features = [], FoldedEncoder.features

        def watched(encoder, planes):
            sizes.append(len(planes))
            return features(encoder, planes)

        monkeypatch.setattr(FoldedEncoder, "features", watched)
        found = ensemble.batched_logits(folds, *random_input(tiny_plan(), cases), batch_cases=4)
        assert set(sizes) == {4}
        assert [len(one.fused) for one in found] == [cases] * 2
        assert {len(values) for one in found for values in one.by_sequence.values()} == {cases}

    def test_score_a_case_the_same_in_any_company(self, folds):
        pixels, present = random_input(tiny_plan(), 6)
        present[5, 0] = False
        together = ensemble.batched_logits(folds, pixels, present, batch_cases=4)
        alone = ensemble.batched_logits(folds, pixels[5:], present[5:], batch_cases=4)
        for one, other in zip(together, alone, strict=True):
            assert one.fused[5] == other.fused[0] and torch.isnan(one.by_sequence["T1WI"][5])

    def test_give_what_single_cases_give(self, folds, monkeypatch):
        pixels, present = random_input(tiny_plan(), 3)
        single = ensemble.score_ensemble(folds, IDENTITY, pixels, present)
        monkeypatch.setattr(ensemble, "_logits", ensemble.batched_logits)
        batched = ensemble.score_ensemble(folds, IDENTITY, pixels, present)
        for name in ("dls", "dls_raw", "spread"):
            np.testing.assert_allclose(getattr(batched, name), getattr(single, name), rtol=1e-4)


@pytest.mark.parametrize("command", ["predict", "evaluate", "explain"])
def test_a_gpu_that_is_not_there_is_one_line(tmp_path, make_dataset, monkeypatch, command):
    from tiny_workspace import tiny_workspace

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    dataset = make_dataset(tmp_path / "data", training=12, held_out=1)
    place = tiny_workspace(dataset, tmp_path / "work")
    words = {"predict": ["-i", dataset / "imagesTr", "--rois", dataset / "labelsTr", "-o", tmp_path / "out"]}
    answer = autodls(command, *words.get(command, ["-d", dataset]), "-w", place.root, "--device", "cuda:1")
    assert answer.status == 2 and "--device cuda:1: PyTorch sees no CUDA device here" in answer.complaint
    assert not (tmp_path / "out").exists()


@needs_gpu
@pytest.mark.gpu
class TestOnAGpu:
    @pytest.fixture
    def folder(self, tmp_path):
        write_model_folder(tmp_path / "model", tiny_model(small_volume_plan()))
        return tmp_path / "model"

    def test_networks_stay_and_a_case_scores_the_same_bits_anywhere(self, folder):
        model = load_model(folder, torch.device("cuda"), streamed=True)
        assert all(isinstance(fold.encoders, dict) for fold in model.folds)
        pixels, present = random_input(model.plan, cases=70)
        together = model.score(pixels, present)
        for row in (0, 31, 69):
            alone = model.score(pixels[row : row + 1], present[row : row + 1])
            assert alone.dls[0] == together.dls[row] and alone.dls_raw[0] == together.dls_raw[row]

    def test_scores_are_those_of_the_cpu(self, folder):
        on_gpu, on_cpu = (load_model(folder, torch.device(name)) for name in ("cuda", "cpu"))
        pixels, present = random_input(on_cpu.plan, cases=3)
        np.testing.assert_allclose(on_gpu.score(pixels, present).dls, on_cpu.score(pixels, present).dls, atol=2e-3)
