"""How long training takes: steps that were measured on the GPU, else floating-point operations over a throughput.

Throughputs of a CPU were measured with ResNet-101 in float32 on two cores with AVX2: 118 GFLOP/s at 96 to 128 px, 78 at
64 px, where layers become too small to keep the cores busy. The others are assumptions, and the plan says so. All that
is known of throughputs stands in the table below.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autodls.planning.encoder_cost import encoder_cost
from autodls.records.encoders import ENCODER_SPECS

SMALL_INPUT_PX = 80
# Operations a second, beside a ResNet-50's in the same run (one core, float32, 64 and 128 px: 0.33 and 0.34): a channel
# on its own gives a core little to multiply.
SPEED_BESIDE_A_RESNET = {"resnet": 1.0, "efficientnet_lite": 1 / 3}
_ASSUMED = "assumed, not measured"
_PASSES_OF_A_STEP = 3  # forward, gradient of the inputs, gradient of the weights
_FEATURE_VIEWS = 4  # views of a training case from which the fusion learns


@dataclass(frozen=True)
class Throughput:
    """GFLOP/s of a CPU core or of a GPU, less with inputs under `SMALL_INPUT_PX`; `trust` says how that is known."""

    gflops: float
    small_gflops: float
    trust: str


THROUGHPUTS = {
    ("cpu", "fp32"): Throughput(
        55.0, 39.0, "as measured on two cores of an AMD EPYC with Zen 3; older ones take up to twice as long"
    ),
    ("cpu", "bf16"): Throughput(110.0, 78.0, _ASSUMED),
    ("cuda", "fp32"): Throughput(5_000.0, 5_000.0, _ASSUMED),
    ("cuda", "bf16"): Throughput(10_000.0, 10_000.0, _ASSUMED),
}


@dataclass(frozen=True)
class Schedule:
    """What determines how often a case goes through an encoder."""

    epochs: int
    folds: int
    inner_holdout: float


def passes_per_case(schedule: Schedule, *, frozen: bool = False) -> float:
    """Forward passes that one case of one sequence takes over all folds, were no fold to stop early.

    Training steps count three-fold; then come the inner hold-out of every epoch, the features for the fusion, and one
    out-of-fold score. Of `frozen` encoders the features are computed once for all folds, and `epochs` are those of
    fine-tuning.
    """
    outer = 1 - 1 / schedule.folds
    train, inner = outer * (1 - schedule.inner_holdout), outer * schedule.inner_holdout
    epoch = _PASSES_OF_A_STEP * train + inner
    features = _FEATURE_VIEWS * train + 2 * inner
    if frozen:
        return _FEATURE_VIEWS + schedule.folds * schedule.epochs * epoch
    return schedule.folds * (schedule.epochs * epoch + features) + 1


def throughput_gflops(device: str, cores: int, precision: str, input_px: int) -> float:
    """Floating-point operations per second, in GFLOP/s; a multiply-accumulate counts as two."""
    known = THROUGHPUTS[device, precision]
    each = known.small_gflops if input_px < SMALL_INPUT_PX else known.gflops
    return cores * each if device == "cpu" else each


def predicted_training_minutes(
    encoder: str,
    input_px: int,
    schedule: Schedule,
    sequence_cases: Sequence[int],
    gflops: float,
    *,
    roi_guided: bool = False,
    frozen: bool = False,
) -> float:
    """Minutes for the encoders of all folds and sequences, were none to stop early.

    `sequence_cases` holds the training cases that have each sequence. The transformer comes on top.

    >>> schedule = Schedule(epochs=40, folds=3, inner_holdout=0.25)
    >>> round(predicted_training_minutes("resnet101", 128, schedule, [30, 34, 30], 110.0))
    15
    """
    family = ENCODER_SPECS[encoder].family
    gflop = 2 * encoder_cost(encoder, input_px, roi_guided=roi_guided).macs / 1e9 / SPEED_BESIDE_A_RESNET[family]
    return sum(sequence_cases) * passes_per_case(schedule, frozen=frozen) * gflop / gflops / 60


def predicted_fusion_minutes(
    tokens: int, width: int, layers: int, epochs: int, schedule: Schedule, cases: int, gflops: float
) -> float:
    """Minutes for the transformers of all folds, of `layers` with `width` channels over `tokens` places.

    A layer multiplies each token by eight matrices of width x width (three of attention, one behind it, two of twice
    the width), and compares all tokens, twice. `epochs` are those of the fusion, `cases` those of the training cohort.

    >>> round(predicted_fusion_minutes(49, 384, 3, 60, Schedule(40, 5, 0.2), 267, 110.0), 1)
    8.3
    """
    gflop = 2 * layers * tokens * (8 * width**2 + 2 * tokens * width) / 1e9
    train = (1 - 1 / schedule.folds) * (1 - schedule.inner_holdout)
    return _PASSES_OF_A_STEP * epochs * schedule.folds * train * cases * gflop / gflops / 60


def measured_training_minutes(
    seconds_per_step: float, batch_size: int, schedule: Schedule, sequence_cases: Sequence[int]
) -> float:
    """As `predicted_training_minutes`, where a step on `batch_size` cases was measured; smaller ones count as much.

    >>> schedule = Schedule(epochs=60, folds=5, inner_holdout=0.2)
    >>> round(measured_training_minutes(0.015, 32, schedule, [267, 267, 267]), 1)
    1.5
    """
    outer = 1 - 1 / schedule.folds
    steps = 0.0
    for cases in sequence_cases:
        train = _batches(cases * outer * (1 - schedule.inner_holdout), batch_size)
        inner = _batches(cases * outer * schedule.inner_holdout, batch_size) / _PASSES_OF_A_STEP
        steps += schedule.epochs * (train + inner) + _FEATURE_VIEWS * train / _PASSES_OF_A_STEP + 2 * inner
        steps += _batches(cases / schedule.folds, batch_size) / _PASSES_OF_A_STEP
    return schedule.folds * steps * seconds_per_step / 60


def _batches(cases: float, batch_size: int) -> int:
    return max(1, math.ceil(cases / batch_size))
