"""Stage one of a fold: an encoder for each sequence."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autodls.errors import TrainingError
from autodls.models.encoder import SequenceEncoder, new_encoder
from autodls.models.fold_files import save_encoder
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.seeding import stream_seed
from autodls.training.augmentation import POLICIES, augment_inputs
from autodls.training.background import Background, background, made_ahead
from autodls.training.bags import Bags
from autodls.training.batches import random_batches, random_keep
from autodls.training.data import FoldRun, centre_crop
from autodls.training.frozen import fit_head
from autodls.training.interleave import Steps, interleave, on_host
from autodls.training.loop import Inputs, Report, fit_steps
from autodls.training.recorded import recorder
from autodls.training.settings import fit_settings
from autodls.training.weights import encoder_weights


@dataclass
class SequenceTask:
    """Fit an encoder to the input of one sequence; `pixels` is [sample, channel, H, W] of the whole training cohort."""

    model: SequenceEncoder
    pixels: Tensor
    labels: Tensor
    train: Bags
    inner: Bags
    plan: Plan

    @property
    def inner_labels(self) -> Tensor:
        """Labels [case] of the inner hold-out."""
        return self.labels[self.inner.case_rows]

    def batches(self, seed: int) -> Iterator[tuple[Inputs, Tensor]]:
        """Augmented batches and their labels."""
        augment = POLICIES[self.plan.training.augmentation]
        size_px = self.plan.preprocessing.input_size_px
        drawn = self.train.rows[self.train.draw(seed)]
        batches = random_batches(drawn, self.plan.training.batch_size, seed)
        shape = (*batches.shape, self.model.pooled)
        keeps = random_keep(shape, self.model.dropout, stream_seed(seed, "dropout"), batches.device)
        for number, (rows, keep) in enumerate(zip(batches, keeps, strict=True)):
            planes = augment_inputs(augment, self.pixels[rows], size_px, stream_seed(seed, number))
            yield (planes.contiguous(memory_format=torch.channels_last), keep), self.labels[rows]

    def inner_logits(self) -> Tensor:
        """Logits of the inner hold-out, cropped at the centre."""
        planes = centre_crop(self.pixels[self.inner.rows], self.plan.preprocessing.input_size_px)
        logits = torch.cat([self.model(batch) for batch in torch.split(planes, self.plan.training.batch_size)])
        return self.inner.mean(logits)


def train_sequences(stages: Sequence[tuple[FoldRun, str, Report]], at_once: int) -> None:
    """Train the encoder of a sequence for each of (fold, sequence, report), and write its weights to the fold's folder.

    `at_once` of them share the device. On a GPU weights are drawn and written beside the training.
    """
    if not stages:
        return
    if stages[0][0].plan.network.encoder_frozen:
        for run, sequence, report in stages:
            _fit_frozen(run, sequence, report)
        return
    device = stages[0][0].data.pixels.device
    on_gpu = device.type == "cuda"
    with background(on_gpu) as files:
        encoders = made_ahead(_started_encoder, [stage[:2] for stage in stages], at_once if on_gpu else 0)
        drawn = zip(stages, encoders, strict=True)
        interleave((sequence_steps(*stage, encoder, files) for stage, encoder in drawn), at_once, device)


def sequence_steps(
    run: FoldRun, sequence: str, report: Report, encoder: Callable[[], SequenceEncoder], files: Background
) -> Steps[None]:
    """Train the `encoder` of `sequence` and let `files` write its weights to the fold's folder.

    Only cases that have the sequence take part. Raises TrainingError when a part of the fold is then left without
    cases.
    """
    data, device = run.data, run.data.pixels.device
    index, rows = run.plan.sequences.index(sequence), _rows_with(run, sequence)
    settings = fit_settings(run.plan, sequence, run.fold.index)
    model = encoder().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = SequenceTask(model, data.pixels[:, index], data.labels, rows["train"], rows["inner"], run.plan)
    saved = run.folder.resume(sequence)
    state = yield from fit_steps(task, settings, run.keys.of[sequence], saved, report, recorder(device))
    note = {"key": run.keys.of[sequence], "fold": run.fold.index, "best_epoch": state.best_epoch}
    weights = yield from on_host(model.net.state_dict())
    files.add(lambda: _keep(run.folder, sequence, weights, note))


def _fit_frozen(run: FoldRun, sequence: str, report: Report) -> None:
    """The same for an encoder that keeps the weights that it starts from, all but those of its last layer."""
    index, rows = run.plan.sequences.index(sequence), _rows_with(run, sequence)
    encoder = _started_encoder((run, sequence)).eval()
    settings = replace(fit_settings(run.plan, sequence, run.fold.index), bf16=False)
    best_epoch = fit_head(run, index, rows, encoder, settings, report)
    note = {"key": run.keys.of[sequence], "fold": run.fold.index, "best_epoch": best_epoch}
    _keep(run.folder, sequence, encoder.net.state_dict(), note)


def _rows_with(run: FoldRun, sequence: str) -> dict[str, Bags]:
    """Which samples are trained on, and which held out, of those that have the sequence."""
    data, fold, index = run.data, run.fold, run.plan.sequences.index(sequence)
    rows = {part: data.bags(getattr(fold, part), index) for part in ("train", "inner")}
    needed = {"train": 2, "inner": 1}
    for part, members in rows.items():
        if len(members) < needed[part]:
            raise TrainingError(
                f"fold {fold.index}: {len(members)} cases of part '{part}' have {sequence}, expected at least "
                f"{needed[part]}; leave {sequence} out of channel_names, or add cases"
            )
    return rows


def _keep(folder: FoldFolder, sequence: str, weights: Mapping[str, Tensor], note: Mapping[str, object]) -> None:
    save_encoder(folder, sequence, weights, note)
    folder.resume(sequence).unlink(missing_ok=True)


def _started_encoder(stage: tuple[FoldRun, str]) -> SequenceEncoder:
    """The encoder that a stage starts from, on the CPU, where the same numbers are drawn for every device."""
    run, sequence = stage
    plan = run.plan
    with torch.device("meta"):  # MONAI would draw weights that are drawn anew below
        encoder = new_encoder(plan)
    encoder.to_empty(device="cpu")
    seed = fit_settings(plan, sequence, run.fold.index).seed
    chance = torch.Generator().manual_seed(stream_seed(seed, "weights"))
    weights = encoder_weights(plan.network.encoder, plan.network.encoder_weights, run.start_sha256)
    if weights is None:
        encoder.start_from_random(chance)
    else:
        encoder.start_from_weights(weights, chance)
    return encoder
