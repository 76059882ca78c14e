"""A model folder beside another with the same networks."""

from collections.abc import Mapping
from pathlib import Path

from autodls.errors import ModelFolderError
from autodls.inference.model_files import REPAIR, CheckedFolder
from autodls.records.files import link_or_copy, write_text
from autodls.records.model import ModelRecord, require_unaltered
from autodls.records.model_folders import ModelFolder
from autodls.records.segmenter import SegmenterRecord


def write_with_networks_of(checked: CheckedFolder, record: ModelRecord, card: str, target: ModelFolder) -> None:
    """Write `record` and `card` to `target`, with the weights, the plan and the fingerprint of `checked`.

    Files are hard links where the file system has them, else copies. Raises ModelFolderError where one is no longer
    what the record of `checked` names.
    """
    _place(checked, _files(checked), target)
    write_text(target.card, card)
    record.save(target.record)


def copy_model(checked: CheckedFolder, target: ModelFolder) -> None:
    """The model of `checked` once more, byte for byte; raises as `write_with_networks_of`."""
    _place(checked, {**hashes_of(checked), checked.folder.record.name: checked.sha256}, target)


def hashes_of(checked: CheckedFolder) -> dict[str, str]:
    """SHA-256 of every file of a model but its record, by its name in the folder."""
    files = _files(checked)
    if checked.record.card_sha256 is not None:
        files[checked.folder.card.name] = checked.record.card_sha256
    return files


def copy_plan(checked: CheckedFolder, folder: Path) -> None:
    """The plan of `checked` alone, byte for byte, in `folder`; raises as `write_with_networks_of`."""
    _place(checked, {checked.folder.plan.name: checked.record.plan_sha256}, ModelFolder(folder))


def _place(checked: CheckedFolder, files: Mapping[str, str], target: ModelFolder) -> None:
    for name, sha256 in files.items():
        link_or_copy(checked.folder.root / name, target.root / name)
        require_unaltered(target.root / name, sha256, REPAIR)


def _files(checked: CheckedFolder) -> dict[str, str]:
    """SHA-256 of every file of a model but its record and its card, by its name in the folder."""
    folder, record = checked.folder, checked.record
    files = {
        **record.files,
        folder.plan.name: record.plan_sha256,
        folder.fingerprint.name: record.fingerprint_sha256,
    }
    if record.segmenter_sha256 is None:
        return files
    segmenter = folder.segmentation
    named = SegmenterRecord.load(segmenter.record, REPAIR, ModelFolderError).files
    at = segmenter.root.relative_to(folder.root)
    of_segmenter = {segmenter.record.name: record.segmenter_sha256, **named}
    return files | {(at / name).as_posix(): sha256 for name, sha256 in of_segmenter.items()}


def card_of(checked: CheckedFolder) -> str:
    """The model's card; raises ModelFolderError where it is not the one that was locked. "" where there is none."""
    path, expected = checked.folder.card, checked.record.card_sha256
    if expected is None:
        return ""
    require_unaltered(path, expected, REPAIR)
    return path.read_text(encoding="utf-8")
