"""Where a fit stands, in memory and on disk."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.optim import Optimizer

from autodls.errors import ModelFolderError
from autodls.records.tensors import load_tensors, save_tensors
from autodls.records.training_log import Epoch

Weights = dict[str, Tensor]
_HISTORY = TypeAdapter(list[Epoch])
_FORMAT = "autodls-fit/2"


@dataclass
class FitState:
    """Epochs done so far and the weights of the best one."""

    history: list[Epoch] = field(default_factory=list)
    best: Weights = field(default_factory=dict)

    @property
    def best_epoch(self) -> int:
        """Number of the epoch with the lowest inner loss; -1 before the first."""
        return max((epoch.epoch for epoch in self.history if epoch.best), default=-1)

    @property
    def best_loss(self) -> float:
        """The lowest inner loss so far."""
        return min((epoch.inner_loss for epoch in self.history if epoch.best), default=float("inf"))

    def keep(self, epoch: Epoch, model: nn.Module) -> None:
        """Add an epoch, and its weights if it is the best."""
        self.history.append(epoch)
        if not epoch.best:
            return
        values = model.state_dict()
        if self.best:  # all at once: a GPU takes as long to be told of a copy as to make it
            torch._foreach_copy_(list(self.best.values()), [values[name] for name in self.best])
        else:
            self.best = {name: value.detach().clone() for name, value in values.items()}

    def save(self, path: Path, key: str, model: nn.Module, optimizer: Optimizer) -> None:
        """Write everything that continuing needs; `key` says what is being fitted."""
        groups = {"model": model.state_dict(), "best": self.best, "optimizer": dict(_kept(model, optimizer))}
        tensors = {f"{group}/{name}": value for group, content in groups.items() for name, value in content.items()}
        history = [epoch.model_dump() for epoch in self.history]
        save_tensors(path, tensors, {"format": _FORMAT, "key": key, "history": history})

    @classmethod
    def resume(cls, path: Path, key: str, model: nn.Module, optimizer: Optimizer) -> "FitState":
        """Continue from `path` when it belongs to `key`, else start anew."""
        if not path.exists():
            return cls()
        try:
            tensors, note = load_tensors(path, "starting anew")
            history = _HISTORY.validate_python(note.get("history"))
        except (ModelFolderError, ValidationError):
            return cls()
        if (note.get("format"), note.get("key")) != (_FORMAT, key):
            return cls()
        model.load_state_dict(_group(tensors, "model"))
        parameters = dict(model.named_parameters())
        for name, value in _group(tensors, "optimizer").items():
            parameter, _, kind = name.rpartition("/")
            optimizer.state[parameters[parameter]][kind] = _like(parameters[parameter], value)
        best = {name: value.to(next(model.parameters()).device) for name, value in _group(tensors, "best").items()}
        return cls(history, best)


def _kept(model: nn.Module, optimizer: Optimizer) -> Iterator[tuple[str, Tensor]]:
    """What the optimizer keeps of each parameter: its momentum, or moments and the number of steps."""
    for name, parameter in model.named_parameters():
        for kind, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                yield f"{name}/{kind}", value


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """Files hold no strides; a fused optimizer needs those of the parameter."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value.to(parameter.device)


def _group(tensors: Weights, group: str) -> Weights:
    return {name.removeprefix(f"{group}/"): value for name, value in tensors.items() if name.startswith(f"{group}/")}
