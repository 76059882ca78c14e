"""A chain of hashes, link by link: what each file was derived from, and whether that is still what lies there."""

import errno
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import AutoDLSError, ModelFolderError
from autodls.inference.model_files import is_inside
from autodls.records.files import sha256_of_file
from autodls.records.model import ModelRecord
from autodls.records.model_contents import unexpected_files
from autodls.records.model_folders import ModelFolder

_COPY = "copy the model folder anew from where it was trained"
_OF_THE_MACHINE = {errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EROFS}


@dataclass(frozen=True)
class Link:
    """One step of the chain; it holds where there is no fault, each of which is one line.

    What no hash is known of can only be named: it is not `checked`.
    """

    name: str
    faults: tuple[str, ...] = ()
    checked: bool = True


def examine(name: str, check: Callable[[], Iterable[str]]) -> Link:
    """The link `name`; an error of `check` is its last fault.

    Raises OSError where the machine lacks something, such as space or file handles: nothing is said of the file then.
    """
    faults: list[str] = []
    try:
        for fault in check():
            faults.append(fault)
    except (AutoDLSError, OSError) as failure:
        if isinstance(failure, OSError) and failure.errno in _OF_THE_MACHINE:
            raise
        faults.append(str(failure))
    return Link(name, tuple(faults))


def verify_model(folder: ModelFolder) -> list[Link]:
    """The links inside a model folder: its record, every file that it names, and whether `predict` would take it.

    Whose it is says `signature_link`.
    """
    record = examine("model.json is as it was sealed", lambda: _nothing(ModelRecord.load(folder.record, _COPY)))
    if record.faults:
        return [record]
    sealed = ModelRecord.load(folder.record, _COPY)
    files = {name: sha256 for name, sha256 in sealed.files.items() if is_inside(name)}
    links = [
        record,
        examine("model.json -> plan, fingerprint", lambda: _record_faults(folder, sealed)),
        examine("model.json -> weights", lambda: changed(folder.root, files, _COPY)),
        *([examine("model.json -> segmenter", lambda: _segmenter_faults(folder, sealed))] if _draws(sealed) else []),
        _card(folder, sealed),
        examine("nothing else in the model folder", lambda: _unexpected_files(folder, sealed)),
    ]
    if not any(link.faults for link in links):
        links.append(examine("a model that predict takes", lambda: _refusals(folder.root)))
    if _draws(sealed):
        links.append(Link("segmentation/: that nnU-Net can use its networks shows when predict draws", checked=False))
    if sealed.updated is not None:
        first = f"updated from a model whose model.json has SHA-256 {sealed.updated.model_sha256[:12]}"
        links.append(Link(f"{first}: that one lies elsewhere", checked=False))
    return links


def _refusals(root: Path) -> Iterator[str]:
    """Read the model as `predict` does, one network at a time; raises ModelFolderError where it would be refused."""
    import torch

    from autodls.inference.model_folder import load_model

    for fold in load_model(root, torch.device("cpu"), streamed=True).folds:
        for sequence in fold.encoders:
            _ = fold.encoders[sequence]
    return iter(())


def _card(folder: ModelFolder, record: ModelRecord) -> Link:
    if record.card_sha256 is None:
        return Link("MODEL_CARD.md: the model is of a version that kept no hash of it", checked=False)
    hashes = {folder.card.name: record.card_sha256}
    return examine("model.json -> MODEL_CARD.md", lambda: changed(folder.root, hashes, _COPY))


def _unexpected_files(folder: ModelFolder, record: ModelRecord) -> Iterator[str]:
    for name in unexpected_files(folder, record, _COPY):
        yield f"{folder.root / name}: not a file that the model's record names, or a link; remove it, or {_COPY}"


def _nothing(_read: object) -> Iterator[str]:
    return iter(())


def _draws(record: ModelRecord) -> bool:
    return record.segmenter_sha256 is not None


def _record_faults(folder: ModelFolder, record: ModelRecord) -> Iterator[str]:
    hashes = {"plan.json": record.plan_sha256, "fingerprint.json": record.fingerprint_sha256}
    yield from changed(folder.root, hashes, _COPY)


def _segmenter_faults(folder: ModelFolder, record: ModelRecord) -> Iterator[str]:
    from autodls.records.segmenter import SegmenterRecord

    segmenter = folder.segmentation
    name = segmenter.record.relative_to(folder.root).as_posix()
    yield from changed(folder.root, {name: record.segmenter_sha256 or ""}, _COPY)
    yield from changed(segmenter.root, SegmenterRecord.load(segmenter.record, _COPY, ModelFolderError).files, _COPY)


def changed(root: Path, hashes: dict[str, str], repair: str) -> Iterator[str]:
    """One line for each file below `root` that is missing, or no longer has its hash."""
    for name, expected in hashes.items():
        path = root / name
        if not path.is_file():
            yield f"{path}: missing; {repair}"
        elif (found := sha256_of_file(path)) != expected:
            yield f"{path}: SHA-256 is {found[:12]}, was {expected[:12]}; {repair}"
