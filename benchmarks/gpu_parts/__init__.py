"""What `benchmarks/gpu.py` measures. A part is a generator of figures, by names that hold their units."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")
Figures = dict[str, object]
Part = Iterator[Figures]


class LeftOutError(Exception):
    """Why a part cannot run here: something that it needs is not there. It is no failure."""


@dataclass(frozen=True)
class Setting:
    """Where parts run: `device` is "cpu" or "cuda"; `folder` holds files that they make, and goes when all are done.

    `small`: at sizes that show on a CPU that everything runs, and nothing else.
    """

    device: str
    small: bool
    folder: Path

    def pick(self, full: Value, small: Value) -> Value:
        """The size that is asked for."""
        return small if self.small else full

    @property
    def on_gpu(self) -> bool:
        """Whether there is a card to measure."""
        return self.device == "cuda"
