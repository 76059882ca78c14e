"""The Word file on the disk: the same bytes for the same run, and known again as long as nobody has written in it."""

import hashlib
import re
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from autodls.errors import AutoDLSError
from autodls.limits import MOST_FILE_BYTES
from autodls.records.dataset import DatasetDescription
from autodls.records.files import read_bounded, write_bytes
from autodls.records.workspace import Workspace
from autodls.report.artefacts import Artefacts
from autodls.report.paper.paper import paper_of
from autodls.report.paper.word import word_bytes
from autodls.report.reading import drawn_as_png, read_study

_CORE = "docProps/core.xml"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can hold
_SEAL = re.compile(rb"(<dc:identifier>autodls-sha256:)[0-9a-f]{64}(</dc:identifier>)")
_OPEN = b"<dc:identifier>autodls-sha256:" + b"0" * 64 + b"</dc:identifier>"


def write_paper(workspace: Workspace, description: DatasetDescription | None, target: Path) -> Path:
    """`save_paper` of what lies in `workspace`."""
    return save_paper(workspace, read_study(workspace, description), target)


def save_paper(
    workspace: Workspace, study: Artefacts, target: Path, pictures: Mapping[str, bytes] | None = None
) -> Path:
    """Write the paper of `study`, read from `workspace`, to `target`, atomically; the same run gives the same bytes.

    `pictures` are figures, as PNG, that were drawn anew, by name; the others are those in the workspace. Its property
    "identifier" is the hash of all else: by it `is_paper` knows one that nobody has changed.
    """
    drawn = {**drawn_as_png(workspace), **(pictures or {})}
    made = word_bytes(paper_of(study, drawn, _folds_by_mean(workspace, study)))
    write_bytes(target, sealed(made))
    return target


def is_paper(path: Path) -> bool:
    """Whether `path` is a paper as `write_paper` wrote it; raises OSError where it cannot be read."""
    content = read_bounded(path, MOST_FILE_BYTES)
    try:
        parts = _parts(content)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error):
        return False
    return _SEAL.search(parts.get(_CORE, b"")) is not None and _with_seal(parts) == parts


def sealed(made: bytes) -> bytes:
    """The same parts without times, with the hash of them among the properties."""
    parts = _parts(made)
    core = parts[_CORE].replace(b"</cp:coreProperties>", _OPEN + b"</cp:coreProperties>")
    return _packed(_with_seal({**parts, _CORE: core}))


def _with_seal(parts: Mapping[str, bytes]) -> dict[str, bytes]:
    open_core = _SEAL.sub(rb"\g<1>" + b"0" * 64 + rb"\g<2>", parts[_CORE])
    digest = hashlib.sha256()
    for name, content in sorted({**parts, _CORE: open_core}.items()):
        digest.update(f"{name} {len(content)} ".encode() + content)
    return {**parts, _CORE: _SEAL.sub(rb"\g<1>" + digest.hexdigest().encode() + rb"\g<2>", open_core)}


def _parts(content: bytes) -> dict[str, bytes]:
    """Raises ValueError for more than a file of ours holds."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        if sum(one.file_size for one in archive.infolist()) > MOST_FILE_BYTES:
            raise ValueError("too large")
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(parts: Mapping[str, bytes]) -> bytes:
    held = BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            about = zipfile.ZipInfo(name, _EPOCH)
            about.compress_type, about.create_system = zipfile.ZIP_DEFLATED, 0
            archive.writestr(about, content)
    return held.getvalue()


def _folds_by_mean(workspace: Workspace, study: Artefacts) -> int | None:
    """In how many folds the mean of the sequences is the score; None where the folds are not there."""
    if study.plan is None or study.splits is None or study.model is None or not study.splits_are_locked:
        return None
    from autodls.training.locking import folds_by_mean

    try:
        return folds_by_mean(workspace, study.plan, study.splits)
    except (AutoDLSError, OSError):
        return None
