"""Whole fits, a whole cross-validation, and the scoring of a held-out cohort, from made-up samples."""

import shutil
import time
from collections.abc import Callable

import torch
from cross_validation import GUESS, UsualLoop, by_autodls, mean_loss, with_epochs

from autodls.models.device import prepare_torch
from autodls.models.encoder import new_encoder
from autodls.models.ensemble import score_ensemble
from autodls.models.folded import FoldedEncoder
from autodls.models.network import FoldModel, new_fusion, scoring_dtype
from autodls.models.pca import ChannelPCA
from autodls.planning.memory import GIB
from autodls.records.plan import Plan
from autodls.records.scale import LogisticScale
from autodls.records.scores import FUSED
from autodls.records.tensors import load_tensors
from autodls.records.training_log import Epoch
from autodls.training.cohort import networks_at_once
from autodls.training.data import TrainingData
from autodls.training.sequence_stage import train_sequences
from gpu_parts import Part, Setting
from gpu_parts.made_up import Study, new_study
from gpu_parts.steps import wait_for


def fixed_costs(setting: Setting) -> Part:
    """Networks of few epochs and of more: what is left of the time when all epochs are taken from it.

    An epoch here is its steps and the inner hold-out's score; what is left are weights drawn, copied and folded, the
    recording of the step, hashes and files.
    """
    prepare_torch(torch.device(setting.device))
    study, networks = step_study(setting, "fixed"), setting.pick(6, 2)
    data = study.data(setting.device)
    at_once = min(networks, networks_at_once(study.plan, data.pixels.nbytes / GIB))
    fit_networks(study, data, 1, at_once, epochs=1)  # libraries are loaded, kernels chosen
    few, many = 2, setting.pick(12, 4)
    seconds = {epochs: fit_networks(study, data, networks, at_once, epochs) for epochs in (few, many)}
    epoch_s = (seconds[many] - seconds[few]) / (many - few)
    yield {
        "networks": networks,
        "at_once": at_once,
        f"{few}_epochs_s_a_network": seconds[few] / networks,
        "epoch_ms_a_network": 1000 * epoch_s / networks,
        "fixed_s_a_network": (seconds[few] - few * epoch_s) / networks,
    }


def step_study(setting: Setting, name: str) -> Study:
    """Two folds of the paper's network, size and batch."""
    cases, px, batch = setting.pick((160, 224, 32), (12, 32, 4))
    training = {"training__folds": 2, "training__batch_size": batch, "training__learning_rate": 0.001}
    return new_study(setting, name, "paper", cases, px, **training)


def fit_networks(study: Study, data: TrainingData, networks: int, at_once: int, epochs: int) -> float:
    """Seconds to fit so many encoders for so many epochs, from drawing their weights to writing them."""
    runs = study.runs(data, "short", with_epochs(study.plan, epochs))
    stages = [(run, sequence, _no_report) for run in runs for sequence in study.plan.sequences]
    shutil.rmtree(study.workspace.root / "short", ignore_errors=True)
    seconds = _seconds(lambda: train_sequences(stages[:networks], at_once), data.pixels.device)
    shutil.rmtree(study.workspace.root / "short", ignore_errors=True)
    return seconds


def whole_cross_validation(setting: Setting) -> Part:
    """The paper's size: ours, from samples to scores; then the usual loop, whose epochs are repeated by arithmetic.

    The loop fits the three networks of one fold for few and for more epochs; the whole is three networks a fold, each
    with what is left beside its epochs, and as many epochs as ours. It leaves out fusion, scores and files.
    """
    cases, px, batch = setting.pick((382, 224, 32), (12, 32, 4))
    folds, epochs = setting.pick((5, 50), (2, 2))
    study = new_study(
        setting, "whole", "paper", cases, px, training__folds=folds, training__epochs=epochs,
        training__patience=epochs, training__batch_size=batch, training__learning_rate=0.01 * batch / 32,
        training__fusion_epochs=setting.pick(60, 2),
    )  # fmt: skip
    data, one_fold = study.data("cpu"), study.splits.model_copy(update={"folds": study.splits.folds[:1]})
    device = torch.device(setting.device)
    parts = (study.workspace, study.cases)
    by_autodls(*parts, with_epochs(study.plan, 1), one_fold, None)
    ours_s = _seconds(lambda: by_autodls(*parts, study.plan, study.splits, None), device)
    loss = mean_loss(_weights(study), study.data(setting.device), study.plan, study.splits)
    yield {"cases": cases, "folds": folds, "epochs": epochs, "autodls_s": ours_s, "mean_loss": loss, "guess": GUESS}
    few, many = setting.pick((1, 4), (1, 2))
    workers = setting.pick(8, 0)
    loops = {count: UsualLoop(data, with_epochs(study.plan, count), one_fold, workers) for count in (few, many)}
    loops[few]()
    seconds = {count: _seconds(loop, device) for count, loop in loops.items()}
    epoch_s = (seconds[many] - seconds[few]) / (many - few)
    loop_s = folds * (seconds[few] + (epochs - few) * epoch_s)
    measured = f"by arithmetic from one fold of {few} and of {many} epochs"
    yield {"loop_s": loop_s, "loop_s_is": measured, "loop_over_autodls": loop_s / ours_s}


def _weights(study: Study) -> dict[tuple[int, str], dict[str, torch.Tensor]]:
    """Of all networks of ours, as they were trained."""
    return {
        (fold.index, name): load_tensors(study.workspace.fold(fold.index).sequence(name), "")[0]
        for fold in study.splits.folds
        for name in study.plan.sequences
    }


def scoring(setting: Setting) -> Part:
    """Five folds of three encoders on random weights score a held-out cohort that lies in the host's memory.

    Reading images and networks is left out; a few cases alone must score as in company.
    """
    device = torch.device(setting.device)
    prepare_torch(device)
    cases, px, folds = setting.pick((249, 224, 5), (5, 32, 2))
    plan = new_study(setting, "scoring", "paper", 12, px, training__folds=2).plan
    ensemble = [random_fold(plan, device, seed) for seed in range(folds)]
    pixels = torch.randn(cases, 3, 3, px, px, generator=torch.Generator().manual_seed(0))
    present, scale = torch.ones(cases, 3, dtype=torch.bool), LogisticScale(slope=1.0, intercept=0.0)
    alone = score_ensemble(ensemble, scale, pixels[:3], present[:3])
    started = time.perf_counter()
    together = score_ensemble(ensemble, scale, pixels, present)
    seconds = time.perf_counter() - started
    yield {"cases": cases, "networks": 3 * folds, "score_s": seconds, "cases_per_s": cases / seconds}
    yield {"alone_as_in_company": bool((alone.dls == together.dls[:3]).all())}


def random_fold(plan: Plan, device: torch.device, seed: int) -> FoldModel:
    """A fold on random weights, as it is read to score."""
    chance = torch.Generator().manual_seed(seed)
    encoder = new_encoder(plan)
    encoder.start_from_random(chance)
    folded = FoldedEncoder.from_state(encoder.net.state_dict())
    kept, channels = plan.network.pca_dims, folded.channels
    basis = torch.linalg.qr(torch.randn(channels, kept, generator=chance)).Q.T.contiguous()
    pca = ChannelPCA(torch.zeros(channels), basis, torch.tensor(1.0)).to(device)
    fusion = new_fusion(plan, kept)
    fusion.start_from_random(chance)
    scales = {row: LogisticScale(slope=1.0, intercept=0.0) for row in (FUSED, *plan.sequences)}
    encoders = {name: folded.to(device, scoring_dtype(plan, device)) for name in plan.sequences}
    return FoldModel(encoders, dict.fromkeys(plan.sequences, pca), fusion.to(device).eval(), scales)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    wait_for(device)
    started = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - started


def _no_report(_epoch: Epoch) -> None:
    pass
