"""Competitors measured side by side: rounds alternate between them, so that a busy machine slows all of them alike."""

import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OURS = "autodls"


@dataclass(frozen=True)
class Usage:
    """What one run cost; `memory_mib` is the peak of its process, 0 where it shared this one."""

    wall_s: float
    cpu_s: float
    memory_mib: float = 0.0


def machine() -> str:
    """Processor, cores and versions, for the first line of a result."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"


def in_process(work: Callable[[], object]) -> Callable[[], Usage]:
    """`work` measured in this process, threads included."""

    def run() -> Usage:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return Usage(time.perf_counter() - wall, time.process_time() - cpu)

    return run


def whole_process(*arguments: str, quiet: bool = False) -> Callable[[], Usage]:
    """A Python process with `arguments`, measured from its start to its end; `quiet` drops what it prints.

    A child's peak of memory starts from that of its parent: keep this process smaller than what it measures. Its
    modules are compiled once and kept, as on a user's machine, whatever this machine's PYTHONDONTWRITEBYTECODE says.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    nowhere = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]

    def run() -> Usage:
        start = time.perf_counter()
        words, actions = [sys.executable, *arguments], nowhere if quiet else ()
        child = os.posix_spawn(sys.executable, words, environment, file_actions=actions)
        _, status, used = os.wait4(child, 0)
        wall = time.perf_counter() - start
        if status:
            raise RuntimeError(f"{' '.join(arguments)}: ended with status {os.waitstatus_to_exitcode(status)}")
        return Usage(wall, _cpu_s(used), used.ru_maxrss / 1024)

    return run


def _cpu_s(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def interleaved(
    competitors: Mapping[str, Callable[[], Usage]], rounds: int, warm_up_rounds: int = 1
) -> dict[str, Usage]:
    """Median cost of each competitor over `rounds`, after those to warm up."""
    runs: dict[str, list[Usage]] = {name: [] for name in competitors}
    for _ in range(warm_up_rounds + rounds):
        for name, run in competitors.items():
            runs[name].append(run())
    return {name: _median(measured[warm_up_rounds:]) for name, measured in runs.items()}


def _median(runs: Sequence[Usage]) -> Usage:
    return Usage(
        statistics.median(run.wall_s for run in runs),
        statistics.median(run.cpu_s for run in runs),
        statistics.median(run.memory_mib for run in runs),
    )


def show(title: str, usages: Mapping[str, Usage], notes: Mapping[str, str], ours: str = OURS) -> None:
    """Print a table: each competitor's cost, what it costs as a multiple of ours, and a note."""
    print(f"\n{title}")
    print(f"{'':<34}{'wall ms':>10}{'ratio':>8}{'CPU ms':>10}{'ratio':>8}{'peak MiB':>10}{'ratio':>8}")
    for name, usage in usages.items():
        own = usages[ours]
        memory = f"{usage.memory_mib:10.0f}{usage.memory_mib / own.memory_mib:8.2f}" if usage.memory_mib else " " * 18
        print(
            f"{name:<34}{1000 * usage.wall_s:10.1f}{usage.wall_s / own.wall_s:8.2f}"
            f"{1000 * usage.cpu_s:10.1f}{usage.cpu_s / own.cpu_s:8.2f}{memory}  {notes.get(name, '')}"
        )
