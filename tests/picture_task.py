"""A network and a task that are fitted in a second, and need nothing but PyTorch."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from autodls.records.tensors import save_tensors
from autodls.training.batches import random_batches
from autodls.training.loop import FitSettings

BASE = FitSettings(
    name="stage", epochs=8, patience=8, optimizer="sgd", learning_rate=0.02, momentum=0.9, weight_decay=1e-3,
    warmup_epochs=2, focal_gamma=2.0, focal_alpha=0.5, bf16=False, seed=3,
)  # fmt: skip


def settings(**changes):
    return FitSettings(**{**BASE.__dict__, **changes})


def small_net():
    net = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(128, 2),
    )  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2, generator=draw)
            elif parameter.ndim == 1:
                parameter.uniform_(0.5, 1.0, generator=draw)
    return net.to(memory_format=torch.channels_last)


def pictures(cases, seed):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(cases) % 2
    return torch.randn(cases, 2, 6, 6, generator=draw) + labels[:, None, None, None], labels


@dataclass
class PictureTask:
    """A small network with batch norm and dropout, told to separate bright noise from dark noise."""

    model: nn.Module = field(default_factory=small_net)
    train: tuple[Tensor, Tensor] = field(default_factory=lambda: pictures(13, 1))
    inner: tuple[Tensor, Tensor] = field(default_factory=lambda: pictures(6, 2))

    @property
    def inner_labels(self):
        return self.inner[1]

    def batches(self, seed):
        pixels, labels = self.train
        for rows in random_batches(torch.arange(len(labels)), 4, seed):
            yield (pixels[rows].contiguous(memory_format=torch.channels_last),), labels[rows]

    def inner_logits(self):
        return self.model(self.inner[0])


def as_bytes(task, folder):
    save_tensors(folder / "result.safetensors", task.model.state_dict())
    return (folder / "result.safetensors").read_bytes()
