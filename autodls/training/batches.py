"""Which cases come together in a step, and what chance a step has; drawn on the CPU, the same for every device."""

import math

import torch
from torch import Tensor


def send(values: Tensor, device: torch.device) -> Tensor:
    """`values` of the CPU on `device`; nothing waits until they are there."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values


def random_keep(shape: tuple[int, ...], dropout: float, seed: int, device: torch.device) -> Tensor:
    """What features of `shape` are multiplied by: zero for a share of about `dropout`, more than one for the others.

    >>> random_keep((2, 3), 0.0, seed=0, device=torch.device("cpu")).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    chance = torch.Generator().manual_seed(seed)
    return send((torch.rand(shape, generator=chance) >= dropout) / (1 - dropout), device)


def random_batches(rows: Tensor, batch_size: int, seed: int) -> Tensor:
    """`rows` shuffled into as few batches of at most `batch_size` as there can be: [batch, case], all of one size.

    A small last batch would hand batch norm the statistics of a few cases, and a step that is captured has one size: a
    batch that is one case short is given another, which is then shown twice. One case alone batch norm cannot use at
    all: then there is one batch less.

    >>> [len(batch) for batch in random_batches(torch.arange(38), 12, seed=0)]
    [10, 10, 10, 10]
    >>> [len(batch) for batch in random_batches(torch.arange(3), 2, seed=0)]
    [3]
    """
    chance = torch.Generator().manual_seed(seed)
    count = max(1, min(math.ceil(len(rows) / batch_size), len(rows) // 2))
    batches = [part.tolist() for part in torch.tensor_split(torch.randperm(len(rows), generator=chance), count)]
    again = torch.randperm(len(rows), generator=chance).tolist()
    for short in (batch for batch in batches if len(batch) < len(batches[0])):
        short.append(next(case for case in again if case not in short))
        again.remove(short[-1])
    return rows[send(torch.tensor(batches), rows.device)]
