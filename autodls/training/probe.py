"""What a training step costs on the device that is there: a few real ones, on random images."""

import time

import torch
from torch import Tensor

from autodls.models.device import prepare_torch
from autodls.models.encoder import SequenceEncoder
from autodls.models.pooling import input_channels
from autodls.planning.decision import Step, StepCost
from autodls.planning.memory import GIB
from autodls.records.network_shape import CLASSES
from autodls.training.loop import take_step
from autodls.training.loss import FocalMeanLoss
from autodls.training.optimizers import new_optimizer

WARM_UP_STEPS, TIMED_STEPS = 3, 5


def probe_step(step: Step, device: torch.device) -> StepCost | None:
    """What `step` takes on `device`, with random weights; None where its memory does not hold it.

    Memory is that of the device's tensors, the weights of the best epoch included, and 0 on a CPU, which does not count
    it. Nothing that was drawn from torch's global streams is changed.
    """
    prepare_torch(device)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()  # of a step that did not fit before
        torch.cuda.reset_peak_memory_stats(device)
    try:
        with torch.random.fork_rng(devices=[device] if on_gpu else []):
            seconds = _seconds(step, device)
    except RuntimeError as failure:
        if _is_out_of_memory(failure):
            return None
        raise
    if not on_gpu:
        return StepCost(seconds, 0.0, 0.0)
    allocated, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
    return StepCost(seconds, allocated / GIB, reserved / GIB)


def _seconds(step: Step, device: torch.device) -> float:
    """Mean time of a step, after some that are not counted."""
    torch.manual_seed(0)
    with device:
        encoder = SequenceEncoder(step.encoder, dropout=0.2, batch_norm_momentum=0.1, roi_guided=step.roi_guided)
        planes = torch.randn(step.batch_size, input_channels(roi_guided=step.roi_guided), step.input_px, step.input_px)
        labels = torch.arange(step.batch_size) % CLASSES
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    planes = planes.contiguous(memory_format=torch.channels_last)
    optimizer = new_optimizer(step.optimizer, encoder, 0.001, 0.9, 1e-4)
    loss = FocalMeanLoss(gamma=2.0, alpha=0.5)
    best: dict[str, Tensor] = {}
    encoder.train()
    for number in range(WARM_UP_STEPS + TIMED_STEPS):
        if number == WARM_UP_STEPS:
            _wait_for(device)
            started = time.perf_counter()
        take_step(encoder, optimizer, loss, (planes,), labels, bf16=step.precision == "bf16")
        if not best:
            best = {name: value.clone() for name, value in encoder.state_dict().items()}
    _wait_for(device)
    return (time.perf_counter() - started) / TIMED_STEPS


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _is_out_of_memory(failure: RuntimeError) -> bool:
    """Libraries of CUDA that find no memory for themselves say so in words of their own."""
    return isinstance(failure, torch.OutOfMemoryError) or "ALLOC_FAILED" in str(failure)
