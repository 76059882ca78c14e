"""The files of a folder that may hold anything, archives unpacked: plain files alone, always in one order."""

import contextlib
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from autodls.errors import DatasetError
from autodls.limits import MAX_COMPRESSION, MOST_FILE_BYTES

_MOST_FILES = 1 << 20
_MOST_UNPACKED_BYTES = 1 << 37
_MOST_SMALL_BYTES = 1 << 24  # a packed file may claim more than its share up to here
_LEAST_FREE_BYTES = 1 << 28
_PIECE_BYTES = 1 << 20
_ZIP, _TARS = b"PK\x03\x04", (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
_TAR_MAGIC_AT = 257
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass
class Sources:
    """Plain files by the name that a person knows them by, and what could not be opened, with the reason."""

    files: dict[str, Path] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def opened_sources(folder: Path, scratch: Path | None = None) -> Iterator[Sources]:
    """Every plain file below `folder`, those in ZIP and tar archives too, which are unpacked until the block is left.

    They are unpacked into the folder `scratch`, which is removed before and afterwards: what is in it names patients,
    and a killed process leaves it. Without one a temporary folder of the system is taken. Links to folders are not
    followed, archives in archives not opened. Raises DatasetError where `folder` is no folder, or holds more than a
    study can.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; name the folder with the DICOM studies")
    with _emptied(scratch) as place:
        found = Sources()
        unpacker = _Unpacker(place, found)
        for path in _plain_files(folder):
            name = path.relative_to(folder).as_posix()
            try:
                _add(found, unpacker, name, path)
            except OSError as failure:
                found.unread[name] = f"cannot be read ({failure.strerror or type(failure).__name__})"
            if len(found.files) > _MOST_FILES:
                raise DatasetError(f"{folder}: holds more than {_MOST_FILES} files; import it part by part")
        yield found


@contextlib.contextmanager
def _emptied(scratch: Path | None) -> Iterator[Path]:
    if scratch is None:
        with tempfile.TemporaryDirectory(prefix="autodls-dicom-") as place:
            yield Path(place)
        return
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _plain_files(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if (path := Path(at) / name).is_file():
                yield path


def is_archive(path: Path) -> bool:
    """Whether the file is a ZIP or tar archive, be it damaged; raises OSError."""
    try:
        return _kind_of(path) != ""
    except _DAMAGED:
        return True


def _kind_of(path: Path) -> Literal["zip", "tar", ""]:
    with path.open("rb") as handle:
        head = handle.read(_TAR_MAGIC_AT + 5)
    if head.startswith(_ZIP):
        return "zip"
    return "tar" if head[_TAR_MAGIC_AT:] == b"ustar" or (head.startswith(_TARS) and tarfile.is_tarfile(path)) else ""


def _add(found: Sources, unpacker: "_Unpacker", name: str, path: Path) -> None:
    try:
        kind = _kind_of(path)
        if kind == "zip":
            unpacker.unpack_zip(name, path)
        elif kind == "tar":
            unpacker.unpack_tar(name, path)
        else:
            found.files[name] = path
    except _DAMAGED as failure:
        found.unread[name] = f"an archive that cannot be unpacked ({type(failure).__name__})"


class _Unpacker:
    """Unpacks into files whose names are numbers: what an archive calls them leads nowhere."""

    def __init__(self, scratch: Path, found: Sources) -> None:
        self._scratch, self._found, self._bytes, self._count = scratch, found, 0, 0

    def unpack_zip(self, name: str, path: Path) -> None:
        """Every plain file of a ZIP archive; what is encrypted raises RuntimeError."""
        with zipfile.ZipFile(path) as archive:
            for member in sorted(archive.infolist(), key=lambda one: one.filename):
                if not member.is_dir():
                    most = max(member.compress_size * MAX_COMPRESSION, _MOST_SMALL_BYTES)
                    with archive.open(member) as stream:
                        self._keep(f"{name}/{member.filename}", stream, most)

    def unpack_tar(self, name: str, path: Path) -> None:
        """Every plain file of a tar archive, in the order of the archive: a packed one is read once."""
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is not None:
                    with stream:
                        self._keep(f"{name}/{member.name}", stream, MOST_FILE_BYTES)

    def _keep(self, name: str, stream: IO[bytes], most_bytes: int) -> None:
        self._count += 1
        name = name if name not in self._found.files else f"{name}#{self._count}"  # an archive may hold a name twice
        target, written = self._scratch / str(self._count), 0
        with target.open("wb") as handle:
            while piece := stream.read(_PIECE_BYTES):
                written += len(piece)
                self._bytes += len(piece)
                if written > min(most_bytes, MOST_FILE_BYTES):
                    target.unlink()
                    self._found.unread[name] = "unpacks to far more than it is packed"
                    return
                if self._bytes > _MOST_UNPACKED_BYTES or shutil.disk_usage(self._scratch).free < _LEAST_FREE_BYTES:
                    raise DatasetError("no room to unpack the archives; unpack them yourself, then import the folder")
                handle.write(piece)
        self._found.files[name] = target
