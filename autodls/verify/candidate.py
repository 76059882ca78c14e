"""The folder of a locked candidate: its record as it was sealed, its card, its networks, and nothing else."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from autodls.records.locked_candidate import CANDIDATE, CARD, NETWORKS, LockedCandidate
from autodls.records.model_folders import SIGNATURE, ModelFolder
from autodls.verify.chain import Link, changed, examine, verify_model

_COPY = "copy the folder anew from where the candidate was locked"


def verify_candidate(folder: Path) -> list[Link]:
    """The links of the folder of a locked candidate, and of the model folder of its networks where it has some."""
    sealed = examine(f"{CANDIDATE} is as it was sealed", lambda: _altered(folder))
    if sealed.faults:
        return [sealed]
    record, _ = LockedCandidate.load_hashed(folder / CANDIDATE, _COPY)
    return [
        sealed,
        *_card(folder, record),
        examine("nothing else in the folder", lambda: _others(folder, record)),
        *_networks(folder, record),
    ]


def _altered(folder: Path) -> Iterator[str]:
    LockedCandidate.load_hashed(folder / CANDIDATE, _COPY)
    return iter(())


def _card(folder: Path, record: LockedCandidate) -> list[Link]:
    if record.card_sha256 is None:
        return [Link(f"{CARD}: the candidate is of a version that wrote none", checked=False)]
    hashes = {CARD: record.card_sha256}
    return [examine(f"{CANDIDATE} -> {CARD}", lambda: changed(folder, hashes, _COPY))]


def _networks(folder: Path, record: LockedCandidate) -> list[Link]:
    if record.networks_sha256 is None:
        return []
    inner = ModelFolder(folder / NETWORKS)
    hashes = {f"{NETWORKS}/{inner.record.name}": record.networks_sha256}
    own = examine(f"{CANDIDATE} -> networks", lambda: changed(folder, hashes, _COPY))
    links = [] if own.faults else verify_model(inner)
    return [own, *(replace(link, name=f"{NETWORKS}/: {link.name}") for link in links)]


def _others(folder: Path, record: LockedCandidate) -> Iterator[str]:
    """Links, and files that are none of a candidate; those among the networks are the business of their own record."""
    known = {CANDIDATE, SIGNATURE, *([CARD] if record.card_sha256 else [])}
    for at, folders, files in os.walk(folder):
        here = Path(at)
        for name in sorted([*folders, *files]):
            path = here / name
            if path.is_symlink() or (name in files and (here != folder or name not in known)):
                yield f"{path}: not a file of a locked candidate; remove it, or {_COPY}"
        if here == folder and record.networks_sha256 is not None:
            folders[:] = [name for name in folders if name != NETWORKS or (here / name).is_symlink()]
