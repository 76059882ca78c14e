"""Stage one of a fold: an encoder for each sequence."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from autodls.errors import TrainingError
from autodls.models.encoder import SequenceEncoder
from autodls.models.fold_model import has_bf16, save_encoder
from autodls.records.plan import Plan
from autodls.seeding import stream_seed
from autodls.training.augmentation import POLICIES
from autodls.training.data import FoldRun, centre_crop
from autodls.training.loop import FitSettings, Report, fit, random_batches
from autodls.training.weights import encoder_weights


@dataclass
class SequenceTask:
    """Fit an encoder to the planes of one sequence; `pixels` is [case, plane, H, W] of the whole training cohort."""

    model: SequenceEncoder
    pixels: Tensor
    labels: Tensor
    train: Tensor
    inner: Tensor
    plan: Plan

    @property
    def inner_labels(self) -> Tensor:
        """Labels [case] of the inner hold-out."""
        return self.labels[self.inner]

    def batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and labels of augmented batches."""
        augment = POLICIES[self.plan.training.augmentation]
        size_px = self.plan.preprocessing.input_size_px
        for number, rows in enumerate(random_batches(self.train, self.plan.training.batch_size, seed)):
            pixels = self.pixels[rows]
            planes, _ = augment(pixels, pixels[:, :0], size_px, stream_seed(seed, number))
            yield self.model(planes.contiguous(memory_format=torch.channels_last)), self.labels[rows]

    def inner_logits(self) -> Tensor:
        """Logits of the inner hold-out, cropped at the centre."""
        planes = centre_crop(self.pixels[self.inner], self.plan.preprocessing.input_size_px)
        return torch.cat([self.model(batch) for batch in torch.split(planes, self.plan.training.batch_size)])


def train_sequence(run: FoldRun, sequence: str, report: Report) -> None:
    """Train the encoder of `sequence` and write its weights to the fold's folder.

    Only cases that have the sequence take part. Raises TrainingError when a part of the fold is then left without
    cases.
    """
    data, fold, plan = run.data, run.fold, run.plan
    index = plan.sequences.index(sequence)
    rows = {part: data.rows(getattr(fold, part)) for part in ("train", "inner")}
    rows = {part: members[data.present[members, index]] for part, members in rows.items()}
    needed = {"train": 2, "inner": 1}
    for part, members in rows.items():
        if len(members) < needed[part]:
            raise TrainingError(
                f"fold {fold.index}: {len(members)} cases of part '{part}' have {sequence}, expected at least "
                f"{needed[part]}; leave {sequence} out of channel_names, or add cases"
            )
    settings = fit_settings(plan, sequence, fold.index)
    task = SequenceTask(
        _new_encoder(plan, settings.seed, data.pixels.device),
        data.pixels[:, index],
        data.labels,
        rows["train"],
        rows["inner"],
        plan,
    )
    state = fit(task, settings, run.key, run.folder.resume(sequence), report)
    note = {"key": run.key, "fold": fold.index, "best_epoch": state.best_epoch}
    save_encoder(run.folder, sequence, task.model.net.state_dict(), note)
    run.folder.resume(sequence).unlink(missing_ok=True)


def fit_settings(plan: Plan, stage: str, fold: int) -> FitSettings:
    """The plan's settings for one network of one fold."""
    training = plan.training
    device = torch.device(plan.budget.device)
    return FitSettings(
        name=stage,
        epochs=training.epochs,
        patience=training.patience,
        learning_rate=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        warmup_epochs=training.warmup_epochs,
        focal_gamma=training.focal_gamma,
        focal_alpha=training.focal_alpha,
        bf16=training.precision == "bf16" and has_bf16(device),
        seed=stream_seed(training.seed, "fold", fold, stage),
    )


def _new_encoder(plan: Plan, seed: int, device: torch.device) -> SequenceEncoder:
    training = plan.training
    with torch.device("meta"):  # MONAI would draw weights that are drawn anew below
        encoder = SequenceEncoder(plan.network.encoder, training.encoder_dropout, training.batch_norm_momentum)
    encoder.to_empty(device="cpu")
    chance = torch.Generator().manual_seed(stream_seed(seed, "weights"))
    weights = encoder_weights(plan.network.encoder, plan.network.encoder_weights)
    if weights is None:
        encoder.start_from_random(chance)
    else:
        encoder.start_from_weights(weights, chance)
    return encoder.to(device).to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]
