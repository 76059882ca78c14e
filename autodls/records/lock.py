"""One process writes a folder at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autodls.errors import AutoDLSError
from autodls.records.files import remove_stale
from autodls.records.workspace import Workspace

_OUTPUT_FOLDERS = ("rois", "heatmaps")


@contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace; the operating system lets go of it however the process ends.

    What a killed process left half-written is removed. Raises AutoDLSError when another process holds the workspace.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    with workspace.lock.open("a") as handle:
        _hold(handle.fileno(), f"{workspace.root}: another autodls process is writing this workspace", "-w")
        remove_stale([workspace.root, *(path for path in workspace.root.rglob("*") if path.is_dir())])
        yield


@contextmanager
def locked_output(folder: Path) -> Iterator[None]:
    """Hold the output folder of `predict` in the same way; one that stays empty is removed again.

    The folder itself is locked, so that no file of ours lies among the results. Below it, only our own folders are
    looked at for what a killed process left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        _hold(handle, f"{folder}: another autodls process is writing this folder", "-o")
        remove_stale([folder, *(folder / name for name in _OUTPUT_FOLDERS)])
        yield
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            folder.rmdir()


def _hold(handle: int, refusal: str, option: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AutoDLSError(f"{refusal}; wait for it, or give another {option}") from None
