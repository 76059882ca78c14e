"""Processes that are started anew and never run the program of whoever started them.

A process that is spawned usually runs the parent's main module again before its work. A script without a guard
(`if __name__ == "__main__":`) then starts its whole study once more in every worker, and what was typed, or piped into
`python -`, is no file that could be run. Our work lies in this package alone, so the main module is left out.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import context
from threading import RLock
from types import ModuleType

_MAIN = "__main__"
_STARTING = RLock()


class _NotToBeRun(ModuleType):
    """The main module, with all that it holds, but of no file and no name: multiprocessing finds nothing to run."""

    def __init__(self, real: ModuleType) -> None:
        super().__init__(_MAIN)
        self._real = real

    def __getattr__(self, name: str) -> object:
        if name == "__file__":
            raise AttributeError(name)
        return getattr(self._real, name)


@contextmanager
def _main_not_to_be_run() -> Iterator[None]:
    """While a process is started: what it is told of the parent is read from `sys.modules` at that moment."""
    with _STARTING:
        real = sys.modules[_MAIN]
        sys.modules[_MAIN] = _NotToBeRun(real)
        try:
            yield
        finally:
            sys.modules[_MAIN] = real


class _Process(context.SpawnProcess):
    def start(self) -> None:
        """As that of its parent, less the main module."""
        with _main_not_to_be_run():
            super().start()


class _Context(context.SpawnContext):
    Process = _Process


def own_processes() -> context.SpawnContext:
    """A context of multiprocessing whose processes import what their work names, and not the parent's main module.

    Spawned, not forked: a fork copies the locks of threads that torch and ITK have started. Work that is defined in the
    main module cannot be sent to them.
    """
    return _Context()
