"""The same work on every case, in several processes; results in the order of the cases, whatever the number."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from threading import Thread
from typing import TypeVar

from autodls.errors import AutoDLSError

Item = TypeVar("Item")
Result = TypeVar("Result")
Advance = Callable[[str], None]


def no_advance(_name: str) -> None:
    """Show no progress."""


def map_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], names: Sequence[str], workers: int, advance: Advance
) -> list[Result]:
    """`work` of every item, in the order of `items`.

    `advance` is called in this process with the name of each item as it is done. With one worker, or one item, no
    process is started. `work` and the items must be importable and picklable. The first failure ends the rest and is
    raised; an AutoDLSError is raised where a process was killed.
    """
    if workers <= 1 or len(items) <= 1:
        results = []
        for item, name in zip(items, names, strict=True):
            results.append(work(item))
            advance(name)
        return results
    # Spawned, not forked: a fork copies the locks of threads that torch and ITK have started.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=context, initializer=_end_with_parent) as pool:
        named = {pool.submit(work, item): name for item, name in zip(items, names, strict=True)}
        try:
            for future in as_completed(named):
                future.result()
                advance(named[future])
        except BrokenProcessPool:
            raise AutoDLSError(
                f"one of {workers} worker processes was killed, perhaps for want of memory; run with fewer workers"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in named]


def _end_with_parent() -> None:
    """Let a killed command not leave workers behind that go on writing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        Thread(target=lambda: (wait([sentinel]), os._exit(1)), daemon=True).start()
