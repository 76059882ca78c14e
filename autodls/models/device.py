"""Where networks are computed: what a person asks for, and what this machine has."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from autodls.errors import ArgumentError, AutoDLSError

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?", re.ASCII)


def resolve_device(asked: str) -> torch.device:
    """The device that `asked` names: auto (a GPU where there is one), cpu, cuda or cuda:N.

    Raises ArgumentError for anything else, and for a GPU that PyTorch does not see.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if not _DEVICE.fullmatch(asked):
        raise ArgumentError(f"--device {asked}: expected auto, cpu, cuda, or cuda:N for GPU number N, from 0")
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ArgumentError(
            f"--device {asked}: PyTorch sees no CUDA device here; take --device cpu, or repair the driver"
        )
    _, _, number = asked.partition(":")
    if int(number or 0) >= (count := torch.cuda.device_count()):
        raise ArgumentError(f"--device {asked}: PyTorch sees {count} here; take one from cuda:0 to cuda:{count - 1}")
    return torch.device(f"cuda:{int(number)}" if number else "cuda")


@contextmanager
def memory_of(device: torch.device) -> Iterator[None]:
    """Raise AutoDLSError, in one line, where the memory of a GPU is not enough for what is done in the block."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise AutoDLSError(
            f"{device}: its free memory is not enough for the networks; end what else runs on it, or take --device cpu"
        ) from None


def prepare_torch(device: torch.device) -> None:
    """Settle what would make two runs on one GPU differ; to be called before anything is moved to it.

    PyTorch then takes deterministic algorithms, where an operation has one; it would say so of others on the user's
    screen at every run, which is for a test to say. Nothing is changed for a CPU.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts; without it sums may differ
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # we read none of it
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
