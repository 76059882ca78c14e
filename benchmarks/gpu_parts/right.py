"""Whether what is computed on the device is right: in bfloat16, beside the CPU, and the same each time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import JsonValue

from autodls.models.device import prepare_torch
from autodls.models.encoder import new_encoder
from autodls.models.fold_files import load_fold
from autodls.models.gradcam import fold_maps
from autodls.records.files import sha256_of_file
from autodls.records.scores import read_fold_scores
from autodls.records.training_log import Epoch
from autodls.training.bags import Bags
from autodls.training.data import FoldRun, centre_crop
from autodls.training.fold import train_together
from autodls.training.learnt import LabelCounts, judge
from autodls.training.loop import fit
from autodls.training.sequence_stage import SequenceTask
from autodls.training.settings import fit_settings
from gpu_parts import Figures, Part, Setting
from gpu_parts.made_up import Study, new_study, on_device


def bf16_training(setting: Setting) -> Part:
    """One network of the paper's, fitted in float32 and in bfloat16 from the same start: its losses and a guess's."""
    cases, px, epochs = setting.pick((200, 224, 12), (24, 32, 3))
    batch = setting.pick(32, 4)
    prepare_torch(torch.device(setting.device))
    study = new_study(
        setting, "bf16", "paper", cases, px, training__folds=2, training__epochs=epochs, training__patience=epochs,
        training__batch_size=batch, training__learning_rate=0.01 * batch / 32,
    )  # fmt: skip
    run = study.runs(study.data(setting.device), "folds")[0]
    for name, bf16 in (("fp32", False), ("bf16", True)):
        yield {f"{name}_{figure}": value for figure, value in _fitted(run, bf16=bf16).items()}


def _fitted(run: FoldRun, *, bf16: bool) -> Figures:
    """What became of the network of the first sequence."""
    plan, sequence, data = run.plan, run.plan.sequences[0], run.data
    model = new_encoder(plan)
    model.start_from_random(torch.Generator().manual_seed(0))
    model.to(data.pixels.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train, inner = (data.rows(part) for part in (run.fold.train, run.fold.inner))
    task = SequenceTask(model, data.pixels[:, 0], data.labels, Bags.of_rows(train), Bags.of_rows(inner), plan)
    settings = replace(fit_settings(plan, sequence, run.fold.index), bf16=bf16)
    epochs = fit(task, settings, "key", run.folder.root / "none", lambda _epoch: None).history
    fitted_on, held_out = (_labels(data.labels[rows]) for rows in (train, inner))
    judged = judge(epochs, fitted_on, held_out, plan.training.focal_gamma, plan.training.focal_alpha)
    return {
        "fault": "not judged" if judged is None else judged.fault or "none",
        "guess_train_loss": None if judged is None else judged.guess_train_loss,
        "worst_train_loss": max(epoch.train_loss for epoch in epochs),
        "last_train_loss": epochs[-1].train_loss,
        "worst_inner_loss": max(epoch.inner_loss for epoch in epochs),
        "last_inner_auc": epochs[-1].inner_auc,
    }


def _labels(labels: torch.Tensor) -> LabelCounts:
    positives = int(labels.sum())
    return LabelCounts(positives, len(labels) - positives)


def agreement(setting: Setting) -> Part:
    """A small study trained, scored and explained on the device and on the CPU; the largest differences.

    The fusion drops nothing, as devices draw differently what it drops.
    """
    prepare_torch(torch.device(setting.device))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield from _apart(setting)
    if not setting.on_gpu:
        yield {"beside": "CPU and CPU: nothing is measured"}


def _apart(setting: Setting) -> Part:
    study = _small_study(setting, "agreement", training__precision="fp32", network__fusion__dropout=0.0)
    here, there = (_trained(study, *how) for how in ((setting.device, "here", 3), ("cpu", "there", 1)))
    yield {"trained_logits_apart": _logits_apart(here, there)}
    run, size_px = there[0], study.plan.preprocessing.input_size_px
    model = {place: load_fold(run.folder, run.plan, torch.device(place)) for place in (setting.device, "cpu")}
    inputs = {place: (centre_crop(run.data.pixels, size_px).to(place), run.data.present.to(place)) for place in model}
    scored = [model[place].logits(*inputs[place]).fused.cpu() for place in model]
    yield {"same_weights_logits_apart": float((scored[0] - scored[-1]).abs().max())}
    maps = [fold_maps(model[place], *inputs[place]).fused for place in model]
    yield {"heat_maps_apart": max(float(abs(maps[0][name] - maps[-1][name]).max()) for name in maps[0])}


def same_bytes(setting: Setting) -> Part:
    """Hashes of weights and scores of a study trained twice, and with three networks at once.

    "paper": its network, size, batch and precision; "small": the network that starts from random weights, by its rules.
    """
    prepare_torch(torch.device(setting.device))
    cases, px, batch = setting.pick((64, 224, 16), (12, 32, 4))
    short = {"training__folds": 2, "training__epochs": 2, "training__fusion_epochs": 2, "training__batch_size": batch}
    for name, preset, given in (
        ("paper", "paper", {"network__pca_dims": 8}),  # fewer than the cases
        ("small", "auto", {"training__augmentation": "nnunet"}),
    ):
        study = new_study(setting, f"bytes-{name}", preset, cases, px, **short, **given)
        found = [_hashes(_trained(study, setting.device, *how)) for how in (("a", 1), ("b", 1), ("c", 3))]
        yield {f"{name}_twice": found[0] == found[1], f"{name}_3_at_once": found[0] == found[2]}


def _small_study(setting: Setting, name: str, **given: JsonValue) -> Study:
    """Two folds of a network that a CPU trains in seconds too; fewer components than cases, so that all are defined."""
    cases, px, encoder = setting.pick((36, 64, "resnet18"), (16, 32, "resnet8"))
    return new_study(
        setting, name, "paper", cases, px, network__encoder=encoder, network__pca_dims=8, training__folds=2,
        training__epochs=2, training__fusion_epochs=2, training__batch_size=4, training__learning_rate=0.001, **given,
    )  # fmt: skip


def _trained(study: Study, device: str, name: str, at_once: int) -> list[FoldRun]:
    """All folds, trained into the folder `name`."""
    runs = study.runs(study.data(device), name, on_device(study.plan, device))
    train_together([(run, _no_report) for run in runs], at_once)
    return runs


def _no_report(_epoch: Epoch) -> None:
    pass


def _logits_apart(here: Sequence[FoldRun], there: Sequence[FoldRun]) -> float:
    """The largest difference of a logit of any case by any fold."""
    apart = [0.0]
    for mine, theirs in zip(here, there, strict=True):
        found, expected = (read_fold_scores(run.folder.scores, run.plan.sequences) for run in (mine, theirs))
        for one, other in zip(found, expected, strict=True):
            apart += [abs(one.logits[row] - other.logits[row]) for row in one.logits]
    return max(apart)


def _hashes(runs: Sequence[FoldRun]) -> dict[Path, str]:
    """SHA-256 of all weights and scores."""
    root = runs[0].folder.root.parent
    files = (path for pattern in ("*.safetensors", "*.csv") for path in root.rglob(pattern))
    return {path.relative_to(root): sha256_of_file(path) for path in files}
