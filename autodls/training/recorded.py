"""Work on a GPU that is launched once and then replayed as a whole, as a CUDA graph.

A step of a ResNet-101 is two thousand launches, for which the device waits. What is recorded may not look at a number
of the device, nor at one of the host that changes: all that differs from call to call comes in as a tensor.
"""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

Recorder = Callable[[Callable[[], None]], Callable[[], None]]
_log = logging.getLogger(__name__)


class Recorded:
    """`work` of tensors, ever of the same shapes: run as it is `warm_up` times, then recorded and replayed.

    The first calls are real ones: libraries choose their algorithms in them, and an optimizer makes its state. Without
    `record`, as on a CPU, all calls are as the first. Where recording fails one line says so, and nothing else changes.
    """

    def __init__(self, name: str, work: Callable[..., Tensor], record: Recorder | None, warm_up: int) -> None:
        self._name, self._work, self._record, self._warm_up = name, work, record, warm_up
        self._replay: Callable[[], None] | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._result = torch.empty(0)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The result of `work`, which is the caller's to keep."""
        if self._record is not None and self._replay is None and self._warm_up <= 0:
            self._begin(self._record, inputs)
        if self._replay is None:
            self._warm_up -= 1
            result = self._work(*inputs)
            self._result = result  # its shape and place are those of all that follow
            return result
        for static, new in zip(self._inputs, inputs, strict=True):
            static.copy_(new)
        self._replay()
        return self._result.clone()

    def _begin(self, record: Recorder, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(torch.empty_like(one) for one in inputs)
        self._result = torch.empty_like(self._result)

        def work() -> None:
            self._result.copy_(self._work(*self._inputs))

        try:
            self._replay = record(work)
        except RuntimeError as failure:
            self._record = None
            reason = (str(failure).splitlines() or [type(failure).__name__])[0]
            _log.warning("%s: the step could not be recorded as a CUDA graph (%s); it is slower", self._name, reason)


def recorder(device: torch.device) -> Recorder | None:
    """What records on `device`, for the work of one network, whose records share their memory; None on a CPU."""
    if device.type != "cuda":
        return None
    pool = torch.cuda.graph_pool_handle()

    def record(work: Callable[[], None]) -> Callable[[], None]:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
        # Other threads write files meanwhile; on the stream of the first calls the memory is that of these.
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            work()
        return graph.replay

    return record
