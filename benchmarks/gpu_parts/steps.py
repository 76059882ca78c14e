"""Single steps: of one network, of several side by side, of the augmentation, and the memory that they take."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import count

import torch
from augmentation import SIDE, SIZE_PX, nnunet_by_batchgenerators
from torch import Tensor

from autodls.models.device import prepare_torch
from autodls.models.encoder import SequenceEncoder
from autodls.models.pooling import input_channels
from autodls.planning.decision import Step
from autodls.planning.encoder_cost import encoder_cost
from autodls.planning.memory import GIB, TrainingLoad, step_parts_gib
from autodls.seeding import generator
from autodls.training.augmentation import augment_paper
from autodls.training.interleave import interleave
from autodls.training.loop import take_step
from autodls.training.loss import FocalMeanLoss
from autodls.training.nnunet_augmentation import Draw, apply_nnunet, augment_nnunet, draw_nnunet
from autodls.training.optimizers import new_optimizer, recording_steps
from autodls.training.probe import probe_step
from autodls.training.recorded import Recorded, Recorder, recorder
from gpu_parts import Part, Setting

_WARM_UP = 5  # the first of them are as they are, then one is recorded


def sizes(setting: Setting) -> tuple[str, int, int]:
    """Encoder, batch and side in pixels of the steps that are measured."""
    return setting.pick(("resnet101", 32, 224), ("resnet8", 4, 32))


def one_network(setting: Setting) -> Part:
    """The paper's network and the small one that is guided by the ROI; as they are launched, and recorded."""
    device, times = torch.device(setting.device), setting.pick(30, 2)
    prepare_torch(device)
    if setting.on_gpu:
        yield {"matrix_product_tflop_per_s": matrix_product(device)}
    encoder, batch, px = sizes(setting)
    for name, network, optimizer, guided in (("paper", encoder, "sgd", False), ("small", "resnet8", "adamw", True)):
        step = Step(network, px, batch, "bf16" if setting.on_gpu else "fp32", optimizer, roi_guided=guided)
        tflop = 3 * 2 * encoder_cost(network, px, roi_guided=guided).macs * batch / 1e12
        for how, record in (("eager", None), ("captured", recorder(device))):
            if how == "captured" and record is None:
                yield {f"{name}_captured_ms": "no GPU, no CUDA graph"}
                continue
            with own_stream(device):
                seconds = seconds_of(new_step(step, device, record), times, device)
            yield {f"{name}_{how}_ms": 1000 * seconds, f"{name}_{how}_tflop_per_s": tflop / seconds}


def several(setting: Setting) -> Part:
    """Networks side by side as training has them, a stream each; time a step of one of them."""
    device, times = torch.device(setting.device), setting.pick(30, 2)
    prepare_torch(device)
    encoder, batch, px = sizes(setting)
    step = Step(encoder, px, batch, "bf16" if setting.on_gpu else "fp32")
    for networks in setting.pick((1, 3, 5), (2,)):
        steps = [new_step(step, device, recorder(device)) for _ in range(networks)]
        interleave((repeated(one, _WARM_UP) for one in steps), networks, device)
        wait_for(device)
        started = time.perf_counter()
        interleave((repeated(one, times) for one in steps), networks, device)
        wait_for(device)
        yield {f"{networks}_networks_ms_a_step": 1000 * (time.perf_counter() - started) / (networks * times)}


def augmentation(setting: Setting) -> Part:
    """Both policies on a batch that lies on the device; nnU-Net's also by its parts, and beside batchgenerators."""
    device, times, cases = torch.device(setting.device), setting.pick(50, 2), setting.pick(32, 2)
    pixels = torch.randn(cases, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    here, roi, seeds = pixels.to(device), torch.zeros(cases, 3, SIDE, SIDE, device=device), count()

    def draw() -> Draw:
        return draw_nnunet(pixels.shape, SIZE_PX, generator(next(seeds), "benchmark"))

    drawn = draw()
    there = drawn.to(device)
    works: dict[str, Callable[[], object]] = {
        "nnunet_draw": draw,
        "nnunet_send": lambda: drawn.to(device),
        "nnunet_apply": lambda: apply_nnunet(here, roi, SIZE_PX, there),
        "nnunet_whole": lambda: augment_nnunet(here, roi, SIZE_PX, next(seeds)),
        "nnunet_whole_without_roi": lambda: augment_nnunet(here, roi[:, :0], SIZE_PX, next(seeds)),
        "paper_whole": lambda: augment_paper(here, roi, SIZE_PX, next(seeds)),
    }
    for name, work in works.items():
        yield {f"{name}_ms": 1000 * seconds_of(work, times, device)}
    yield {"nnunet_apply_captured_ms": _captured(works["nnunet_apply"], times, device)}
    if find_spec("batchgenerators") is None:
        yield {"batchgenerators_ms": "left out: batchgenerators is not installed"}
        return
    peer = nnunet_by_batchgenerators()
    yield {"batchgenerators_ms": 1000 * seconds_of(lambda: peer(pixels), setting.pick(10, 2), torch.device("cpu"))}


def memory(setting: Setting) -> Part:
    """What fitting one network, and several, allocates, beside the arithmetic and what the planner measures."""
    device = torch.device(setting.device)
    encoder, batch, px = sizes(setting)
    precision = "bf16" if setting.on_gpu else "fp32"
    predicted = sum(step_parts_gib(TrainingLoad(encoder, px, batch, precision, setting.device)).values())
    cost = probe_step(Step(encoder, px, batch, precision), device)
    assert cost is not None, "the probe found no room"
    yield {"predicted_gib": predicted, "probed_step_ms": 1000 * cost.seconds, "probed_gib": cost.allocated_gib}
    yield from fitted_memory(setting, predicted)


def fitted_memory(setting: Setting, predicted_gib: float) -> Part:
    """The peak of real fits, samples left out."""
    from gpu_parts.whole import fit_networks, step_study

    if not setting.on_gpu:
        yield {"one_network_allocated_gib": "a CPU does not count it"}
        return
    study = step_study(setting, "memory")
    data = study.data(setting.device)
    for name, networks in (("one_network", 1), ("several", 3)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        fit_networks(study, data, networks, at_once=networks, epochs=2)
        allocated = (torch.cuda.max_memory_allocated() - before) / GIB
        yield {
            f"{name}_allocated_gib": allocated,
            f"{name}_reserved_gib": torch.cuda.max_memory_reserved() / GIB,
            f"{name}_predicted_over_allocated": networks * predicted_gib / allocated,
        }


def new_step(step: Step, device: torch.device, record: Recorder | None) -> Callable[[], Tensor]:
    """A training step on one batch of random images, as the loop takes it; recorded where it can be."""
    model = SequenceEncoder(step.encoder, 0.0, 0.1, roi_guided=step.roi_guided)
    model.start_from_random(torch.Generator().manual_seed(0))
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (step.batch_size, input_channels(roi_guided=step.roi_guided), step.input_px, step.input_px)
    planes = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(device)
    planes = planes.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(step.batch_size, device=device) % 2
    optimizer = new_optimizer(step.optimizer, model.train(), 0.001, 0.9, 1e-4)
    loss = FocalMeanLoss(gamma=2.0, alpha=0.5)

    def take(labels: Tensor, planes: Tensor) -> Tensor:
        return take_step(model, optimizer, loss, (planes,), labels, bf16=step.precision == "bf16")

    return partial(Recorded("step", take, record and recording_steps(record, optimizer), 3), labels, planes)


def repeated(work: Callable[[], object], times: int) -> Generator[bool, None, None]:
    """As a fit: it yields after each step that it has launched."""
    for _ in range(times):
        work()
        yield True


def seconds_of(work: Callable[[], object], times: int, device: torch.device) -> float:
    """Mean time of `work`, after some that is not counted."""
    for _ in range(_WARM_UP):
        work()
    wait_for(device)
    started = time.perf_counter()
    for _ in range(times):
        work()
    wait_for(device)
    return (time.perf_counter() - started) / times


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """What is launched inside goes a way of its own, as in training: on that of all others nothing can be recorded."""
    if device.type == "cpu":
        yield
        return
    stream, common = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    stream.wait_stream(common)
    with torch.cuda.stream(stream):
        yield
    common.wait_stream(stream)


def wait_for(device: torch.device) -> None:
    """Until the device has done all that was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_product(device: torch.device, side: int = 8192) -> float:
    """TFLOP/s of a square product in bfloat16: the most that there is."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: left @ right, 20, device) / 1e12


def _captured(work: Callable[[], object], times: int, device: torch.device) -> object:
    """Milliseconds of `work` replayed as a CUDA graph, or why it cannot be."""
    record = recorder(device)
    if record is None:
        return "no GPU, no CUDA graph"
    made: list[object] = []  # stays in its memory as long as it is replayed
    with own_stream(device):
        work()
        try:
            replay = record(lambda: made.append(work()))
        except RuntimeError as failure:
            return f"not possible: {str(failure).splitlines()[0]}"
        return 1000 * seconds_of(replay, times, device)
