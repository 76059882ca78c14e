"""Stage three of a fold, where the plan asks for it: encoders and fusion fitted on together, end to end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from autodls.models.encoder import SequenceEncoder, new_encoder
from autodls.models.end_to_end import EndToEnd
from autodls.models.fold_files import load_fold, load_fusion, save_encoder, save_fusion
from autodls.models.folded import FoldedEncoder
from autodls.models.network import FoldModel, scoring_dtype
from autodls.records.files import link_or_copy
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.scores import FUSED
from autodls.records.splits import Fold
from autodls.records.tensors import load_tensors, save_tensors
from autodls.seeding import stream_seed
from autodls.training.augmentation import POLICIES, augment_inputs
from autodls.training.bags import Bags
from autodls.training.batches import random_batches, random_keep
from autodls.training.data import FoldRun, TrainingData, centre_crop
from autodls.training.keys import FINE_TUNING
from autodls.training.loop import FitSettings, Inputs, Report, fit
from autodls.training.loss import UNKNOWN
from autodls.training.settings import fit_settings
from autodls.training.settling import encoders_note, log_losses, modality_dropout, settled

_REPAIR = "run 'autodls train fold all --restart'"


@dataclass
class FineTuningTask:
    """Fit the whole network to the train part of a fold; its own head of each sequence stays in the loss, so that the
    scores of single sequences keep their meaning.
    """

    model: EndToEnd
    data: TrainingData
    train: Bags
    inner: Bags
    plan: Plan

    @property
    def inner_labels(self) -> Tensor:
        """Labels [case] of the inner hold-out."""
        return self.data.labels[self.inner.case_rows]

    def batches(self, seed: int) -> Iterator[tuple[Inputs, Tensor]]:
        """Augmented batches, and the labels of what the network says of them: none where it lacks a sequence.

        The sequences of a case move together.
        """
        augment = POLICIES[self.plan.training.augmentation]
        size_px = self.plan.preprocessing.input_size_px
        chance = torch.Generator().manual_seed(stream_seed(seed, "left out"))
        kept = modality_dropout(self.data.present, self.plan.training.sequence_dropout, chance)
        of_outputs = self.data.labels[:, None].where(_every_output(self.data.present), UNKNOWN)
        batches = random_batches(self.train.rows[self.train.draw(seed)], self.plan.training.batch_size, seed)
        first, encoders = self.model.encoders[0], len(self.model.encoders)
        shape = (*batches.shape, encoders, first.pooled)
        keeps = random_keep(shape, first.dropout, stream_seed(seed, "dropout"), batches.device)
        for number, (rows, keep) in enumerate(zip(batches, keeps, strict=True)):
            views = augment_inputs(augment, self.data.pixels[rows], size_px, stream_seed(seed, number))
            yield (views, kept[rows], keep), of_outputs[rows]

    def inner_logits(self) -> Tensor:
        """Fused logits of the inner hold-out, cropped at the centre."""
        rows, size = self.inner.rows, self.plan.training.batch_size
        pixels = centre_crop(self.data.pixels[rows], self.plan.preprocessing.input_size_px)
        parts = zip(torch.split(pixels, size), torch.split(self.data.present[rows], size), strict=True)
        return self.inner.mean(torch.cat([self.model(*part)[:, 0] for part in parts]))


def fine_tune(run: FoldRun, report: Report) -> None:
    """Fit encoders and fusion on together and write them to the fold's folder of fine-tuned weights.

    Where the score of the fold, the transformer's or the mean of its sequences, has no lower log loss on the inner
    hold-out than before, the two stages stand as they are.
    """
    plan, device = run.plan, run.data.pixels.device
    source, target = run.folder, run.folder.fine_tuned
    two_stages = load_fold(source, plan, device)
    task = new_task(run.data, run.fold, plan, source)
    state = fit(
        task, fine_tuning_settings(plan, run.fold), run.keys.of[FINE_TUNING], source.resume(FINE_TUNING), report
    )
    note = {"key": run.keys.of[FINE_TUNING], "fold": run.fold.index, "best_epoch": state.best_epoch}
    fitted = _rescaled(task, two_stages)
    if inner_log_loss(task, fitted) < inner_log_loss(task, two_stages):
        for name, encoder in zip(plan.sequences, task.model.encoders, strict=True):
            save_encoder(target, name, encoder.net.state_dict(), note)
        save_fusion(target, fitted, {**note, **encoders_note(target, plan.sequences)})
    else:
        for name in plan.sequences:
            link_or_copy(source.sequence(name), target.sequence(name))
        tensors, of_two_stages = load_tensors(source.fusion, _REPAIR)
        save_tensors(target.fusion, tensors, {**of_two_stages, "key": note["key"]})
    source.resume(FINE_TUNING).unlink(missing_ok=True)


def new_task(data: TrainingData, fold: Fold, plan: Plan, folder: FoldFolder) -> FineTuningTask:
    """The network of two stages in `folder`, ready to be fitted on."""
    device = data.pixels.device
    fused = load_fusion(folder, plan, device)
    encoders = [_trained(plan, folder, name).to(device) for name in plan.sequences]
    projections = [fused.projections[name] for name in plan.sequences]
    model = EndToEnd(encoders, projections, fused.fusion).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FineTuningTask(model, data, data.bags(fold.train), data.bags(fold.inner), plan)


def fine_tuning_settings(plan: Plan, fold: Fold) -> FitSettings:
    """The plan's settings for stage three: all its epochs, without a warm-up, as nothing starts anew."""
    epochs, rate = plan.training.fine_tuning_epochs, plan.training.fine_tuning_learning_rate
    settings = fit_settings(plan, FINE_TUNING, fold.index)
    return replace(settings, epochs=epochs, patience=epochs, learning_rate=rate, warmup_epochs=0, kept_epoch="best")


def _every_output(present: Tensor) -> Tensor:
    """Whether a case has what an output [case, 1 + sequence] speaks of; the fused one always."""
    return functional.pad(present, (1, 0), value=True)


def _trained(plan: Plan, folder: FoldFolder, sequence: str) -> SequenceEncoder:
    encoder = new_encoder(plan)
    encoder.net.load_state_dict(load_tensors(folder.sequence(sequence), _REPAIR)[0])
    return encoder


def inner_log_loss(task: FineTuningTask, model: FoldModel) -> float:
    """Mean log loss of the score that `model` gives, on its scale, to the inner hold-out."""
    inner = task.inner
    pixels = centre_crop(task.data.pixels[inner.rows], task.plan.preprocessing.input_size_px)
    fused = inner.mean(model.logits(pixels, task.data.present[inner.rows]).fused.double()).cpu().numpy()
    known = (task.inner_labels == 1).cpu().numpy()
    return float(log_losses(model.scales[FUSED].log_odds(fused), known).mean())


def _rescaled(task: FineTuningTask, before: FoldModel) -> FoldModel:
    """The fitted fold with the scales that its inner hold-out gives."""
    plan, device = task.plan, task.data.pixels.device
    encoders: Mapping[str, FoldedEncoder] = {
        name: FoldedEncoder.from_state(encoder.net.state_dict()).to(device, scoring_dtype(plan, device))
        for name, encoder in zip(plan.sequences, task.model.encoders, strict=True)
    }
    unscaled = FoldModel(encoders, before.projections, task.model.fusion.eval(), {})
    inner = task.inner
    pixels = centre_crop(task.data.pixels[inner.rows], plan.preprocessing.input_size_px)
    return settled(unscaled, pixels, task.data.present[inner.rows], task.inner_labels, plan, inner)
