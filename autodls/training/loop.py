"""The fitting loop: warm-up and cosine decay of the rate, focal loss, early stopping, and continuation after a kill.

All chance of an epoch comes from the seed of that epoch, so an interrupted fit that starts again from its last saved
epoch walks through the same numbers and ends in the same bytes.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from autodls.errors import TrainingError
from autodls.records.network_shape import CLASSES
from autodls.records.training_log import Epoch
from autodls.seeding import stream_seed
from autodls.training.fit_state import FitState
from autodls.training.interleave import Steps, interleave, on_host, own_chance
from autodls.training.loss import FocalMeanLoss
from autodls.training.optimizers import new_optimizer, recording_steps, set_learning_rate
from autodls.training.recorded import Recorded, Recorder, recorder

_SECONDS_BETWEEN_SAVES = 60.0
_STEPS_AS_THEY_ARE = 3  # before one is recorded

Report = Callable[[Epoch], None]
Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class FitSettings:
    """How one network is fitted; the names are those of the plan."""

    name: str
    epochs: int
    patience: int
    optimizer: str
    learning_rate: float
    momentum: float
    weight_decay: float
    warmup_epochs: int
    focal_gamma: float
    focal_alpha: float
    bf16: bool
    seed: int
    kept_epoch: str = "best"


class Task(Protocol):
    """What is fitted: batches to learn from and an inner hold-out to stop by.

    The loop calls the network, so that no task can do it with weights that were cast before a step.
    """

    @property
    def model(self) -> nn.Module:
        """The network."""

    @property
    def inner_labels(self) -> Tensor:
        """Labels [case] of the inner hold-out."""

    def batches(self, seed: int) -> Iterator[tuple[Inputs, Tensor]]:
        """What the network takes, and the labels of what it then gives, in the order drawn by `seed`."""

    def inner_logits(self) -> Tensor:
        """Logits [case, class] of the inner hold-out, in evaluation mode."""


def fit(task: Task, settings: FitSettings, key: str, saved: Path, report: Report) -> FitState:
    """Fit `task.model` and leave the weights of the epoch in it that is kept: the best, or the last.

    Continues from `saved` when that file belongs to `key`; the file is removed by the caller once the result is kept.
    Raises TrainingError when the loss is no longer finite.
    """
    device = _device_of(task.model)
    return interleave([fit_steps(task, settings, key, saved, report, recorder(device))], 1, device)[0]


def fit_steps(
    task: Task, settings: FitSettings, key: str, saved: Path, report: Report, record: Recorder | None
) -> Steps[FitState]:
    """`fit`, a step at a time: see `interleave`. Where it can `record`, steps are launched as a whole."""
    model = task.model
    optimizer = new_optimizer(
        settings.optimizer, model, settings.learning_rate, settings.momentum, settings.weight_decay
    )
    state = FitState.resume(saved, key, model, optimizer)
    run = _Run(task, settings, optimizer, record)
    last_save = time.monotonic()
    for epoch in range(len(state.history), settings.epochs):
        if state.best and epoch - state.best_epoch > settings.patience:
            break
        done = yield from run.epoch(epoch, state.best_loss)
        state.keep(done, model)
        report(done)
        if time.monotonic() - last_save > _SECONDS_BETWEEN_SAVES:
            state.save(saved, key, model, optimizer)
            last_save = time.monotonic()
    model.load_state_dict(state.best)
    model.eval()
    return state


class _Run:
    """The epochs of one fit; no step waits for the device, whose numbers are read once an epoch."""

    def __init__(self, task: Task, settings: FitSettings, optimizer: Optimizer, record: Recorder | None) -> None:
        self.task, self.settings, self.optimizer = task, settings, optimizer
        self.device, self.inner_labels = _device_of(task.model), task.inner_labels.cpu()
        loss = FocalMeanLoss(settings.focal_gamma, settings.focal_alpha)

        # These know nothing of the run: who held each other would hold the memory of the device.
        def step(labels: Tensor, *inputs: Tensor) -> Tensor:
            return take_step(task.model, optimizer, loss, inputs, labels, bf16=settings.bf16)

        def score() -> Tensor:
            """Loss and logits of the inner hold-out, in one row."""
            with torch.no_grad():
                logits = task.inner_logits().float()
                return torch.cat([loss(logits, task.inner_labels)[None], logits.flatten()])

        self.step = Recorded(settings.name, step, record and recording_steps(record, optimizer), _STEPS_AS_THEY_ARE)
        self.score = Recorded(settings.name, score, record, 1)

    def epoch(self, epoch: int, best_loss: float) -> Steps[Epoch]:
        """One pass over the training cases, and what it came to."""
        started, settings = time.monotonic(), self.settings
        rate = learning_rate(settings, epoch)
        set_learning_rate(self.optimizer, rate)
        losses = yield from self._train(stream_seed(settings.seed, settings.name, "epoch", epoch))
        self.task.model.eval()
        numbers = yield from on_host({"train": torch.stack(losses).mean(), "inner": self.score()})
        train_loss, inner_loss = float(numbers["train"]), float(numbers["inner"][0])
        if not (math.isfinite(train_loss) and math.isfinite(inner_loss)):
            raise TrainingError(
                f"{settings.name}: loss {train_loss} in epoch {epoch} is not finite; lower training.learning_rate "
                f"({settings.learning_rate:g}) in plan.json and run again"
            )
        return Epoch(
            stage=settings.name,
            epoch=epoch,
            learning_rate=rate,
            train_loss=train_loss,
            inner_loss=inner_loss,
            inner_auc=area_under_curve(numbers["inner"][1:].reshape(-1, CLASSES), self.inner_labels),
            best=_is_kept(settings, epoch, inner_loss < best_loss),
            seconds=round(time.monotonic() - started, 3),
        )

    def _train(self, seed: int) -> Steps[list[Tensor]]:
        """The loss of every batch; all batches are of one size."""
        losses = []
        self.task.model.train()
        for number, (inputs, labels) in enumerate(self.task.batches(seed)):
            with own_chance(stream_seed(seed, "step", number), self.device):  # of dropout
                losses.append(self.step(labels, *inputs))
            yield True
        return losses


def _is_kept(settings: FitSettings, epoch: int, improved: bool) -> bool:
    """Whether the weights of an epoch are kept, until those of a later one are."""
    last = epoch == settings.epochs - 1
    if settings.kept_epoch == "last":
        return last
    # While the rate warms up the network has hardly learnt, and chance is what a small hold-out likes best.
    return improved and (epoch >= settings.warmup_epochs or last)


def take_step(
    model: nn.Module, optimizer: Optimizer, loss: FocalMeanLoss, inputs: Inputs, labels: Tensor, *, bf16: bool = False
) -> Tensor:
    """One step down the loss of a batch; the loss stays on the device, so that nothing waits for it.

    Autocast keeps what it has cast until its context ends, and would go on with it while the weights move: the context
    ends before the step, and nothing is kept.
    """
    with torch.autocast(labels.device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
        logits = model(*inputs)
    batch_loss: Tensor = loss(logits.float(), labels)
    optimizer.zero_grad(set_to_none=True)
    batch_loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return batch_loss.detach()


def learning_rate(settings: FitSettings, epoch: int) -> float:
    """Rises linearly over the warm-up, then falls to zero along half a cosine (Loshchilov & Hutter 2017)."""
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * (epoch + 1) / (settings.warmup_epochs + 1)
    done = (epoch - settings.warmup_epochs) / max(1, settings.epochs - settings.warmup_epochs)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def area_under_curve(logits: Tensor, labels: Tensor) -> float | None:
    """AUC of logits [case, class], ties one half; None with one class only. For the log, not for results."""
    margin = logits[:, 1] - logits[:, 0]
    positive, negative = margin[labels == 1], margin[labels == 0]
    if not len(positive) or not len(negative):
        return None
    difference = positive[:, None] - negative[None, :]
    return float(((difference > 0).float() + 0.5 * (difference == 0).float()).mean())


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
