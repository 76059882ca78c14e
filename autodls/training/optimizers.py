"""The optimizers that a plan may name. All are fused: one walk over weights, gradients and state instead of several.

They walk in the order of memory, so what they keep of a parameter must have its strides.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from autodls.training.recorded import Recorder


def _sgd(model: nn.Module, rate: float | Tensor, momentum: float, weight_decay: float) -> Optimizer:
    return SGD(
        model.parameters(), rate, momentum, weight_decay=weight_decay, nesterov=momentum > 0, fused=True
    )  # with Nesterov's momentum


def _adamw(model: nn.Module, rate: float | Tensor, momentum: float, weight_decay: float) -> Optimizer:
    return AdamW(model.parameters(), rate, (momentum, 0.999), weight_decay=weight_decay, fused=True)


OPTIMIZERS: dict[str, Callable[[nn.Module, float | Tensor, float, float], Optimizer]] = {"sgd": _sgd, "adamw": _adamw}


def new_optimizer(name: str, model: nn.Module, learning_rate: float, momentum: float, weight_decay: float) -> Optimizer:
    """The optimizer `name` of all parameters; AdamW takes `momentum` as its first beta.

    On a GPU the rate is a number there, so that a captured step follows it.
    """
    device = next(model.parameters()).device
    rate = torch.tensor(learning_rate, device=device) if device.type == "cuda" else learning_rate
    return OPTIMIZERS[name](model, rate, momentum, weight_decay)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Let the next steps be of `rate`."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def recording_steps(record: Recorder, optimizer: Optimizer) -> Recorder:
    """`record`, for work that takes a step of `optimizer`.

    Fused, its numbers are the same; but an optimizer that says so from the first warns of every step that is not.
    """
    groups = [group for group in optimizer.param_groups if "capturable" in group]

    def record_step(work: Callable[[], None]) -> Callable[[], None]:
        for group in groups:
            group["capturable"] = True
        try:
            return record(work)
        finally:
            for group in groups:
                group["capturable"] = False

    return record_step
