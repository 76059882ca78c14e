"""What may lie in a model folder: what its record names, the record itself, its card and its signature."""

import os
from collections.abc import Iterator
from pathlib import Path

from autodls.errors import ModelFolderError
from autodls.records.model import ModelRecord
from autodls.records.model_folders import PROVENANCE, ModelFolder
from autodls.records.segmenter import SegmenterRecord


def unexpected_files(folder: ModelFolder, record: ModelRecord, repair: str) -> Iterator[str]:
    """Names in the folder of files that neither `record` nor its segmenter names, and of links of any kind.

    Raises ModelFolderError, ending in `repair`, where the segmenter's record cannot be read.
    """
    known = {path.relative_to(folder.root).as_posix() for path in _ours(folder, record, repair)} | set(record.files)
    for at, folders, files in os.walk(folder.root):
        for name in sorted([*folders, *files]):
            path = Path(at) / name
            named = path.relative_to(folder.root).as_posix()
            if path.is_symlink() or (name in files and named not in known):
                yield named


def _ours(folder: ModelFolder, record: ModelRecord, repair: str) -> Iterator[Path]:
    yield from (folder.record, folder.plan, folder.fingerprint, folder.card, folder.signature, folder.root / PROVENANCE)
    if record.segmenter_sha256 is not None:
        segmenter = folder.segmentation
        yield segmenter.record
        named = SegmenterRecord.load(segmenter.record, repair, ModelFolderError).files
        yield from (segmenter.root / name for name in named)
