"""What a planning rule is given and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autodls.records.fingerprint import Fingerprint


@dataclass(frozen=True)
class Step:
    """A training step of one encoder on `batch_size` cases of `input_px` x `input_px`, in "fp32" or "bf16"."""

    encoder: str
    input_px: int
    batch_size: int
    precision: str
    optimizer: str = "sgd"
    roi_guided: bool = False


@dataclass(frozen=True)
class StepCost:
    """What a step took: seconds, and the most memory in GiB that tensors held, and that was reserved for them."""

    seconds: float
    allocated_gib: float
    reserved_gib: float


@dataclass(frozen=True)
class Card:
    """A GPU on which steps can be tried: `cost_of` is None for a step that its memory does not hold."""

    name: str
    cost_of: Callable[[Step], StepCost | None]


@dataclass(frozen=True)
class Resources:
    """What training may use: memory of the device in GiB, bfloat16 in hardware or not, CPU cores.

    With a `card` the plan is tried on it, else its time and memory are arithmetic.
    """

    memory_gib: float
    device: Literal["cpu", "cuda"]
    bf16: bool
    cores: int
    card: Card | None = None


@dataclass(frozen=True)
class Decision:
    """A value of the plan, of the type of its field, and the sentence that says why."""

    value: Any
    reason: str


@dataclass(frozen=True)
class Situation:
    """All that a rule may look at: the training cohort, the resources, and what is decided so far, by dotted name."""

    fingerprint: Fingerprint
    resources: Resources
    decided: Mapping[str, Decision]

    def __getitem__(self, name: str) -> Any:
        """The value decided for `name`."""
        return self.decided[name].value

    def __contains__(self, name: str) -> bool:
        """Whether `name` is decided."""
        return name in self.decided

    @property
    def on_gpu(self) -> bool:
        """Whether training runs on a GPU."""
        return self.resources.device == "cuda"

    @property
    def rarer_patients(self) -> int:
        """Patients of the training cohort with a case of the rarer class."""
        return min(self.fingerprint.counts.positive, self.fingerprint.counts.negative)

    @property
    def inner_training_cases(self) -> int:
        """Cases that an encoder learns from: the training part of a fold without its inner hold-out."""
        return inner_training_cases(self.fingerprint.cases, self["training.folds"], self["training.inner_holdout"])

    @property
    def inner_training_samples(self) -> int:
        """The samples of these cases, one each or one a lesion, as far as the mean over the cohort tells."""
        cases, found = self.inner_training_cases, self.fingerprint
        return -(-cases * found.samples // found.cases)

    @property
    def inner_training_patients(self) -> int:
        """The patients of these cases: so many independent ones."""
        return inner_training_cases(self.fingerprint.patients, self["training.folds"], self["training.inner_holdout"])


def inner_training_cases(cases: int, folds: int, inner_holdout: float) -> int:
    """Of `cases`, those that an encoder learns from in one fold.

    >>> inner_training_cases(100, 5, 0.2)
    64
    """
    return max(2, int(cases * (1 - 1 / folds) * (1 - inner_holdout)))


Rule = Callable[[Situation], Decision]


def fixed(value: object, reason: str) -> Rule:
    """A rule that looks at nothing."""
    return lambda _situation: Decision(value, reason)
