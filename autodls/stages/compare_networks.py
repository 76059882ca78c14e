"""The networks that `compare` sets beside the others: those of the locked model, and those of named experiments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autodls.errors import ArgumentError, InputError, ModelFolderError, StaleRecordError
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, FoldScore, load_fold_scores
from autodls.records.splits import Fold, Splits
from autodls.records.workspace import Workspace
from autodls.stages.compare_sources import is_candidate_name
from autodls.stages.kept_study import fold_scores, require_same_scores

ALL = "all"
_TRAIN_FIRST = "run 'autodls train fold all'"


@dataclass(frozen=True)
class Networks:
    """Scores of every fold's networks: as they are by fold, and out of fold on the scale that folds share.

    `calibrated` are the same log-odds out of fold, recalibrated as those of the locked model. `made_from` are the files
    that say whose they are.
    """

    by_fold: Mapping[int, Sequence[FoldScore]]
    pooled: Mapping[str, float]
    calibrated: Mapping[str, float]
    made_from: tuple[Path, ...]

    def known_to(self, fold: Fold) -> dict[str, float]:
        """Logits that `fold` may know: of its own networks, and of no case that they were trained on."""
        known = {*fold.inner, *fold.validation}
        return {one.case: one.logits[FUSED] for one in self.by_fold[fold.index] if one.case in known}


def locked_networks(place: Workspace, splits: Splits) -> Networks:
    """The scores of the folds that the model locked in `place` is made of.

    Raises ModelFolderError without such a model, StaleRecordError for scores that are not of it, or of other `splits`.
    """
    model = ModelRecord.load(place.model.record, _TRAIN_FIRST, ModelFolderError)
    require_same_scores(place, model, splits)
    trained = Plan.load(place.model.plan, _TRAIN_FIRST, ModelFolderError)
    pooled = {
        score.case: score.log_odds[FUSED]
        for at, fold in enumerate(splits.folds)
        for score in fold_scores(place, model, trained, at, fold.index)
        if score.part == "validation"
    }
    by_fold = {fold.index: load_fold_scores(place.fold(fold.index), trained.sequences) for fold in splits.folds}
    odds = model.recalibration.log_odds(np.array(list(pooled.values())))
    calibrated = dict(zip(pooled, odds.tolist(), strict=True))
    return Networks(by_fold, pooled, calibrated, (place.oof_scores, place.model.record))


def main_networks(place: Workspace, splits: Splits, left_out: dict[str, str]) -> Networks | None:
    """Those of the model of `place` itself; None, and a reason in `left_out`, without a model."""
    if not place.model.record.is_file():
        left_out["deep"] = f"there is no locked model; {_TRAIN_FIRST}"
        return None
    return locked_networks(place, splits)


def require_experiments(place: Workspace, also: Sequence[str]) -> dict[str, Workspace]:
    """The experiments beside `place` that `also` names, "all" for every one, by name; nothing is read of them.

    Raises ArgumentError for one that there is not, that is `place` itself, or whose name is that of a candidate, and
    where `place` has no model of its own to set them beside.
    """
    if also and not place.model.record.is_file():
        raise ArgumentError(
            f"--also {also[0]}: there is no locked model in {place.home} to set it beside; {_TRAIN_FIRST}, or compare "
            "an experiment that has one with --name"
        )
    there = {one.root.name: one for one in place.base.experiments if one != place}
    if ALL in also:
        return there
    for name in also:
        if name == place.root.name and place.base != place:
            raise ArgumentError(f"--also {name}: is compared already, as candidate 'deep'; leave it out")
        if name not in there:
            known = f"there are {', '.join(there)}" if there else "there is none beside this plan"
            raise ArgumentError(f"--also {name}: no such experiment in {place.base.root} ({known})")
        _require_own_name(name)
    return {name: there[name] for name in dict.fromkeys(also)}


def further_networks(
    asked: Mapping[str, Workspace], splits: Splits, left_out: dict[str, str], *, every: bool
) -> dict[str, Networks]:
    """The networks of the experiments `asked`, by name, on the folds of `splits`.

    Raises InputError for one that cannot be compared; of `every` one that there is, it goes into `left_out` instead.
    """
    found = {}
    for name, place in asked.items():
        try:
            found[name] = _of_experiment(name, place, splits)
        except InputError as failure:
            if not every:
                raise
            left_out[name] = str(failure).removeprefix(f"--also {name}: ")
    return found


def _of_experiment(name: str, place: Workspace, splits: Splits) -> Networks:
    again = f"run 'autodls train fold all --name {name}'"
    _require_own_name(name)
    if not place.model.record.is_file():
        raise ArgumentError(f"--also {name}: there is no locked model in {place.home}; {again}")
    locked_from = ModelRecord.load(place.model.record, again, ModelFolderError).splits_sha256
    if locked_from != splits.sha256():
        raise StaleRecordError(
            f"--also {name}: locked from other splits ({locked_from[:8]}) than these ({splits.sha256()[:8]}), so "
            f"scores cannot be compared case by case; run 'autodls plan --name {name} --restart' and train it anew"
        )
    try:
        return locked_networks(place, splits)
    except InputError as failure:
        raise StaleRecordError(f"--also {name}: {str(failure).replace(_TRAIN_FIRST, again)}") from None


def _require_own_name(name: str) -> None:
    if is_candidate_name(name):
        raise ArgumentError(
            f"--also {name}: a candidate is called so already; plan the experiment under another name (encoders that "
            "are the same are taken over, not trained again)"
        )
