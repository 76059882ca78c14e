"""One fold from samples to scores; what is done is not done again."""

import itertools
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from autodls.errors import ModelFolderError, StaleRecordError, TrainingError
from autodls.models.fold_files import load_fold
from autodls.models.network import FoldModel
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, FoldScore, Part
from autodls.records.tensors import read_note
from autodls.records.training_log import Epoch
from autodls.training.data import FoldRun, centre_crop
from autodls.training.fine_tuning_stage import fine_tune
from autodls.training.fold_chain import is_scored, require_encoders, weight_hashes, write_scores
from autodls.training.fusion_stage import train_fusion
from autodls.training.keys import FINE_TUNING, FUSION, StageKeys, is_of_older_version, short_key
from autodls.training.learnt import judge_fold
from autodls.training.loop import Report
from autodls.training.sequence_stage import train_sequences
from autodls.training.stage_log import StageLog

_RESTART = "run 'autodls train fold all --restart' to train anew, or put the plan back"
_PARTS: tuple[Part, ...] = ("train", "inner", "validation")
Standing = Literal["missing", "kept", "anew", "refused"]
SCORES = "scores"  # what follows the last stage of a fold


def stages_of(plan: Plan) -> dict[str, int]:
    """The stages of a fold in their order, and the most epochs that each may take."""
    training = plan.training
    stages = {**dict.fromkeys(plan.sequences, training.epochs), FUSION: training.fusion_epochs}
    return {**stages, FINE_TUNING: training.fine_tuning_epochs} if training.fine_tuning_epochs else stages


def made_by(folder: FoldFolder, stage: str) -> Path:
    """The file that `stage` writes last."""
    return folder.fine_tuned.fusion if stage == FINE_TUNING else folder.sequence(stage)


@dataclass(frozen=True)
class _Begun:
    """A fold of which the stages `missing` are to be trained; `weights` are the hashes of those that are there."""

    run: FoldRun
    report: Report
    missing: tuple[str, ...]
    weights: dict[str, str]


def train_fold(run: FoldRun, report: Report) -> None:
    """Train what is missing of a fold and write the scores of all its cases.

    `report` is called after every epoch. Stages after the encoders that the plan has changed are trained anew. Raises
    StaleRecordError when the folder holds encoders of another plan, or weights that were altered since.
    """
    train_together([(run, report)], at_once=1)


def train_together(folds: Sequence[tuple[FoldRun, Report]], at_once: int) -> None:
    """The same for several folds: the encoders of all, `at_once` on the device, and then what follows them, by fold."""
    begun = [_begin(run, report) for run, report in folds]
    encoders = [
        (fold.run, stage, fold.report) for fold in begun for stage in fold.missing if stage in fold.run.plan.sequences
    ]
    train_sequences(encoders, at_once)
    for fold in begun:
        _finish(fold)


def open_fold(run: FoldRun) -> tuple[str, ...]:
    """The stages of a fold that are still to be trained, and `SCORES` where it is to be scored.

    What was made from weights that are to be made again is removed. Raises as `train_fold`.
    """
    begun = _begin(run, lambda _epoch: None)
    return (*begun.missing, SCORES) if begun.missing or not _is_scored(run, begun.weights) else ()


def train_stage(run: FoldRun, stage: str, report: Report) -> None:
    """Train one stage of a fold, or give its scores; what it needs of the stages before it lies in the folder."""
    note = _logged(run, report)
    if stage == SCORES:
        _score(run, weight_hashes(run.folder, run.plan))
    elif stage == FUSION:
        train_fusion(run, note)
    elif stage == FINE_TUNING:
        fine_tune(run, note)
    else:
        train_sequences([(run, stage, note)], at_once=1)


def _logged(run: FoldRun, report: Report) -> Report:
    log = StageLog(run.folder.log)

    def note(epoch: Epoch) -> None:
        log.add(epoch)
        report(epoch)

    return note


def _begin(run: FoldRun, report: Report) -> _Begun:
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
    return _Begun(run, _logged(run, report), missing, weights)


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


def _finish(fold: _Begun) -> None:
    """Train what follows the encoders, and score."""
    run, weights = fold.run, fold.weights
    if FUSION in fold.missing:
        train_fusion(run, fold.report)
    if FINE_TUNING in fold.missing:
        fine_tune(run, fold.report)
    if fold.missing:
        weights = weight_hashes(run.folder, run.plan)
    if not _is_scored(run, weights):
        _score(run, weights)


def _is_scored(run: FoldRun, weights: Mapping[str, str]) -> bool:
    return is_scored(run.folder, run.keys, run.fold.index, weights)


def _score(run: FoldRun, weights: Mapping[str, str]) -> None:
    model = load_fold(run.folder.trained(run.plan.training.fine_tuning_epochs), run.plan, run.data.pixels.device)
    not_learnt = judge_fold(run, StageLog(run.folder.log), _unused(run.folder, weights))
    write_scores(run.folder, score_fold(run, model), run.plan, run.keys.scores, weights, not_learnt)


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


def _unused(folder: FoldFolder, weights: Mapping[str, str]) -> tuple[str, ...]:
    """Stages whose weights give no score: a fine-tuning that was of no use left the encoders before it in place."""
    fine_tuned = folder.fine_tuned.root.relative_to(folder.root)
    before = {name: sha256 for name, sha256 in weights.items() if "/" not in name and name != folder.fusion.name}
    unused = all(weights.get((fine_tuned / name).as_posix()) == sha256 for name, sha256 in before.items())
    return (FINE_TUNING,) if unused else ()


def _remove_what_follows(run: FoldRun, missing: Sequence[str]) -> None:
    """Remove what was made from weights that are about to be made again, the last first: a kill leaves no orphan."""
    derived = (run.folder.record, run.folder.scores, run.folder.learning_curve)
    for path in (*derived, *(made_by(run.folder, stage) for stage in reversed(missing))):
        path.unlink(missing_ok=True)


def score_fold(run: FoldRun, model: FoldModel) -> list[FoldScore]:
    """Scores of every training case by one fold, marked by the part of the fold that the case is in.

    Raises TrainingError for a score that is no finite number.
    """
    part_of: dict[str, Part] = {case: part for part in _PARTS for case in getattr(run.fold, part)}
    cases: Sequence[str] = sorted(part_of)
    rows = run.data.rows(cases)
    pixels = centre_crop(run.data.pixels[rows], run.plan.preprocessing.input_size_px)
    logits = model.logits(pixels, run.data.present[rows])
    by_row = {FUSED: logits.fused, **logits.by_sequence}
    values = {row: tensor.double().cpu().numpy() for row, tensor in by_row.items()}
    present = {FUSED: np.ones(len(cases), dtype=bool)}
    present |= {row: run.data.present[rows, index].cpu().numpy() for index, row in enumerate(logits.by_sequence)}
    for row, column in values.items():
        for case in itertools.compress(cases, present[row] & ~np.isfinite(column)):
            raise _no_number(run.fold.index, case, part_of[case], row)
    labels = run.data.labels[rows].cpu().numpy()
    return [
        FoldScore(
            case=case,
            part=part_of[case],
            label=bool(labels[position]),
            logits={row: float(column[position]) for row, column in values.items() if present[row][position]},
            log_odds={
                row: float(model.scales[row].log_odds(column[position : position + 1])[0])
                for row, column in values.items()
                if present[row][position]
            },
        )
        for position, case in enumerate(cases)
    ]


def _no_number(fold: int, case: str, part: Part, row: str) -> TrainingError:
    return TrainingError(
        f"fold {fold}: case {case} ({part}): the score '{row}' is not a finite number; look at its images with "
        f"'autodls check', or lower training.learning_rate in plan.json and train anew"
    )


def prepare_torch(device: torch.device) -> None:
    """Settle what would make two runs on one GPU differ; to be called before anything is moved to it.

    PyTorch then takes deterministic algorithms, where an operation has one; it would say so of others on the user's
    screen at every run, which is for a test to say. Nothing is changed for a CPU.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts; without it sums may differ
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # we read none of it
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
