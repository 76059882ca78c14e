"""What of this machine the process may use, inside a container as well."""

import os
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # control groups of version 2 and 1


def usable_cores() -> int:
    """CPU cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


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
