"""Files that are never seen half-written: written beside themselves, flushed, renamed."""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from autodls.errors import AutoDLSError, DatasetError
from autodls.limits import MOST_FILE_BYTES, MOST_JSON_BYTES

_CHUNK_BYTES = 1 << 24
_BESIDE = ".tmp-"
_STALE = f"{_BESIDE}{'[0-9a-f]' * 8}-*"
_HELD: dict[Path, int] = {}  # folders that this process has locked, with the handle of each


def write_atomically(path: Path, write: Callable[[Path], object], *, keep_same: bool = False) -> None:
    """Let `write` fill a temporary neighbour of `path`, then rename it to `path`.

    The neighbour keeps the suffixes of `path` (libraries choose a format by them) and starts with ".tmp-". With
    `keep_same`, a `path` that holds the very bytes already is left alone.
    """
    require_held(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{_BESIDE}{secrets.token_hex(4)}-{path.name}")
    try:
        write(beside)
        if keep_same and path.is_file() and sha256_of_file(path) == sha256_of_file(beside):
            return
        with beside.open("rb") as handle:
            os.fsync(handle.fileno())
        require_held(path)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def holding(folder: Path, handle: int) -> Iterator[None]:
    """`folder` is locked by its `handle`: what is written below it meanwhile is written only while that is so."""
    _HELD[folder] = handle
    try:
        yield
    finally:
        _HELD.pop(folder, None)


def require_held(path: Path) -> None:
    """Raise AutoDLSError where `path` lies in a folder that was locked, and is now another one of that name.

    A lock is of a folder, not of its name: who removes the folder and makes it anew lets a second process in.
    """
    for folder, handle in _HELD.items():
        if path.is_relative_to(folder) and not _is_still(folder, handle):
            raise AutoDLSError(
                f"{folder}: was removed or exchanged while this command was writing it; nothing more is written there; "
                "run the command again"
            )


def _is_still(folder: Path, handle: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def remove_stale(folders: Iterable[Path]) -> None:
    """Remove what writers that were killed have left in `folders`; nobody else may be writing there.

    We leave plain files in real folders: a link, or what lies behind one, is not ours.
    """
    for folder in folders:
        if not folder.is_symlink():
            for path in folder.glob(_STALE):
                if path.is_file() and not path.is_symlink():
                    path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    write_atomically(path, lambda beside: beside.write_bytes(content))


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` atomically, as UTF-8 with Unix line ends."""
    write_bytes(path, content.encode())


def link_or_copy(source: Path, target: Path) -> None:
    """Give `source` a second name `target`: a hard link where the file system has them, else a copy."""

    def place(beside: Path) -> None:
        try:
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)

    write_atomically(target, place)


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """All bytes of `path`; raises OSError for more than `most_bytes`, or no plain file: a pipe may never end."""
    with open_bounded(path, most_bytes) as handle:
        size = os.fstat(handle.fileno()).st_size
        content = handle.read(size + 1)  # no more memory than that
        if len(content) > size:
            content += handle.read(most_bytes + 1 - len(content))
    if len(content) > most_bytes:
        raise _too_large(path, most_bytes)
    return content


def open_bounded(path: Path, most_bytes: int) -> BufferedReader:
    """The plain file `path`, opened; raises OSError for one of more than `most_bytes`, or no plain file."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    if path.stat().st_size > most_bytes:
        raise _too_large(path, most_bytes)
    return path.open("rb")


def _too_large(path: Path, most_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {most_bytes >> 20} MiB", str(path))


def sha256_of_bytes(content: bytes) -> str:
    """Hexadecimal SHA-256 of `content`.

    >>> sha256_of_bytes(b"")[:16]
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of the plain file `path`, read in large pieces: each waits for other threads once.

    Raises OSError, also for a file larger than any of its kind: a terabyte takes no place on a disk, but hours to read.
    """
    digest = hashlib.sha256()
    with open_bounded(path, MOST_JSON_BYTES if path.suffix == ".json" else MOST_FILE_BYTES) as handle:
        piece = memoryview(bytearray(min(_CHUNK_BYTES, path.stat().st_size or _CHUNK_BYTES)))
        while count := handle.readinto(piece):
            digest.update(piece[:count])
    return digest.hexdigest()


def sha256_of_input(path: Path) -> str:
    """The same of a person's file; raises DatasetError where it cannot be read."""
    try:
        return sha256_of_file(path)
    except OSError as failure:
        raise DatasetError(f"{path}: cannot be read ({failure.strerror}); check the file and its permissions") from None


def sha256_where_readable(path: Path) -> str:
    """The same, and "" where it cannot be read: whoever needs the file says so when he opens it."""
    try:
        return sha256_of_file(path)
    except OSError:
        return ""
