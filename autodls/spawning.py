"""Processes that are started anew and never run the program of whoever started them.

A process that is spawned usually runs the parent's main module again before its work. A script without a guard
(`if __name__ == "__main__":`) then starts its whole study once more in every worker, and what was typed, or piped into
`python -`, is no file that could be run. Our work lies in this package alone, so the main module is left out.
"""

from multiprocessing import context, popen_spawn_posix, spawn
from multiprocessing.process import BaseProcess
from types import FunctionType
from typing import Any

_OF_MAIN = ("init_main_from_name", "init_main_from_path")


class _Preparation:
    """What `multiprocessing.spawn` does for a process that is started, less the main module."""

    get_command_line = staticmethod(spawn.get_command_line)
    get_executable = staticmethod(spawn.get_executable)

    @staticmethod
    def get_preparation_data(name: str) -> dict[str, Any]:
        """Path, folder and log of the parent, by which the new process begins."""
        found: dict[str, Any] = spawn.get_preparation_data(name)
        return {key: value for key, value in found.items() if key not in _OF_MAIN}


class _Popen(popen_spawn_posix.Popen):
    """The standard starter with the preparation above; the one that other libraries use stays as it is."""

    _launch = FunctionType(
        vars(popen_spawn_posix.Popen)["_launch"].__code__, {**vars(popen_spawn_posix), "spawn": _Preparation}, "_launch"
    )


class _Process(context.SpawnProcess):
    @staticmethod
    def _Popen(process: BaseProcess) -> Any:  # noqa: N802 (its name in multiprocessing)
        return _Popen(process)


class _Context(context.SpawnContext):
    Process = _Process


def own_processes() -> context.SpawnContext:
    """A context of multiprocessing whose processes import what their work names, and not the parent's main module.

    Spawned, not forked: a fork copies the locks of threads that torch and ITK have started. Work that is defined in the
    main module cannot be sent to them.
    """
    return _Context()
