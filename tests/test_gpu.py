"""Training, scoring and explaining on a GPU, held against the CPU in float32; and what is exactly the same there.

Without a GPU the same is tried between CPU and CPU, so that these tests themselves are known to run.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from picture_task import PictureTask, as_bytes, settings
from strict_recorder import StrictRecorder
from tiny_study import hashes, study_plan, tiny_study, use_tiny_resnet

from autodls.models.device import prepare_torch
from autodls.models.fold_files import load_fold
from autodls.models.gradcam import fold_maps
from autodls.records.scores import FUSED, read_fold_scores
from autodls.training.data import centre_crop, load_training_data
from autodls.training.fold import train_together
from autodls.training.interleave import interleave
from autodls.training.loop import fit_steps
from autodls.training.principal import fit_pca
from autodls.training.recorded import recorder

CPU = torch.device("cpu")
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
LOGITS_APART = 0.02  # of float32 on two devices, after a few steps of a small network


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])])
def device(request, monkeypatch):
    """A device with float32 as it is, and the small network on it; a warning is a failure."""
    use_tiny_resnet(monkeypatch)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    before = torch.are_deterministic_algorithms_enabled()
    prepare_torch(torch.device(request.param))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(deterministic|capturable|stream)")
        yield torch.device(request.param)
    torch.use_deterministic_algorithms(before)


def study_on(device, root, **training):
    """The tiny study, planned for `device`, whose fusion drops nothing: devices draw differently."""
    plan = study_plan(**{"epochs": 2, "fusion_epochs": 2, **training})
    budget = plan.budget.model_copy(update={"device": device.type})
    fusion = plan.network.fusion.model_copy(update={"dropout": 0.0})
    network = plan.network.model_copy(update={"fusion": fusion})
    return tiny_study(root, plan.model_copy(update={"budget": budget, "network": network}))


def train_on(study, device, name, at_once=1):
    """Train both folds into the folder `name`."""
    data = load_training_data(study.cases, study.workspace.sample, device)
    runs = [study.run(fold.index, name, data) for fold in study.splits.folds]
    train_together([(run, lambda _epoch: None) for run in runs], at_once)
    return runs


def test_scores_are_those_of_the_cpu(device, tmp_path, caplog):
    here, there = study_on(device, tmp_path / "here"), study_on(CPU, tmp_path / "there")
    for mine, theirs in zip(train_on(here, device, "a", 3), train_on(there, CPU, "a"), strict=True):
        found, expected = (read_fold_scores(run.folder.scores, run.plan.sequences) for run in (mine, theirs))
        for one, other in zip(found, expected, strict=True):
            assert one.logits == pytest.approx(other.logits, abs=LOGITS_APART)
    assert caplog.records == [], "a step could not be recorded"


def test_heat_maps_are_those_of_the_cpu(device, tmp_path):
    study = study_on(CPU, tmp_path)
    (run, _), maps = train_on(study, CPU, "a"), []
    for place in (device, CPU):
        fold = load_fold(run.folder, study.plan, place)
        pixels = centre_crop(run.data.pixels, study.plan.preprocessing.input_size_px)
        maps.append(fold_maps(fold, pixels.to(place), run.data.present.to(place)))
    for name in study.plan.sequences:
        np.testing.assert_allclose(maps[0].fused[name], maps[1].fused[name], atol=1e-4)
        np.testing.assert_allclose(maps[0].by_sequence[name], maps[1].by_sequence[name], atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("training", [{}, {"precision": "bf16"}, {"optimizer": "adamw", "learning_rate": 1e-3}])
def test_the_same_bytes_twice_and_with_other_networks_beside(device, tmp_path, training):
    study = study_on(device, tmp_path, **training, fine_tuning_epochs=1)
    for name, at_once in (("a", 1), ("b", 1), ("c", 3)):
        train_on(study, device, name, at_once)
    first, again, beside = (hashes(study.workspace.root / name) for name in "abc")
    assert first == again
    assert first == beside


@pytest.mark.parametrize("changes", [{}, {"bf16": True}, {"optimizer": "adamw", "learning_rate": 1e-3}])
def test_recorded_steps_are_steps_as_they_are(device, tmp_path, changes, caplog):
    ends = []
    for record in (None, recorder(device) or StrictRecorder()):
        task = PictureTask()
        task.model.to(device)
        task.train, task.inner = (tuple(part.to(device) for part in whole) for whole in (task.train, task.inner))
        fit = fit_steps(task, settings(**changes), "key", tmp_path / "none", lambda _epoch: None, record)
        interleave([fit], 1, device)
        ends.append(as_bytes(task, tmp_path))
    assert ends[0] == ends[1] and caplog.records == []


def test_principal_components_are_those_of_the_cpu(device):
    maps = torch.randn(40, 24, 3, 3, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 25)[:, None, None]
    here, there = (
        fit_pca(maps.to(place), torch.ones(40, dtype=torch.bool, device=place), 6) for place in (device, CPU)
    )
    torch.testing.assert_close(here.components.cpu(), there.components, atol=1e-5, rtol=0)
    torch.testing.assert_close(here.scale.cpu(), there.scale)


def test_a_gpu_run_that_was_killed_ends_in_the_same_bytes(device, tmp_path, monkeypatch):
    from autodls.training import loop

    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_SAVES", -1.0)
    study = study_on(device, tmp_path)
    (whole, _) = train_on(study, device, "whole")
    killed = replace(whole, folder=study.run(0, "killed").folder)

    def kill(epoch):
        if (epoch.stage, epoch.epoch) == ("CE-T1WI", 0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_together([(killed, kill)], 2)
    train_together([(killed, lambda _epoch: None)], 2)
    assert hashes(killed.folder.root) == hashes(whole.folder.root)
    assert FUSED in read_fold_scores(killed.folder.scores, study.plan.sequences)[0].logits
