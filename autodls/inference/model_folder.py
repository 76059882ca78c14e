"""Read a model folder: nothing is used before its hash has been checked."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from autodls.errors import ModelFolderError
from autodls.models.ensemble import EnsembleScores, score_ensemble
from autodls.models.fold_model import FoldModel, load_fold
from autodls.records.files import sha256_of_file
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.workspace import ModelFolder

_REPAIR = "copy the model folder anew from where it was trained"
_READERS = 2  # hashing is bound by one core, so a second helps; more compete with torch


@dataclass(frozen=True)
class LockedModel:
    """A verified model, ready to score."""

    record: ModelRecord
    plan: Plan
    folds: Sequence[FoldModel]
    sha256: str

    def score(self, pixels: Tensor, present: Tensor) -> EnsembleScores:
        """Score network input; see `FoldModel.logits`."""
        return score_ensemble(self.folds, self.record.recalibration, pixels, present)


def load_model(root: Path, device: torch.device) -> LockedModel:
    """Verify and load the model folder `root`.

    Raises ModelFolderError for a missing or altered file, and for a file list that leaves the folder.
    """
    folder = ModelFolder(root)
    if not root.is_dir():
        raise ModelFolderError(f"{root}: no such model folder; give -m MODEL, or run 'autodls train fold all' first")
    record = ModelRecord.load(folder.record, _REPAIR, ModelFolderError)
    plan = Plan.load(folder.plan, _REPAIR, ModelFolderError)
    _check_files(folder, record, plan)
    with ThreadPoolExecutor(_READERS) as pool:
        folds = list(pool.map(lambda index: load_fold(folder.fold(index), plan, device), range(record.folds)))
    return LockedModel(record, plan, folds, sha256_of_file(folder.record))


def _check_files(folder: ModelFolder, record: ModelRecord, plan: Plan) -> None:
    expected = {
        folder.fold(index).sequence(stage).relative_to(folder.root).as_posix()
        for index in range(record.folds)
        for stage in (*plan.sequences, "fusion")
    }
    if expected != set(record.files):
        odd = sorted(expected.symmetric_difference(record.files))[0]
        raise ModelFolderError(f"{folder.record}: its list of files does not fit its plan, e.g. '{odd}'; {_REPAIR}")
    if plan.sequences != tuple(record.channel_names.values()):
        raise ModelFolderError(
            f"{folder.plan}: sequences {list(plan.sequences)}, model.json has {list(record.channel_names.values())}; "
            f"{_REPAIR}"
        )
    hashes = {**record.files, "plan.json": record.plan_sha256, "fingerprint.json": record.fingerprint_sha256}
    if record.segmenter_sha256 is not None:
        hashes[folder.segmentation.record.relative_to(folder.root).as_posix()] = record.segmenter_sha256
    with ThreadPoolExecutor(_READERS) as pool:
        list(pool.map(lambda item: _check_hash(folder.root, *item), hashes.items()))


def _check_hash(root: Path, name: str, expected: str) -> None:
    path = root / PurePosixPath(name)
    if ".." in path.parts:
        raise ModelFolderError(f"{root}: lists the file '{name}', which lies outside; {_REPAIR}")
    if path.is_symlink() or not path.is_file():
        raise ModelFolderError(f"{path}: missing, or not a plain file; {_REPAIR}")
    found = sha256_of_file(path)
    if found != expected:
        raise ModelFolderError(f"{path}: altered (SHA-256 {found[:12]}, expected {expected[:12]}); {_REPAIR}")
