"""Work in a process of its own, whose death ends in an error that this one can tell.

The library of a cluster may end the process that uses it, when the cluster is gone.
"""

from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from queue import Queue
from threading import Thread
from typing import Any

from autodls.errors import AutoDLSError
from autodls.jobs.executor import Note, Report
from autodls.parallel import start_manager, worker_processes


@dataclass(frozen=True)
class Messenger:
    """What the process tells: `report` or `note`, by a queue."""

    queue: "Queue[Any]"

    def report(self, fold: int, epoch: object) -> None:
        """An epoch is done."""
        self.queue.put((fold, epoch))

    def note(self, line: str) -> None:
        """A line for a person."""
        self.queue.put(line)


def work_apart(work: Callable[[Messenger], None], report: Report, note: Note, gone: str) -> None:
    """Do `work`, which must be picklable, in a process; raises AutoDLSError with `gone` where that is killed."""
    with start_manager() as manager:
        queue: Queue[Any] = manager.Queue()
        listener = Thread(target=_pass_on, args=(queue, report, note), daemon=True)
        listener.start()
        try:
            with worker_processes(1) as pool:
                _result(pool.submit(work, Messenger(queue)).result, gone)
        finally:
            queue.put(None)
            listener.join()


def _result(result: Callable[[], None], gone: str) -> None:
    try:
        result()
    except BrokenProcessPool:
        raise AutoDLSError(gone) from None


def _pass_on(queue: "Queue[Any]", report: Report, note: Note) -> None:
    while (told := queue.get()) is not None:
        if isinstance(told, str):
            note(told)
        else:
            report(*told)
