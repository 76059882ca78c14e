"""Where a fit stands, in memory and on disk."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from autodls.errors import ModelFolderError
from autodls.records.tensors import load_tensors, save_tensors
from autodls.records.training_log import Epoch

Weights = dict[str, Tensor]
_HISTORY = TypeAdapter(list[Epoch])


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
        for name, value in model.state_dict().items():
            self.best[name] = self.best[name].copy_(value) if name in self.best else value.detach().clone()

    def save(self, path: Path, key: str, model: nn.Module, optimizer: torch.optim.SGD) -> None:
        """Write everything that continuing needs; `key` says what is being fitted."""
        groups = {"model": model.state_dict(), "best": self.best, "momentum": dict(_momentum(model, optimizer))}
        tensors = {f"{group}/{name}": value for group, content in groups.items() for name, value in content.items()}
        save_tensors(path, tensors, {"key": key, "history": [epoch.model_dump() for epoch in self.history]})

    @classmethod
    def resume(cls, path: Path, key: str, model: nn.Module, optimizer: torch.optim.SGD) -> "FitState":
        """Continue from `path` when it belongs to `key`, else start anew."""
        if not path.exists():
            return cls()
        try:
            tensors, note = load_tensors(path, "starting anew")
            history = _HISTORY.validate_python(note.get("history"))
        except (ModelFolderError, ValidationError):
            return cls()
        if note.get("key") != key:
            return cls()
        model.load_state_dict(_group(tensors, "model"))
        momentum = _group(tensors, "momentum")
        for name, parameter in model.named_parameters():
            if name in momentum:
                # Files hold no strides; the fused optimizer needs those of the parameter.
                optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum[name])
        best = {name: value.to(next(model.parameters()).device) for name, value in _group(tensors, "best").items()}
        return cls(history, best)


def _momentum(model: nn.Module, optimizer: torch.optim.SGD) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if buffer is not None:
            yield name, buffer


def _group(tensors: Weights, group: str) -> Weights:
    return {name.removeprefix(f"{group}/"): value for name, value in tensors.items() if name.startswith(f"{group}/")}
