"""Read a model folder: nothing is used but the very bytes whose hash has been checked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from autodls.inference.model_caveats import caveats_of
from autodls.inference.model_files import CheckedFolder, check_model_folder
from autodls.machine import usable_cores
from autodls.models.device import memory_of
from autodls.models.ensemble import EnsembleScores, score_ensemble
from autodls.models.fold_files import load_folded, load_fusion, require_channels
from autodls.models.folded import FoldedEncoder
from autodls.models.network import FoldModel, computed_in, scoring_dtype
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan

_MOST_READ_AT_ONCE = 4  # each is in memory twice for a moment


@dataclass(frozen=True)
class LockedModel:
    """A verified model, ready to score."""

    record: ModelRecord
    plan: Plan
    folds: Sequence[FoldModel]
    sha256: str
    fingerprint: Fingerprint | None = None

    @property
    def computed_in(self) -> str:
        """Device and type of number that scores are computed in: their last digits depend on both."""
        return computed_in(self.plan, self.folds[0].fusion.position.device)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Why scores that it gives now are not to be relied on, a clause each: a flag of every case."""
        return caveats_of(self.record)

    def score(self, pixels: Tensor, present: Tensor, lesions: Sequence[int] = ()) -> EnsembleScores:
        """Score network input; see `FoldModel.logits`. One fold of several scores as it does out of fold.

        Where rows are `lesions`, so many of each case, a case has the mean of them; see `score_ensemble`.
        """
        record = self.record
        of_mean = record.ensemble_recalibration if len(self.folds) == record.folds else None
        return score_ensemble(self.folds, record.recalibration, pixels, present, of_mean, lesions)


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
    them instead of all. On a GPU they are read once, and stay there. Raises ModelFolderError for a missing or altered
    file, and for a file list that leaves the folder; for an encoder that is streamed, when it is used. Raises
    AutoDLSError where the memory of the GPU is not enough.
    """
    checked = checked or check_model_folder(root)
    with memory_of(device):
        folds = _streamed_folds(checked, device)
        if not streamed or device.type != "cpu":
            folds = _kept(folds)
    return LockedModel(checked.record, checked.plan, folds, checked.sha256, checked.fingerprint)


def _kept(folds: Sequence[FoldModel]) -> list[FoldModel]:
    """The folds with all their encoders in memory; several are read at a time."""
    pool = ThreadPoolExecutor(min(usable_cores(), _MOST_READ_AT_ONCE))
    try:
        read = [{name: pool.submit(fold.encoders.__getitem__, name) for name in fold.encoders} for fold in folds]
        return [
            replace(fold, encoders={name: one.result() for name, one in encoders.items()})
            for fold, encoders in zip(folds, read, strict=True)
        ]
    finally:
        pool.shutdown(cancel_futures=True)


def _streamed_folds(checked: CheckedFolder, device: torch.device) -> list[FoldModel]:
    """The folds, whose encoders are read as they are used."""
    folder, record, plan = checked.folder, checked.record, checked.plan
    folds = []
    for index in range(record.folds):
        fold = folder.fold(index)
        read_fold = load_fusion(fold, plan, device, checked.recorded(fold.fusion))
        folds.append(replace(read_fold, common=record.fold_scales[index]) if record.fold_scales else read_fold)

    dtype = scoring_dtype(plan, device)

    def read(index: int, sequence: str) -> FoldedEncoder:
        path = folder.fold(index).sequence(sequence)
        encoder = load_folded(path, checked.recorded(path))
        require_channels(folds[index], sequence, encoder, plan, path)
        return encoder if (torch.device(device).type, dtype) == ("cpu", torch.float32) else encoder.to(device, dtype)

    return [replace(fold, encoders=_Read(partial(read, i), plan.sequences)) for i, fold in enumerate(folds)]
