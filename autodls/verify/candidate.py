"""The folder of a locked candidate: its record as it was sealed, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

from autodls.records.locked_candidate import CANDIDATE, LockedCandidate
from autodls.verify.chain import NO_SIGNATURE, Link, examine

_COPY = "copy the folder anew from where the candidate was locked"


def verify_candidate(folder: Path) -> list[Link]:
    """The links of the folder of a locked candidate."""
    return [
        examine(f"{CANDIDATE} is as it was sealed", lambda: _altered(folder)),
        examine("nothing else in the folder", lambda: _others(folder)),
        NO_SIGNATURE,
    ]


def _altered(folder: Path) -> Iterator[str]:
    LockedCandidate.load_hashed(folder / CANDIDATE, _COPY)
    return iter(())


def _others(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.name != CANDIDATE or path.is_symlink():
            yield f"{path}: not a file of a locked candidate; remove it, or {_COPY}"
