"""How long training takes: floating-point operations over a throughput.

Throughputs of a CPU were measured with ResNet-101 in float32 on two cores with AVX2: 118 GFLOP/s at 96 to 128 px, 78 at
64 px, where layers become too small to keep the cores busy. The others are assumptions, and the plan says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from autodls.planning.encoder_cost import encoder_cost

CPU_GFLOPS_PER_CORE = 55.0
CPU_GFLOPS_PER_CORE_SMALL = 39.0
SMALL_INPUT_PX = 80
CPU_BF16_GAIN = 2.0
CUDA_GFLOPS = {"bf16": 10_000.0, "fp32": 5_000.0}
_PASSES_OF_A_STEP = 3  # forward, gradient of the inputs, gradient of the weights
_FEATURE_VIEWS = 4  # views of a training case from which the fusion learns


@dataclass(frozen=True)
class Schedule:
    """What determines how often a case goes through an encoder."""

    epochs: int
    folds: int
    inner_holdout: float


def passes_per_case(schedule: Schedule) -> float:
    """Forward passes that one case of one sequence takes over all folds, were no fold to stop early.

    Training steps count three-fold; then come the inner hold-out of every epoch, the features for the fusion, and one
    out-of-fold score.
    """
    outer = 1 - 1 / schedule.folds
    train, inner = outer * (1 - schedule.inner_holdout), outer * schedule.inner_holdout
    epoch = _PASSES_OF_A_STEP * train + inner
    features = _FEATURE_VIEWS * train + 2 * inner
    return schedule.folds * (schedule.epochs * epoch + features) + 1


def throughput_gflops(device: str, cores: int, precision: str, input_px: int) -> float:
    """Floating-point operations per second, in GFLOP/s; a multiply-accumulate counts as two."""
    if device == "cuda":
        return CUDA_GFLOPS[precision]
    per_core = CPU_GFLOPS_PER_CORE_SMALL if input_px < SMALL_INPUT_PX else CPU_GFLOPS_PER_CORE
    return cores * per_core * (CPU_BF16_GAIN if precision == "bf16" else 1.0)


def predicted_training_minutes(
    encoder: str, input_px: int, schedule: Schedule, sequence_cases: Sequence[int], gflops: float
) -> float:
    """Minutes for the encoders of all folds and sequences, were none to stop early.

    `sequence_cases` holds the training cases that have each sequence. The transformer adds a few per cent.

    >>> schedule = Schedule(epochs=40, folds=3, inner_holdout=0.25)
    >>> round(predicted_training_minutes("resnet101", 128, schedule, [30, 34, 30], 110.0))
    15
    """
    gflop = 2 * encoder_cost(encoder, input_px).macs / 1e9
    return sum(sequence_cases) * passes_per_case(schedule) * gflop / gflops / 60
