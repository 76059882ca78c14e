"""What a person asks of the planner."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PlanRequest:
    """The preset, or the file of one, and what the plan may use: None is measured here, or chosen by a rule."""

    preset: str = "auto"
    memory_gib: float | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    encoder_weights: str | None = None
    encoder: str | None = None
    encoder_frozen: bool = False
