"""The files of a model folder against its record, all but the weights, which are hashed as they are read. No torch."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autodls.errors import ModelFolderError
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord, require_same_sha256, require_unaltered
from autodls.records.model_contents import unexpected_files
from autodls.records.model_folders import ModelFolder
from autodls.records.plan import Plan

REPAIR = "copy the model folder anew from where it was trained"


@dataclass(frozen=True)
class CheckedFolder:
    """A model folder whose record, plan, fingerprint and list of files fit each other, each read once.

    `sha256` is that of the bytes of model.json that `record` was read from.
    """

    folder: ModelFolder
    record: ModelRecord
    plan: Plan
    fingerprint: Fingerprint
    sha256: str

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
    record, sha256 = ModelRecord.load_hashed(folder.record, REPAIR, ModelFolderError)
    plan, plan_sha256 = Plan.load_hashed(folder.plan, REPAIR, ModelFolderError)
    _check_files(folder, record, plan)
    require_same_sha256(folder.plan, plan_sha256, record.plan_sha256, REPAIR)
    fingerprint, fingerprint_sha256 = Fingerprint.load_hashed(folder.fingerprint, REPAIR, ModelFolderError)
    require_same_sha256(folder.fingerprint, fingerprint_sha256, record.fingerprint_sha256, REPAIR)
    return CheckedFolder(folder, record, plan, fingerprint, sha256)


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
    for name in (*record.files, folder.plan.name, folder.fingerprint.name):
        _require_plain(folder.root, name)
    if record.segmenter_sha256 is not None:
        name = _name(folder, folder.segmentation.record)
        _require_plain(folder.root, name)
        require_unaltered(folder.root / name, record.segmenter_sha256, REPAIR)
    if stranger := next(unexpected_files(folder, record, REPAIR), None):
        raise ModelFolderError(
            f"{folder.root / stranger}: not a file that the model's record names, or a link; remove it, or {REPAIR}"
        )


def is_inside(name: str) -> bool:
    """Whether the file `name` of a folder's record lies in that folder."""
    return not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts


def _require_plain(root: Path, name: str) -> None:
    """Raise ModelFolderError unless `name` is a plain file inside `root`, with no link on the way."""
    inside, path = PurePosixPath(name), root / name
    if not is_inside(name):
        raise ModelFolderError(f"{root}: lists the file '{name}', which lies outside; {REPAIR}")
    if any((root / part).is_symlink() for part in (inside, *inside.parents[:-1])) or not path.is_file():
        raise ModelFolderError(f"{path}: missing, or not a plain file; {REPAIR}")
