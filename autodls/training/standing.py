"""Where the stages of a fold stand: which are there and belong to the plan, which are to be made, which are refused."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autodls.errors import ModelFolderError, StaleRecordError
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.tensors import read_note
from autodls.training.data import FoldRun
from autodls.training.fold_chain import require_encoders, weight_hashes
from autodls.training.keys import FINE_TUNING, FUSION, StageKeys, is_of_older_version, short_key
from autodls.training.loop import Report
from autodls.training.stage_log import StageLog, logged

_RESTART = "run 'autodls train fold all --restart' to train anew, or put the plan back"
Standing = Literal["missing", "kept", "anew", "refused"]


def stages_of(plan: Plan) -> dict[str, int]:
    """The stages of a fold in their order, and the most epochs that each may take."""
    training = plan.training
    stages = {**dict.fromkeys(plan.sequences, training.epochs), FUSION: training.fusion_epochs}
    return {**stages, FINE_TUNING: training.fine_tuning_epochs} if training.fine_tuning_epochs else stages


def made_by(folder: FoldFolder, stage: str) -> Path:
    """The file that `stage` writes last."""
    return folder.fine_tuned.fusion if stage == FINE_TUNING else folder.sequence(stage)


@dataclass(frozen=True)
class Begun:
    """A fold of which the stages `missing` are to be trained; `weights` are the hashes of those that are there."""

    run: FoldRun
    report: Report
    missing: tuple[str, ...]
    weights: dict[str, str]


def begin(run: FoldRun, report: Report) -> Begun:
    """Look at what is there of a fold, and remove what is left of another plan and what follows from missing stages.

    Raises StaleRecordError for encoders of another plan, or weights that were altered since.
    """
    found = standing_of(run.folder, run.plan, run.keys)
    for stage, standing in found.items():
        if standing == "refused":
            raise _stale(run, stage)
    weights = weight_hashes(run.folder, run.plan)
    for stage in (stage for stage, standing in found.items() if standing == "kept"):
        run.folder.resume(stage).unlink(missing_ok=True)  # of a run that was killed just before it did
    for stage in _fused_by_kept(run, found):
        require_encoders(run.folder, FoldFolder(made_by(run.folder, stage).parent), run.plan, run.fold.index, weights)
    missing = tuple(stage for stage, standing in found.items() if standing != "kept")
    if missing:
        _remove_what_follows(run, missing)
    _forget_others(run, [stage for stage in missing if found[stage] == "anew"])
    return Begun(run, logged(run.folder.log, report), missing, weights)


def _fused_by_kept(run: FoldRun, found: Mapping[str, Standing]) -> Iterator[str]:
    """The stages that are there and say on which encoders they were fitted, all of which are there to be held to it."""
    if found[FUSION] == "kept" or all(found[name] == "kept" for name in run.plan.sequences):
        if found[FUSION] in ("kept", "anew"):
            yield FUSION
        if found.get(FINE_TUNING) == "kept":
            yield FINE_TUNING


def _forget_others(run: FoldRun, anew: Sequence[str]) -> None:
    """Remove what is left of stages that another plan had, or had otherwise."""
    planned = stages_of(run.plan)
    if FINE_TUNING not in planned:
        shutil.rmtree(run.folder.fine_tuned.root, ignore_errors=True)
        run.folder.resume(FINE_TUNING).unlink(missing_ok=True)
    StageLog(run.folder.log).keep_only([stage for stage in planned if stage not in anew])


def _remove_what_follows(run: FoldRun, missing: Sequence[str]) -> None:
    """Remove what was made from weights that are about to be made again, the last first: a kill leaves no orphan."""
    derived = (run.folder.record, run.folder.scores, run.folder.learning_curve)
    for path in (*derived, *(made_by(run.folder, stage) for stage in reversed(missing))):
        path.unlink(missing_ok=True)


def standing_of(folder: FoldFolder, plan: Plan, keys: StageKeys) -> dict[str, Standing]:
    """Where each stage of a fold stands, by its name.

    Encoders of another plan are "refused", as they cost hours; what comes after them is then made "anew". A fusion
    whose encoders somebody removed is not "kept" either.
    """
    found: dict[str, Standing] = {}
    for stage in stages_of(plan):
        standing = _standing_of_file(made_by(folder, stage), stage, keys)
        if stage not in plan.sequences and standing == "kept" and any(one != "kept" for one in found.values()):
            standing = "anew"
        found[stage] = standing
    return found


def _standing_of_file(path: Path, stage: str, keys: StageKeys) -> Standing:
    if not path.exists():
        return "missing"
    if keys.fits(stage, _key_in(path)):
        return "kept"
    return "anew" if stage in (FUSION, FINE_TUNING) else "refused"


def _key_in(path: Path) -> object:
    try:
        return read_note(path).get("key")
    except ModelFolderError as failure:
        raise StaleRecordError(f"{failure}; {_RESTART}") from None


def _stale(run: FoldRun, stage: str) -> StaleRecordError:
    path = made_by(run.folder, stage)
    found = _key_in(path)
    older = (
        " or by an older version of AutoDLS, which cannot tell what has changed" if is_of_older_version(found) else ""
    )
    return StaleRecordError(
        f"{path}: trained by another plan, split or preprocessing{older} "
        f"({short_key(found)}, now {short_key(run.keys.of[stage])}); {_RESTART}"
    )
