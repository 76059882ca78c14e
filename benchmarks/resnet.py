"""A training step and an inference of ResNet-101: ours, plain PyTorch, and what the processor can multiply at most.

    python benchmarks/resnet.py [--batch 16] [--px 128] [--rounds 5] [--threads 2]

Plain is float32, NCHW, batch norm left as it is, with the same loss and optimizer, and the same weights and pictures.
The losses of the first steps and the scores must agree. The share is that of a square matrix product in the same type.
"""

from argparse import ArgumentParser
from collections.abc import Callable

import torch
from plain_resnet import PlainResNet101, random_state
from side_by_side import OURS, Usage, in_process, interleaved, machine, show
from torch import Tensor, nn

from autodls.models.encoder import SequenceEncoder
from autodls.models.folded import FoldedEncoder
from autodls.models.network import has_bf16
from autodls.planning.encoder_cost import encoder_cost
from autodls.training.loop import take_step
from autodls.training.loss import FocalMeanLoss
from autodls.training.optimizers import new_optimizer

CPU = torch.device("cpu")
PEAK_SIDE = 2048
LOSS_TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.05}  # relative, over the first two steps
SCORE_TOLERANCE = {torch.float32: 3e-3, torch.bfloat16: 0.02}  # of the probability


class Training:
    """Steps of SGD on one batch, and the losses so far."""

    def __init__(self, model: nn.Module, planes: Tensor, labels: Tensor, dtype: torch.dtype) -> None:
        self.model, self.planes, self.labels, self.dtype = model.train(), planes, labels, dtype
        self.optimizer = new_optimizer("sgd", model, learning_rate=1e-3, momentum=0.9, weight_decay=1e-4)
        self.loss = FocalMeanLoss(gamma=2.0, alpha=0.5)
        self.losses: list[float] = []

    def step(self) -> None:
        """One step as the fitting loop takes it."""
        bf16, inputs = self.dtype == torch.bfloat16, (self.planes,)
        loss = take_step(self.model, self.optimizer, self.loss, inputs, self.labels, bf16=bf16)
        self.losses.append(float(loss))


class PlainTraining(Training):
    """The loop of a tutorial."""

    def step(self) -> None:
        """One step in float32."""
        self.optimizer.zero_grad()
        loss = self.loss(self.model(self.planes), self.labels)
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.item())


def peak(dtype: torch.dtype) -> Callable[[], object]:
    """A product of two square matrices."""
    left, right = (torch.randn(PEAK_SIDE, PEAK_SIDE).to(dtype) for _ in range(2))
    return lambda: left @ right


def require_close(what: str, ours: Tensor, plain: Tensor, tolerance: float) -> str:
    """The largest difference, in words; raises ValueError beyond `tolerance`."""
    apart = float((ours - plain).abs().max())
    if not apart <= tolerance:
        raise ValueError(f"{what} differ by {apart:g}, more than {tolerance:g}")
    return f"{what} within {apart:.1e} ({tolerance:g})"


def share(usage: Usage, flop: float, best: Usage) -> str:
    """Throughput, and its share of the matrix product's."""
    rate, limit = flop / usage.wall_s / 1e9, 2 * PEAK_SIDE**3 / best.wall_s / 1e9
    return f"{rate:.0f} GFLOP/s, {rate / limit:.0%} of {limit:.0f}"


def train_both(
    state: dict[str, Tensor], planes: Tensor, labels: Tensor, dtype: torch.dtype
) -> tuple[Training, Training]:
    """Ours as the sequence stage sets it up, and the plain one."""
    encoder, plain = SequenceEncoder("resnet101", 0.0, 0.1), PlainResNet101()
    encoder.net.load_state_dict(state)
    plain.load_state_dict(state)
    last = planes.contiguous(memory_format=torch.channels_last)
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ours = Training(encoder, last, labels, dtype)
    return ours, PlainTraining(plain, planes, labels, torch.float32)


def main() -> None:
    """Print both tables."""
    parser = ArgumentParser(description=__doc__)
    for name, default in (("--batch", 16), ("--px", 128), ("--rounds", 5), ("--threads", 2)):
        parser.add_argument(name, type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    dtype = torch.bfloat16 if has_bf16(CPU) else torch.float32
    chance = torch.Generator().manual_seed(0)
    planes = torch.randn(asked.batch, 3, asked.px, asked.px, generator=chance)
    labels, state = torch.arange(asked.batch) % 2, random_state(0)
    flop = 2 * encoder_cost("resnet101", asked.px).macs * asked.batch
    print(f"{machine()}, {asked.threads} threads, {dtype}, batch {asked.batch}, {asked.px} px")

    ours, plain = train_both(state, planes, labels, dtype)
    steps = {
        OURS: in_process(ours.step),
        "plain float32": in_process(plain.step),
        "matrix product": in_process(peak(dtype)),
    }
    usages = interleaved(steps, asked.rounds)
    first, first_plain = (torch.tensor(run.losses[:2]) for run in (ours, plain))
    notes = {
        OURS: share(usages[OURS], 3 * flop, usages["matrix product"]),
        "plain float32": require_close("losses", first, first_plain, LOSS_TOLERANCE[dtype]),
    }
    show("training step", usages, notes)

    folded, plain_net = FoldedEncoder.from_state(state).to(CPU, dtype), PlainResNet101().eval()
    plain_net.load_state_dict(state)
    with torch.inference_mode():
        runs = {
            OURS: in_process(lambda: folded.logits(folded.features(planes), planes)),
            "plain float32": in_process(lambda: plain_net(planes)),
            "matrix product": in_process(peak(dtype)),
        }
        usages = interleaved(runs, asked.rounds)
        scores, plain_scores = (
            net.softmax(dim=1)[:, 1] for net in (folded.logits(folded.features(planes), planes), plain_net(planes))
        )
    notes = {
        OURS: share(usages[OURS], flop, usages["matrix product"]),
        "plain float32": require_close("scores", scores, plain_scores, SCORE_TOLERANCE[dtype]),
    }
    show("inference", usages, notes)


if __name__ == "__main__":
    main()
