"""File systems that are too small, or may only be read, where this process may mount them."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """A file system of `size` bytes at `folder`; False where this process may not mount one."""
    folder.mkdir()
    mounted = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def grow_disk(folder: Path, size: int) -> None:
    """Make room on a `small_disk`."""
    assert _mount("-o", f"remount,size={size}", str(folder))


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[bool]:
    """`folder` as a file system that may only be read; False where this process may not mount one."""
    mounted = _mount("--bind", str(folder), str(folder))
    try:
        yield mounted and _mount("-o", "remount,bind,ro", str(folder))
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def _mount(*words: str) -> bool:
    try:
        return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
