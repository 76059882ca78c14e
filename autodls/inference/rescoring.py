"""The same cases scored again: by the model of either kind of ROI, each with either kind of ROI.

A training case is scored by the one fold that did not see it, a held-out case by the ensemble. Every score is known by
the hash of all that it is derived from, so what was scored once is not scored again.
"""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from autodls import __version__
from autodls.errors import DatasetError, InputError, StaleRecordError
from autodls.evaluation.agreement_records import CELLS
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import LockedModel
from autodls.inference.scoring import score_sample
from autodls.preprocessing.case import case_key, prepare_case
from autodls.preprocessing.store import Sample, load_sample, load_summary
from autodls.records.base import Record
from autodls.records.case import Case
from autodls.records.files import sha256_of_bytes
from autodls.records.model_folders import RoiKind


@dataclass(frozen=True)
class PairedCase:
    """A case with its ROI of either kind; `fold` is the one that did not see it, None where no fold did."""

    case: Case
    rois: Mapping[RoiKind, InputCase]
    fold: int | None


class KnownScores(Record):
    """Calibrated scores by the hash of what they are derived from."""

    format: Literal["autodls-known-scores/1"] = "autodls-known-scores/1"
    dls: dict[str, float] = Field(description="by SHA-256 of version, model, fold and sample")


class ScoreCache:
    """Scores that were made before, in a file. What is no longer asked for is left out when it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used: dict[str, float] = {}
        try:
            self.known = dict(KnownScores.load(path, "score anew").dls)
        except InputError:
            self.known = {}

    def score(self, model: LockedModel, fold: int | None, key: str, sample: Callable[[], Sample]) -> float:
        """The calibrated score of the sample with `key`, by fold `fold` of `model` alone, or by all where it is None.

        `sample` is called only where the score is not known.
        """
        found = self.ask(model, fold, key)
        if found is None:
            found = float(score_sample(judge(model, fold), sample()).dls[0])
            self.keep(model, fold, key, found)
        return found

    def ask(self, model: LockedModel, fold: int | None, key: str) -> float | None:
        """The score of the sample with `key` as it was made before, which stays; None where it was not."""
        name = _name(model, fold, key)
        if name in self.known:
            self.used[name] = self.known[name]
        return self.known.get(name)

    def keep(self, model: LockedModel, fold: int | None, key: str, dls: float) -> None:
        """Take `dls` as what the sample with `key` scores; which stays."""
        name = _name(model, fold, key)
        self.known[name] = self.used[name] = dls

    def save(self) -> None:
        """Write all scores, those of an earlier run too: a killed run continues."""
        KnownScores(dls=self.known).save(self.path)

    def close(self) -> None:
        """Write the scores that this run asked for."""
        KnownScores(dls=self.used).save(self.path)


def _name(model: LockedModel, fold: int | None, key: str) -> str:
    return sha256_of_bytes(json.dumps([__version__, model.sha256, fold, key]).encode())


def judge(model: LockedModel, fold: int | None) -> LockedModel:
    """`model`, or the one fold of it that did not see a case, with the recalibration that all folds share."""
    return model if fold is None else replace(model, folds=[model.folds[fold]])


def crossed_scores(
    models: Mapping[RoiKind, LockedModel],
    paired: PairedCase,
    known: Mapping[str, float],
    stored: Callable[[RoiKind, str], Path],
    book: ScoreCache,
) -> dict[str, float]:
    """The calibrated score of one case in each of `CELLS`.

    Both models must share their preprocessing. `known` holds cells that were scored before, such as out-of-fold
    scores; `stored` says where the sample of a training case lies. Raises DatasetError for a case that cannot be
    prepared, StaleRecordError for a stored sample of other images, another ROI or another plan.
    """
    scores = dict(known)
    for kind, files in paired.rois.items():
        cells: dict[RoiKind, str] = {trained: f"{trained}/{kind}" for trained in models}
        key = sample_key(models[kind], files)
        if paired.fold is not None:
            _require_same(files.id, stored(kind, files.id), key)
        make = functools.cache(functools.partial(_sample, models[kind], files, stored(kind, files.id), key))
        for trained, cell in cells.items():
            if cell not in scores:
                scores[cell] = book.score(models[trained], paired.fold, key, make)
    return {cell: scores[cell] for cell in CELLS}


def sample_key(model: LockedModel, files: InputCase) -> str:
    """SHA-256 of all that the sample of a case is derived from; raises DatasetError where it has no ROI."""
    return case_key(files.images, roi_of(files), files.roi_labels(model.record), model.plan.preprocessing)


def prepare(model: LockedModel, files: InputCase, key: str) -> Sample:
    """The sample of a case, as when it is scored; raises DatasetError where it has no ROI or cannot be read."""
    labels = files.roi_labels(model.record)
    return prepare_case(files.id, files.images, roi_of(files), labels, model.plan.preprocessing, key)


def _sample(model: LockedModel, files: InputCase, stored: Path, key: str) -> Sample:
    """The stored sample where it still fits, else a new one."""
    summary = load_summary(stored)
    return load_sample(stored) if summary is not None and summary[0] == key else prepare(model, files, key)


def _require_same(case: str, stored: Path, key: str) -> None:
    summary = load_summary(stored)
    if summary is not None and summary[0] != key:
        raise StaleRecordError(
            f"case {case}: its images, its ROI or the plan have changed since {stored.name} was trained on; "
            "run 'autodls train fold all --restart' and 'autodls train fold all --rois auto --restart'"
        )


def roi_of(files: InputCase) -> Path:
    """The file of the ROI; raises DatasetError where there is none."""
    if files.roi is None:
        raise DatasetError(f"case {files.id}: no {files.kind} ROI, so it cannot be scored; draw it")
    return files.roi
