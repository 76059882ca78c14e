"""Results of one run: whole or not there, and never in the place of what somebody else wrote.

A set of results is written into a folder of its own, `UNFINISHED`, within the folder that it is for. When all of it is
on the disk, what was there before is removed, and the new files are renamed into their places: a disk that is full
strikes before that, and a run that is killed meanwhile leaves old results or new ones, never both.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.records.files import require_held, sha256_of_file
from autodls.records.model_folders import PROVENANCE
from autodls.records.provenance import Provenance

UNFINISHED = "autodls-unfinished"
_FIRST_BYTES = b'{"version": '  # of every log of scores


@dataclass(frozen=True)
class ResultsFolder:
    """The folder that a person gives with `option`: new, empty, or one of ours.

    It is ours where provenance.json names every file in it, each with the hash that it still has; results that are
    there are replaced with `overwrite` alone. A run that was stopped may have left `kept`, the log of what it had
    finished, and the folder `unfinished`; the same command goes on from there.
    """

    root: Path
    record: str
    kept: str | None = None
    overwrite: bool = False
    option: str = "-o"

    @property
    def unfinished(self) -> Path:
        """Where results are written until all of them are there."""
        return self.root / UNFINISHED

    def require_free(self) -> None:
        """Raise ArgumentError where a file in the folder is not of ours, or where there are results already."""
        present = self._present()
        if not present:
            return
        noted = _noted(self.root)
        for name, path in present.items():
            if fault := _fault(path, noted.get(name), recorded=name == PROVENANCE and bool(noted)):
                raise ArgumentError(
                    f"{self.option} {self.root}: holds {name}, which {fault}; nothing is written beside or over it: "
                    "give a new folder, or move it away"
                )
        torn = self.unfinished.is_dir() and noted.keys() - present.keys()
        if not self.overwrite and not torn:
            raise ArgumentError(
                f"{self.option} {self.root}: holds the results of an earlier run ({len(present)} files); give another "
                "folder, or --overwrite to have them replaced"
            )

    def publish(self, made: Iterable[Path]) -> None:
        """Put `made`, files below `unfinished`, in the place of the results that are there, and remove the rest of it.

        Raises as `require_free`. Between the first removal and the last renaming provenance.json stands for what is
        left, so that the same command, killed meanwhile, can go on.
        """
        self.require_free()
        first = self.unfinished / PROVENANCE
        wanted = sorted(path for path in made if path != first)
        record = self.unfinished / self.record
        old = sorted(self._present().values(), key=lambda path: (path.name == PROVENANCE, path.name != self.record))
        order = [first, *(path for path in wanted if path != record), record]
        _exchange(self.root, self.unfinished, old, order)

    def _present(self) -> dict[str, Path]:
        """What lies in the folder, less what a stopped run has left, by its name there."""
        found = {}
        for at, folders, files in os.walk(self.root):
            here = Path(at)
            links = [name for name in folders if (here / name).is_symlink()]
            for name in [*links, *files]:
                path = here / name
                found[path.relative_to(self.root).as_posix()] = path
            if here == self.root and UNFINISHED not in links:
                folders[:] = [name for name in folders if name != UNFINISHED]
        if self.kept is not None and _is_log(self.root / self.kept):
            del found[self.kept]
        return found


@contextmanager
def renewed(folder: Path, record: str, old: Iterable[Path]) -> Iterator[Path]:
    """A set of results in a `folder` of a workspace, which is ours: gives the folder to write the set into.

    Once it is written, `old` is removed and whatever has the name of a new file, `record` first, and the set comes into
    its place, `record` last.
    """
    stage = folder / UNFINISHED
    _discard(stage)
    try:
        yield stage
        made = sorted(path for path in stage.rglob("*") if path.is_file())
        last = stage / record
        replaced = [folder / path.relative_to(stage) for path in made]  # also what `old` does not name
        found = {path for path in [*old, *replaced] if path.is_file()}
        present = sorted(found, key=lambda path: (path.name != record, path))
        _exchange(folder, stage, present, [*(path for path in made if path != last), last])
    finally:
        _discard(stage)


def clear_unfinished(folder: ResultsFolder, *, keep: str | None = None) -> None:
    """Remove what a stopped run has left in `folder`, but for its part `keep`, which the next one looks into."""
    with suppress(FileNotFoundError):
        for path in folder.unfinished.iterdir():
            if path.name != keep:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _exchange(root: Path, stage: Path, old: Sequence[Path], order: Sequence[Path]) -> None:
    """Remove `old`, then rename the files of `stage`, in this order, into their places below `root`."""
    require_held(root)
    for path in old:
        path.unlink()
    for path in order:
        target = root / path.relative_to(stage)
        target.parent.mkdir(parents=True, exist_ok=True)
        require_held(target)
        path.replace(target)
    _discard(stage)
    emptied = {above for path in old for above in path.parents if root in above.parents}
    for folder in sorted(emptied, reverse=True):  # what lies deeper first
        with suppress(OSError):  # it still has files
            folder.rmdir()


def _discard(stage: Path) -> None:
    if stage.is_symlink():
        raise ArgumentError(f"{stage}: is a link to another folder, which must not be written through; remove it")
    shutil.rmtree(stage, ignore_errors=True)


def _noted(root: Path) -> dict[str, str]:
    """SHA-256 of every file that a command has noted in provenance.json, by its name."""
    commands = Provenance.beside(root / PROVENANCE).commands
    return {name: sha256 for made in commands.values() for name, sha256 in made.files.items()}


def _fault(path: Path, noted: str | None, *, recorded: bool) -> str | None:
    """Why a file is not one of our results; None where it is."""
    if path.is_symlink():
        return "is a link, and no result of AutoDLS"
    if recorded:
        return None
    if noted is None:
        return "AutoDLS did not write there"
    return None if sha256_of_file(path) == noted else "was changed after AutoDLS wrote it"


def _is_log(path: Path) -> bool:
    """Whether `path` is a log of finished scores; of the first line only its beginning may be there."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as handle:
        start = handle.read(len(_FIRST_BYTES))
    return start == _FIRST_BYTES[: len(start)]
