"""What of this machine the process may use, inside a container as well."""

import atexit
import gc
import os
import platform
from functools import cache
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_CPU_INFO = Path("/proc/cpuinfo")
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # that oneDNN and OpenBLAS choose by
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # control groups of version 2 and 1


def tune_process() -> None:
    """Spare a process of our own what it gains nothing by; to be called before NumPy is imported.

    NumPy's BLAS starts a thread a core as it is imported, and they spin: our products are small, but for those that
    ask for more. Set OPENBLAS_NUM_THREADS to have it otherwise. At its end Python looks for garbage in all that was
    imported, which with PyTorch takes a third of a second.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    atexit.register(gc.freeze)


def usable_cores() -> int:
    """CPU cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


@cache
def processor(cpu_info: Path = _CPU_INFO) -> str:
    """What kind of processor this is, and which of its instructions libraries choose their arithmetic by.

    Two processors of one kind compute the same bytes, as far as anything of theirs decides on them.
    """
    try:
        text = cpu_info.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    lines = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    flags = lines.get("flags", "").split()
    known = [flag for flag in _INSTRUCTIONS if flag in flags]
    return ", ".join([platform.machine(), *([lines["model name"]] if lines.get("model name") else []), *known])


def usable_memory_gib(control_groups: Path = _CONTROL_GROUPS) -> float:
    """Physical memory, or the limit of the container where that is less, in GiB."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_limit_bytes(control_groups / name) for name in _LIMITS]
    return min([physical, *(limit for limit in limits if limit is not None)]) / 2**30


def _limit_bytes(path: Path) -> int | None:
    """The number in a file of the control group; None without one, and for "max"."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
