"""Several networks fitted side by side in one process: on a GPU each on a stream of its own, a step of each in turn.

A fit is a generator that yields after each step that it has launched (true), or while it waits for the device (false).
It computes the same numbers whoever runs beside it: all its chance is its own, and no stream waits for another.
"""

import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
Steps = Generator[bool, None, Result]
_SECONDS_BETWEEN_LOOKS = 1e-4


@dataclass(frozen=True)
class _Lane:
    """A stream of a GPU, or the one of a CPU."""

    stream: torch.cuda.Stream | None

    def __call__(self) -> AbstractContextManager[object]:
        """What is launched inside goes this way."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def begin(self) -> None:
        """What follows needs what was launched before."""
        if self.stream is not None:
            self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))

    def end(self) -> None:
        """What is launched after this may need the results."""
        if self.stream is not None:
            torch.cuda.current_stream(self.stream.device).wait_stream(self.stream)


@dataclass(frozen=True)
class _Fit(Generic[Result]):
    number: int
    steps: Steps[Result]
    lane: _Lane


def interleave(fits: Iterable[Steps[Result]], at_once: int, device: torch.device) -> list[Result]:
    """Run `fits` to their ends, `at_once` at a time, and give their results in order.

    A fit is taken from `fits` when there is room for it. The first failure ends all of them.
    """
    waiting = enumerate(fits)
    free = [_Lane(_new_stream(device)) for _ in range(at_once)]
    running: list[_Fit[Result]] = []
    results: dict[int, Result] = {}
    try:
        while True:
            running.extend(_begin(waiting, free))
            if not running:
                return [results[number] for number in sorted(results)]
            moved = [_advance(fit, results) for fit in running]
            free.extend(fit.lane for fit in running if fit.number in results)
            running = [fit for fit in running if fit.number not in results]
            if not any(moved):
                time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        for fit in running:
            fit.steps.close()


def _new_stream(device: torch.device) -> torch.cuda.Stream | None:
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def _begin(waiting: Iterator[tuple[int, Steps[Result]]], free: list[_Lane]) -> Iterator[_Fit[Result]]:
    while free and (entry := next(waiting, None)) is not None:
        lane = free.pop()
        lane.begin()
        yield _Fit(*entry, lane)


def _advance(fit: _Fit[Result], results: dict[int, Result]) -> bool:
    try:
        with fit.lane():
            return next(fit.steps)
    except StopIteration as end:
        results[fit.number] = end.value
        fit.lane.end()
        return True


def on_host(tensors: Mapping[str, Tensor]) -> Steps[dict[str, Tensor]]:
    """`tensors` on the CPU, once they are there; meanwhile others may go on."""
    copies = {name: value.detach().to("cpu", non_blocking=True) for name, value in tensors.items()}
    if any(value.is_cuda for value in tensors.values()):
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
        while not done.query():  # type: ignore[no-untyped-call]
            yield False
    return copies


@contextmanager
def own_chance(seed: int, device: torch.device) -> Iterator[None]:
    """Seed what draws from torch's global streams, such as dropout, and put the streams back as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
