"""The fitting loop: SGD with warm-up and cosine decay, focal loss, early stopping, and continuation after a kill.

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
from monai.losses import FocalLoss
from torch import Tensor, nn

from autodls.errors import TrainingError
from autodls.records.training_log import Epoch
from autodls.seeding import stream_seed
from autodls.training.fit_state import FitState

_SECONDS_BETWEEN_SAVES = 60.0

Report = Callable[[Epoch], None]


@dataclass(frozen=True)
class FitSettings:
    """How one network is fitted; the names are those of the plan."""

    name: str
    epochs: int
    patience: int
    learning_rate: float
    momentum: float
    weight_decay: float
    warmup_epochs: int
    focal_gamma: float
    focal_alpha: float
    bf16: bool
    seed: int


class Task(Protocol):
    """What is fitted: batches to learn from and an inner hold-out to stop by."""

    @property
    def model(self) -> nn.Module:
        """The network."""

    @property
    def inner_labels(self) -> Tensor:
        """Labels [case] of the inner hold-out."""

    def batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of model output [case, class] and label [case], in the order drawn by `seed`."""

    def inner_logits(self) -> Tensor:
        """Logits [case, class] of the inner hold-out, in evaluation mode."""


def fit(task: Task, settings: FitSettings, key: str, saved: Path, report: Report) -> FitState:
    """Fit `task.model` and leave the weights of its best epoch in it.

    Continues from `saved` when that file belongs to `key`; the file is removed by the caller once the result is kept.
    Raises TrainingError when the loss is no longer finite.
    """
    model = task.model
    optimizer = new_optimizer(model, settings.learning_rate, settings.momentum, settings.weight_decay)
    loss = FocalMeanLoss(settings.focal_gamma, settings.focal_alpha)
    state = FitState.resume(saved, key, model, optimizer)
    last_save = time.monotonic()
    for epoch in range(len(state.history), settings.epochs):
        if state.best and epoch - state.best_epoch > settings.patience:
            break
        state.keep(_run_epoch(task, settings, loss, optimizer, epoch, state.best_loss), model)
        report(state.history[-1])
        if time.monotonic() - last_save > _SECONDS_BETWEEN_SAVES:
            state.save(saved, key, model, optimizer)
            last_save = time.monotonic()
    model.load_state_dict(state.best)
    model.eval()
    return state


def _run_epoch(
    task: Task, settings: FitSettings, loss: "FocalMeanLoss", optimizer: torch.optim.SGD, epoch: int, best_loss: float
) -> Epoch:
    started = time.monotonic()
    rate = learning_rate(settings, epoch)
    for group in optimizer.param_groups:
        group["lr"] = rate
    seed = stream_seed(settings.seed, settings.name, "epoch", epoch)
    train_loss = _train(task, settings, loss, optimizer, seed)
    task.model.eval()
    with torch.inference_mode():
        inner = task.inner_logits().float()
        inner_loss = float(loss(inner, task.inner_labels))
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
        inner_auc=area_under_curve(inner, task.inner_labels),
        # While the rate warms up the network has hardly learnt, and chance is what a small hold-out likes best.
        best=inner_loss < best_loss and (epoch >= settings.warmup_epochs or epoch == settings.epochs - 1),
        seconds=round(time.monotonic() - started, 3),
    )


def _train(task: Task, settings: FitSettings, loss: "FocalMeanLoss", optimizer: torch.optim.SGD, seed: int) -> float:
    """One pass over the training cases; the mean loss of a case."""
    model, cases = task.model, 0
    model.train()
    device = next(model.parameters()).device
    # Dropout draws from torch's global stream: give it this epoch's seed, and put the stream back afterwards.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        losses = []
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
            for logits, labels in task.batches(seed):
                losses.append(take_step(optimizer, loss, logits, labels) * len(labels))
                cases += len(labels)
    return float(torch.stack(losses).sum()) / cases


def new_optimizer(model: nn.Module, learning_rate: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """SGD with Nesterov momentum, fused: one walk over weights, gradients and momentum instead of five, same numbers.

    It walks in the order of memory, so the three of a parameter must have the same strides.
    """
    return torch.optim.SGD(
        model.parameters(),
        lr=learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=momentum > 0,
        fused=True,
    )


def take_step(optimizer: torch.optim.SGD, loss: "FocalMeanLoss", logits: Tensor, labels: Tensor) -> Tensor:
    """One step down the loss of a batch; the loss stays on the device, so that nothing waits for it."""
    batch_loss: Tensor = loss(logits.float(), labels)
    optimizer.zero_grad(set_to_none=True)
    batch_loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return batch_loss.detach()


class FocalMeanLoss(nn.Module):
    """Focal loss (Lin et al. 2017, arXiv:1708.02002) of softmax outputs, as the mean over cases.

    Scaled so that gamma 0 and alpha 0.5 give cross entropy. `alpha` weighs positive cases, 1 - `alpha` negative ones.

    >>> loss = FocalMeanLoss(gamma=0.0, alpha=0.5)
    >>> round(float(loss(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]))), 6) == round(math.log(2), 6)
    True
    """

    def __init__(self, gamma: float, alpha: float) -> None:
        super().__init__()
        self.sum = FocalLoss(gamma=gamma, alpha=alpha, use_softmax=True, to_onehot_y=True, reduction="sum")

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of logits [case, class] and labels [case]."""
        # MONAI averages over the axes after the class axis; with none of them it would average over all.
        total: Tensor = self.sum(logits[:, :, None], labels[:, None, None])
        return 2.0 * total / len(labels)


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


def random_batches(rows: Tensor, batch_size: int, seed: int) -> list[Tensor]:
    """`rows` shuffled and cut into as few batches of at most `batch_size` as there can be, all of nearly the same size.

    A small last batch would hand batch norm the statistics of a few cases. One case alone it cannot use at all: then
    there is one batch less. The order is drawn on the CPU, the same for every device, and moved to that of `rows` once,
    so that no step waits.

    >>> [len(batch) for batch in random_batches(torch.arange(38), 12, seed=0)]
    [10, 10, 9, 9]
    >>> [len(batch) for batch in random_batches(torch.arange(3), 2, seed=0)]
    [3]
    """
    chance = torch.Generator().manual_seed(seed)
    shuffled = rows[torch.randperm(len(rows), generator=chance).to(rows.device)]
    batches = max(1, min(math.ceil(len(rows) / batch_size), len(rows) // 2))
    return list(torch.tensor_split(shuffled, batches))
