"""One process writes a workspace at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from autodls.errors import AutoDLSError
from autodls.records.workspace import Workspace


@contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace; the operating system lets go of it however the process ends.

    Raises AutoDLSError when another process holds it.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    with workspace.lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AutoDLSError(
                f"{workspace.root}: another autodls process is writing this workspace; wait for it, or give another -w"
            ) from None
        yield
