"""How much memory training takes: arithmetic over the layers plus a constant for the process.

Checked by a test, and over more batches and sizes by `benchmarks/memory_model.py`, against the peak of real processes
on a CPU, in float32, to 15 %; on another machine the process by itself took 0.37 GiB more. On a GPU one point was
measured: fitting a ResNet-101 to batches of 32 x 224 px in bfloat16 allocated 2.59 GiB on an H200, of which the
arithmetic makes 2.62. A plan made on a GPU measures its own.
"""

from dataclasses import dataclass

from autodls.planning.encoder_cost import encoder_cost, feature_channels
from autodls.records.encoders import encoder_stride_px
from autodls.records.network_shape import PLANE_COUNT

GIB = 2**30
# What a process takes beside what is counted below. On a CPU: with its libraries loaded, after a training step (torch
# 2.13). On a GPU: the CUDA context, which is assumed, and lies outside of what PyTorch allocates.
PROCESS_GIB = {"cpu": {"framework": 0.75}, "cuda": {"context": 0.5}}
_BYTES = {"fp32": 4, "bf16": 2}
_WEIGHT_COPIES = 3  # weights, gradients, and the weights of the best epoch so far
_OPTIMIZER_COPIES = {"sgd": 1, "adamw": 2}  # momentum; means of gradients and of their squares
_LOADING = {"cpu": 2, "cuda": 0}  # copies of the weights of the encoder that is being read: as trained, and folded
_FEATURE_BYTES = {
    "cpu": 16,
    "cuda": 8,
}  # per number of a feature map whose components are found, on the CPU, in float64
_VIEW_COPIES = 1 + (256 / 224) ** 2  # of the planes of a sequence: as stored, and cropped


@dataclass(frozen=True)
class TrainingLoad:
    """Training of one encoder after the other, then of the fusion: `precision` is "fp32" or "bf16", `device` "cpu" or
    "cuda".

    `cohort_gib` is the memory of the samples of all cases, which stay on the device; `cases` of them are trained on,
    with `sequences` each. Without `cases` the fusion is left out. `fine_tuned`: all encoders are then fitted at once.
    `roi_guided`: see `encoder_cost`; `optimizer`: "sgd" or "adamw". `step_gib` is what fitting one encoder was measured
    to allocate, in the place of arithmetic. `frozen` encoders are not fitted, but where they are `fine_tuned`.
    """

    encoder: str
    input_px: int
    batch_size: int
    precision: str
    device: str
    cohort_gib: float = 0.0
    cases: int = 0
    sequences: int = 0
    fine_tuned: bool = False
    step_gib: float | None = None
    roi_guided: bool = False
    optimizer: str = "sgd"
    frozen: bool = False


def encoder_parts_gib(load: TrainingLoad) -> dict[str, float]:
    """Peak memory in GiB of fitting an encoder, by what it is for.

    Weights, gradients and what the optimizer keeps are float32 with either precision; bf16 halves the activations and
    adds a copy of the weights.
    """
    return _fitting_parts_gib(load, 1)


def fine_tuning_parts_gib(load: TrainingLoad) -> dict[str, float]:
    """Peak memory in GiB of fitting the encoders of all sequences at once, by what it is for."""
    return _fitting_parts_gib(load, load.sequences)


def _fitting_parts_gib(load: TrainingLoad, encoders: int) -> dict[str, float]:
    step = step_parts_gib(load) if load.step_gib is None else {"step": load.step_gib}
    fitted = {part: encoders * size for part, size in step.items()}
    return {**fitted, "cohort": load.cohort_gib, **PROCESS_GIB[load.device]}


def step_parts_gib(load: TrainingLoad) -> dict[str, float]:
    """Memory in GiB that fitting one encoder allocates, by arithmetic."""
    cost = encoder_cost(load.encoder, load.input_px, roi_guided=load.roi_guided)
    size = _BYTES[load.precision]
    copies = 4 * (_WEIGHT_COPIES + _OPTIMIZER_COPIES[load.optimizer]) + (size if load.precision == "bf16" else 0)
    return {
        "weights": cost.parameters * copies / GIB,
        "activations": load.batch_size * (cost.activations * size + cost.pool_indices * 8) / GIB,
    }


def fusion_parts_gib(load: TrainingLoad) -> dict[str, float]:
    """Peak memory in GiB of the fusion, by what it is for: it comes when the feature maps of a sequence are reduced."""
    cells = -(-load.input_px // encoder_stride_px(load.encoder))
    return {
        "weights": (load.sequences + _LOADING[load.device])
        * encoder_cost(load.encoder, load.input_px, roi_guided=load.roi_guided).parameters
        * 4
        / GIB,
        "features": load.cases
        * feature_channels(load.encoder, roi_guided=load.roi_guided)
        * cells**2
        * _FEATURE_BYTES[load.device]
        / GIB,
        "views": _VIEW_COPIES * cohort_gib(load.cases, 1, load.input_px),
        "cohort": load.cohort_gib,
        **PROCESS_GIB[load.device],
    }


def memory_parts_gib(load: TrainingLoad) -> dict[str, float]:
    """Peak memory in GiB of the stage that needs more, by what it is for."""
    stages = [] if load.frozen and load.cases else [encoder_parts_gib(load)]
    if load.cases:
        stages.append(fusion_parts_gib(load))
    if load.fine_tuned:
        stages.append(fine_tuning_parts_gib(load))
    return max(stages, key=lambda parts: sum(parts.values()))


def predicted_memory_gib(load: TrainingLoad) -> float:
    """Peak memory in GiB: the sum of `memory_parts_gib`.

    >>> round(predicted_memory_gib(TrainingLoad("resnet101", 224, 32, "fp32", "cpu")), 1)
    5.1
    """
    return sum(memory_parts_gib(load).values())


def cohort_gib(cases: int, sequences: int, slice_size_px: int, *, roi_guided: bool = False) -> float:
    """Memory in GiB of the samples of a cohort, float32 [case, sequence, channel, H, W]: the planes, and with each the
    ROI where encoders are guided by it.

    >>> round(cohort_gib(267, 3, 256), 2)
    0.59
    """
    return (1 + roi_guided) * cases * sequences * PLANE_COUNT * slice_size_px**2 * 4 / GIB
