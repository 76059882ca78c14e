"""A CUDA graph as it looks from Python, on a CPU: nothing runs as it is recorded, and what it may not do is refused."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
LOOKS = {aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.is_nonzero, aten.equal}
FROM_HOST = {aten.lift_fresh}


class NothingOfTheHost(TorchDispatchMode):
    """Refuses what would wait for the device, or copy a number of the host to it once and for all."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        packet = function.overloadpacket
        by_mask = packet is aten.index and any(one is not None and one.dtype == torch.bool for one in args[1])
        if packet in LOOKS | FROM_HOST or by_mask:
            raise RuntimeError(f"{function} while a step is recorded\nand a second line")
        return function(*args, **(kwargs or {}))


class StrictRecorder:
    """Records by keeping the work; `replays` counts how often any of it was run."""

    def __init__(self):
        self.recorded, self.replays = 0, 0

    def __call__(self, work):
        self.recorded += 1

        def replay():
            self.replays += 1
            with NothingOfTheHost():
                work()

        return replay


def refuse(_work):
    """Records nothing."""
    raise RuntimeError("operation not permitted when stream is capturing\nand more")
