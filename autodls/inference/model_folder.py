"""Read a model folder: nothing is used before its hash has been checked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from autodls.errors import ModelFolderError
from autodls.inference.read_ahead import ReadAhead, Streamed
from autodls.models.ensemble import EnsembleScores, score_ensemble
from autodls.models.fold_model import FoldModel, load_folded, load_fusion, require_channels, scoring_dtype
from autodls.models.folded import FoldedEncoder
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.workspace import ModelFolder

_REPAIR = "copy the model folder anew from where it was trained"


@dataclass(frozen=True)
class LockedModel:
    """A verified model, ready to score."""

    record: ModelRecord
    plan: Plan
    folds: Sequence[FoldModel]
    sha256: str
    fingerprint: Fingerprint | None = None

    def score(self, pixels: Tensor, present: Tensor) -> EnsembleScores:
        """Score network input; see `FoldModel.logits`."""
        return score_ensemble(self.folds, self.record.recalibration, pixels, present)


def load_model(root: Path, device: torch.device, *, streamed: bool = False) -> LockedModel:
    """Verify and load the model folder `root`.

    If `streamed`, encoders are read and verified each time that they are used, and then dropped: memory holds a few of
    them instead of all. Raises ModelFolderError for a missing or altered file, and for a file list that leaves the
    folder; for an encoder that is streamed, when it is used.
    """
    folder = ModelFolder(root)
    if not root.is_dir():
        raise ModelFolderError(f"{root}: no such model folder; give -m MODEL, or run 'autodls train fold all' first")
    record = ModelRecord.load(folder.record, _REPAIR, ModelFolderError)
    plan = Plan.load(folder.plan, _REPAIR, ModelFolderError)
    _check_files(folder, record, plan)
    folds = _streamed_folds(folder, record, plan, device)
    if not streamed:
        folds = [replace(fold, encoders=dict(fold.encoders)) for fold in folds]
    fingerprint = Fingerprint.load(folder.fingerprint, _REPAIR, ModelFolderError)
    return LockedModel(record, plan, folds, sha256_of_file(folder.record), fingerprint)


def _streamed_folds(folder: ModelFolder, record: ModelRecord, plan: Plan, device: torch.device) -> list[FoldModel]:
    """The folds, whose encoders are read as they are used, in the order in which `score_ensemble` uses them."""
    folds = []
    for index in range(record.folds):
        path = folder.fold(index).fusion
        folds.append(load_fusion(folder.fold(index), plan, device, record.files[_name(folder, path)]))

    dtype = scoring_dtype(plan, device)

    def read(place: int) -> FoldedEncoder:
        index, sequence = place // len(plan.sequences), plan.sequences[place % len(plan.sequences)]
        path = folder.fold(index).sequence(sequence)
        encoder = load_folded(path, record.files[_name(folder, path)])
        require_channels(folds[index], sequence, encoder, path)
        return encoder if (torch.device(device).type, dtype) == ("cpu", torch.float32) else encoder.to(device, dtype)

    ahead = ReadAhead(read, record.folds * len(plan.sequences))
    count = len(plan.sequences)
    return [
        replace(fold, encoders=Streamed(ahead, {name: index * count + k for k, name in enumerate(plan.sequences)}))
        for index, fold in enumerate(folds)
    ]


def _name(folder: ModelFolder, path: Path) -> str:
    return path.relative_to(folder.root).as_posix()


def _check_files(folder: ModelFolder, record: ModelRecord, plan: Plan) -> None:
    if record.folds > len(record.files):
        raise ModelFolderError(f"{folder.record}: {record.folds} folds in {len(record.files)} files; {_REPAIR}")
    expected = {
        _name(folder, folder.fold(index).sequence(stage))
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
    for name in record.files:
        _require_plain(folder.root, name)
    hashes = {"plan.json": record.plan_sha256, "fingerprint.json": record.fingerprint_sha256}
    if record.segmenter_sha256 is not None:
        hashes[_name(folder, folder.segmentation.record)] = record.segmenter_sha256
    for name, expected_digest in hashes.items():
        _require_plain(folder.root, name)
        digest = sha256_of_file(folder.root / name)
        if digest != expected_digest:
            raise ModelFolderError(
                f"{folder.root / name}: altered (SHA-256 {digest[:12]}, expected {expected_digest[:12]}); {_REPAIR}"
            )


def _require_plain(root: Path, name: str) -> None:
    """Raise ModelFolderError unless `name` is a plain file inside `root`, with no link on the way."""
    inside, path = PurePosixPath(name), root / name
    if inside.is_absolute() or ".." in inside.parts:
        raise ModelFolderError(f"{root}: lists the file '{name}', which lies outside; {_REPAIR}")
    if any((root / part).is_symlink() for part in (inside, *inside.parents[:-1])) or not path.is_file():
        raise ModelFolderError(f"{path}: missing, or not a plain file; {_REPAIR}")
