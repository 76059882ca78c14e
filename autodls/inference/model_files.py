"""The files of a model folder against its record. Torch is not needed: hashing goes on while it is imported."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autodls.errors import ModelFolderError
from autodls.machine import usable_cores
from autodls.records.files import sha256_of_file
from autodls.records.model import ModelRecord, require_unaltered
from autodls.records.model_contents import strangers
from autodls.records.plan import Plan
from autodls.records.workspace import ModelFolder

REPAIR = "copy the model folder anew from where it was trained"
_MOST_HASHED_AT_ONCE = 4


class HashAhead:
    """SHA-256 of `paths`, each reckoned once, ahead, in threads; again for whoever asks again.

    One core is left to the one who will ask: meanwhile it imports torch, or reads the networks.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        pool = ThreadPoolExecutor(max(1, min(_MOST_HASHED_AT_ONCE, usable_cores() - 1)))
        self._pending: dict[Path, Future[str]] = {path: pool.submit(sha256_of_file, path) for path in paths}
        pool.shutdown(wait=False)

    def __call__(self, path: Path) -> str:
        """The hash of `path`; raises OSError where it cannot be read."""
        ahead = self._pending.pop(path, None)
        return sha256_of_file(path) if ahead is None else ahead.result()


@dataclass(frozen=True)
class CheckedFolder:
    """A model folder whose record, plan and list of files fit each other; its weights are being hashed."""

    folder: ModelFolder
    record: ModelRecord
    plan: Plan
    digest: HashAhead

    def recorded(self, path: Path) -> str:
        """The hash that the record has of the weights `path`."""
        return self.record.files[_name(self.folder, path)]


def check_model_folder(root: Path) -> CheckedFolder:
    """Check all of the model folder `root` but its weights.

    Raises ModelFolderError for a missing or altered file, and for a file list that leaves the folder.
    """
    folder = ModelFolder(root)
    if not root.is_dir():
        raise ModelFolderError(f"{root}: no such model folder; give -m MODEL, or run 'autodls train fold all' first")
    record = ModelRecord.load(folder.record, REPAIR, ModelFolderError)
    plan = Plan.load(folder.plan, REPAIR, ModelFolderError)
    _check_files(folder, record, plan)
    folds = [folder.fold(index) for index in range(record.folds)]
    encoders = [fold.sequence(name) for fold in folds for name in plan.sequences]
    return CheckedFolder(folder, record, plan, HashAhead([*(fold.fusion for fold in folds), *encoders]))


def _name(folder: ModelFolder, path: Path) -> str:
    return path.relative_to(folder.root).as_posix()


def _check_files(folder: ModelFolder, record: ModelRecord, plan: Plan) -> None:
    if record.folds > len(record.files):
        raise ModelFolderError(f"{folder.record}: {record.folds} folds in {len(record.files)} files; {REPAIR}")
    expected = {
        _name(folder, folder.fold(index).sequence(stage))
        for index in range(record.folds)
        for stage in (*plan.sequences, "fusion")
    }
    if expected != set(record.files):
        odd = sorted(expected.symmetric_difference(record.files))[0]
        raise ModelFolderError(f"{folder.record}: its list of files does not fit its plan, e.g. '{odd}'; {REPAIR}")
    if plan.sequences != tuple(record.channel_names.values()):
        raise ModelFolderError(
            f"{folder.plan}: sequences {list(plan.sequences)}, model.json has {list(record.channel_names.values())}; "
            f"{REPAIR}"
        )
    for name in record.files:
        _require_plain(folder.root, name)
    _check_records(folder, record)
    if stranger := next(strangers(folder, record, REPAIR), None):
        raise ModelFolderError(
            f"{folder.root / stranger}: not a file that the model's record names, or a link; remove it, or {REPAIR}"
        )


def _check_records(folder: ModelFolder, record: ModelRecord) -> None:
    hashes = {"plan.json": record.plan_sha256, "fingerprint.json": record.fingerprint_sha256}
    if record.segmenter_sha256 is not None:
        hashes[_name(folder, folder.segmentation.record)] = record.segmenter_sha256
    for name, expected_digest in hashes.items():
        _require_plain(folder.root, name)
        require_unaltered(folder.root / name, expected_digest, REPAIR)


def _require_plain(root: Path, name: str) -> None:
    """Raise ModelFolderError unless `name` is a plain file inside `root`, with no link on the way."""
    inside, path = PurePosixPath(name), root / name
    if inside.is_absolute() or ".." in inside.parts:
        raise ModelFolderError(f"{root}: lists the file '{name}', which lies outside; {REPAIR}")
    if any((root / part).is_symlink() for part in (inside, *inside.parents[:-1])) or not path.is_file():
        raise ModelFolderError(f"{path}: missing, or not a plain file; {REPAIR}")
