"""The same work on every case, in several processes; results in the order of the cases, whatever the number."""

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.managers import SyncManager
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import ParamSpec, TypeVar

from autodls.errors import AutoDLSError
from autodls.machine import tune_process
from autodls.spawning import own_processes

Item = TypeVar("Item")
Result = TypeVar("Result")
P = ParamSpec("P")
Advance = Callable[[str], None]
_SECONDS_TO_END = 5.0


def no_advance(_name: str) -> None:
    """Show no progress."""


def map_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], names: Sequence[str], workers: int, advance: Advance
) -> list[Result]:
    """`work` of every item, in the order of `items`.

    `advance` is called in this process with the name of each item as it is done. With one worker, or one item, no
    process is started. `work` and the items must be picklable, and `work` of a module other than the main one, which
    workers do not run. The first failure, or Ctrl-C, ends the
    rest at once and is raised; an AutoDLSError is raised where a process was killed.
    """
    if workers <= 1 or len(items) <= 1:
        results = []
        for item, name in zip(items, names, strict=True):
            results.append(work(item))
            advance(name)
        return results
    with worker_processes(min(workers, len(items))) as pool:
        named = {pool.submit(work, item): name for item, name in zip(items, names, strict=True)}
        for future in as_completed(named):
            future.result()
            advance(named[future])
        return [future.result() for future in named]


def map_ahead(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, ahead: int
) -> Generator[Result, None, None]:
    """`work` of every item, in the order of `items`; up to `ahead` are begun before they are asked for.

    As `map_parallel`, but what is done is not gathered. With one worker a thread does the work.
    """
    with worker_pool(workers) as pool:
        begun: deque[Future[Result]] = deque()
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def worker_pool(workers: int) -> contextlib.AbstractContextManager[Executor]:
    """So many processes, or a thread in the place of one."""
    return worker_thread() if workers <= 1 else worker_processes(workers)


@contextlib.contextmanager
def worker_processes(workers: int) -> Iterator[Executor]:
    """Processes, started as there is work for them; when the block is left by an exception, they end at once.

    Raises AutoDLSError where the result of a process that was killed is asked for in the block.
    """
    pool = _Processes(workers, mp_context=own_processes(), initializer=begin_worker)
    begun: Mapping[int, BaseProcess] = pool._processes  # which the pool forgets when it breaks
    try:
        yield pool
    except BrokenProcessPool:
        raise AutoDLSError(_why_broken(workers, begun.values())) from None
    except BaseException:
        for process in list(
            (pool._processes or {}).values()
        ):  # a task may take hours, and nobody waits for it any more
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _why_broken(workers: int, processes: Iterable[BaseProcess]) -> str:
    """The first that ended took the pool with it, which then ends the others by SIGTERM."""
    for process in processes:
        process.join(_SECONDS_TO_END)
    ends = {process.exitcode for process in processes} - {None, 0, -signal.SIGTERM}
    own = sorted(status for status in ends if status is not None and status > 0)
    if own and not any(status is not None and status < 0 for status in ends):
        return (
            f"one of {workers} worker processes was killed or ended of itself, with status {own[0]}; what it wrote "
            "above says why; with workers=1 (--workers 1) no process is started"
        )
    return f"one of {workers} worker processes was killed, perhaps for want of memory; run with fewer workers"


@contextlib.contextmanager
def worker_thread() -> Iterator[Executor]:
    """One thread; what it has not begun when the block is left is not begun any more."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class _Processes(ProcessPoolExecutor):
    """Processes that never see Ctrl-C: they are started as work comes in."""

    def submit(self, work: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Future[Result]:
        """As that of its parent."""
        with interrupts_held():
            return super().submit(work, *args, **kwargs)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back meanwhile: processes that are started here never see it, and this one sees it afterwards.

    A terminal sends it to every process of a command. It is for this one alone to say so, and to end the others.
    """
    resource_tracker.ensure_running()  # its start would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_manager() -> SyncManager:
    """A process that holds what others share; it ends with the manager, or with this process."""
    manager = SyncManager(ctx=own_processes())
    with interrupts_held():
        manager.start(initializer=begin_worker)
    return manager


def begin_worker() -> None:
    """What each of our processes does first."""
    tune_process()
    _end_with_parent()


def _end_with_parent() -> None:
    """Let a killed command not leave workers behind that go on writing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        Thread(target=lambda: (wait([sentinel]), os._exit(1)), daemon=True).start()
