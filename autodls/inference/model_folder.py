"""Read a model folder: nothing is used before its hash has been checked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from autodls.errors import ModelFolderError
from autodls.inference.model_files import REPAIR, CheckedFolder, check_model_folder
from autodls.models.ensemble import EnsembleScores, score_ensemble
from autodls.models.fold_model import FoldModel, load_folded, load_fusion, require_channels, scoring_dtype
from autodls.models.folded import FoldedEncoder
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan


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


@dataclass(frozen=True)
class _Read(Mapping[str, FoldedEncoder]):
    """The encoders of one fold by sequence; each look-up reads it anew."""

    read: Callable[[str], FoldedEncoder]
    sequences: Sequence[str]

    def __getitem__(self, sequence: str) -> FoldedEncoder:
        return self.read(sequence)

    def __iter__(self) -> Iterator[str]:
        return iter(self.sequences)

    def __len__(self) -> int:
        return len(self.sequences)


def load_model(
    root: Path, device: torch.device, *, streamed: bool = False, checked: CheckedFolder | None = None
) -> LockedModel:
    """Verify and load the model folder `root`, which may be `checked` already.

    If `streamed`, encoders are read and verified each time that they are used, and then dropped: memory holds a few of
    them instead of all. Raises ModelFolderError for a missing or altered file, and for a file list that leaves the
    folder; for an encoder that is streamed, when it is used.
    """
    checked = checked or check_model_folder(root)
    folds = _streamed_folds(checked, device)
    if not streamed:
        folds = [replace(fold, encoders=dict(fold.encoders)) for fold in folds]
    folder = checked.folder
    fingerprint = Fingerprint.load(folder.fingerprint, REPAIR, ModelFolderError)
    return LockedModel(checked.record, checked.plan, folds, sha256_of_file(folder.record), fingerprint)


def _streamed_folds(checked: CheckedFolder, device: torch.device) -> list[FoldModel]:
    """The folds, whose encoders are read as they are used."""
    folder, record, plan = checked.folder, checked.record, checked.plan
    folds = []
    for index in range(record.folds):
        fold = folder.fold(index)
        folds.append(load_fusion(fold, plan, device, checked.recorded(fold.fusion), checked.digest))

    dtype = scoring_dtype(plan, device)

    def read(index: int, sequence: str) -> FoldedEncoder:
        path = folder.fold(index).sequence(sequence)
        encoder = load_folded(path, checked.recorded(path), checked.digest)
        require_channels(folds[index], sequence, encoder, path)
        return encoder if (torch.device(device).type, dtype) == ("cpu", torch.float32) else encoder.to(device, dtype)

    return [replace(fold, encoders=_Read(partial(read, i), plan.sequences)) for i, fold in enumerate(folds)]
