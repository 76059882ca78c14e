"""One process writes a folder at a time."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from autodls.errors import ArgumentError, AutoDLSError
from autodls.records.files import holding, remove_stale
from autodls.records.results_folder import UNFINISHED
from autodls.records.workspace import EXPERIMENTS, Workspace

_OUTPUT_FOLDERS = (UNFINISHED, "rois", "heatmaps")
_NOT_OURS_TO_WRITE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP)


@contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace; the operating system lets go of it however the process ends.

    Its file `.lock` is locked, and the folder as well: whoever removes the file lets nobody in. What a killed process
    left half-written is removed. Raises AutoDLSError when another process holds the workspace, and ArgumentError where
    it cannot be written, or where a folder of it is a link to another place.
    """
    root = workspace.root
    with _entered(workspace, fcntl.LOCK_EX):
        folders = _own_folders(root, but=root / EXPERIMENTS)
        _refuse_links(folders[1:], "-w")
        remove_stale(folders)
        yield


@contextmanager
def locked_fold(workspace: Workspace, file: Path, fold: int) -> Iterator[None]:
    """Hold one fold, by the lock `file`: other folds may be written at the same time, and nothing else may.

    `file` is a `fold_lock` or `segmentation_lock`. Raises as `locked`, and AutoDLSError when another process holds the
    fold.
    """
    root = workspace.root
    with _entered(workspace, fcntl.LOCK_SH):
        _refuse_links(_own_folders(root, but=root / EXPERIMENTS)[1:], "-w")
        with _opened(file.parent, f"workspace {root}", "-w", file) as handle:
            _hold(handle, f"{root}: another autodls process is writing fold {fold} of this workspace", "-w")
            remove_stale(_own_folders(file.parent / str(fold)))
            yield


@contextmanager
def shared(workspace: Workspace, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Wait until nobody else writes what folds share, and keep others from it; the workspace or a fold is held.

    `waits` is called where it has to be waited for.
    """
    with _opened(workspace.root, f"workspace {workspace.root}", "-w", workspace.shared_lock) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _entered(workspace: Workspace, kind: int) -> Iterator[None]:
    """Hold the workspace alone (LOCK_EX), or beside others that hold it so (LOCK_SH)."""
    root, named = workspace.root, f"workspace {workspace.root}"
    with _opened(root, named, "-w", workspace.lock) as file, _opened(root, named, "-w") as handle:
        for one in (file, handle):
            refusal = f"{root}: another autodls process is writing this workspace, or a fold of it"
            _hold(one, refusal, "-w", kind, is_folder=one == handle)
        with holding(root, handle):
            yield


@contextmanager
def locked_output(folder: Path) -> Iterator[None]:
    """Hold an output folder, given by -o, in the same way; one that stays empty is removed again.

    The folder alone is locked, so that no file of ours lies among the results. Below it, only our own folders are
    looked at for what a killed process left.
    """
    with _opened(folder, f"-o {folder}", "-o") as handle:
        try:
            _hold(handle, f"{folder}: another autodls process is writing this folder", "-o")
            ours = [folder / name for name in _OUTPUT_FOLDERS]
            _refuse_links(ours, "-o")
            ours += _own_folders(ours[0])[1:]
            _refuse_links(ours, "-o")
            remove_stale([folder, *ours])
            with holding(folder, handle):
                yield
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextmanager
def _opened(folder: Path, named: str, option: str, file: Path | None = None) -> Iterator[int]:
    """A handle of `folder`, made where it is not there, or of `file` in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        flags = os.O_RDONLY if file is None else os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        handle = os.open(file or folder, flags, 0o666)
    except OSError as failure:
        if failure.errno not in _NOT_OURS_TO_WRITE:
            raise
        raise ArgumentError(
            f"{named}: cannot be written ({failure.strerror}); give a folder that can be with {option}"
        ) from None
    try:
        yield handle
    finally:
        os.close(handle)


def _own_folders(root: Path, but: Path | None = None) -> list[Path]:
    """`root` and all folders below it, links named and not followed; what lies below `but` others may hold."""
    found = [root]
    for at, names, _ in os.walk(root):
        found += [Path(at) / name for name in names]
        names[:] = [name for name in names if Path(at) / name != but]
    return found


def _refuse_links(folders: Iterable[Path], option: str) -> None:
    """Raise ArgumentError for a folder of ours that is a link: what it points to is not ours to write."""
    if link := next((folder for folder in folders if folder.is_symlink()), None):
        raise ArgumentError(
            f"{link}: is a link to another folder, which must not be written through; replace it by a folder, or give "
            f"another {option}"
        )


def _hold(handle: int, refusal: str, option: str, kind: int = fcntl.LOCK_EX, *, is_folder: bool = False) -> None:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AutoDLSError(f"{refusal}; wait for it, or give another {option}") from None
    except OSError as failure:
        if not (is_folder and failure.errno in (errno.EBADF, errno.EINVAL, errno.EISDIR)):
            raise  # NFS locks files alone: the one in the folder is locked then
