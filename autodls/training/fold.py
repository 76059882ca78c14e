"""One fold from samples to scores: encoders, then the fusion, then scores; what is done is not done again."""

from collections.abc import Mapping, Sequence

from autodls.training.data import FoldRun
from autodls.training.fine_tuning_stage import fine_tune
from autodls.training.fold_chain import is_scored, unused_stages, weight_hashes
from autodls.training.fold_scores import write_fold_scores
from autodls.training.fusion_stage import train_fusion
from autodls.training.keys import FINE_TUNING, FUSION
from autodls.training.learnt import judge_fold
from autodls.training.loop import Report
from autodls.training.sequence_stage import train_sequences
from autodls.training.stage_log import StageLog, logged
from autodls.training.standing import Begun, begin

SCORES = "scores"  # what follows the last stage of a fold


def train_fold(run: FoldRun, report: Report) -> None:
    """Train what is missing of a fold and write the scores of all its cases.

    `report` is called after every epoch. Stages after the encoders that the plan has changed are trained anew. Raises
    StaleRecordError when the folder holds encoders of another plan, or weights that were altered since.
    """
    train_together([(run, report)], at_once=1)


def train_together(folds: Sequence[tuple[FoldRun, Report]], at_once: int) -> None:
    """The same for several folds: the encoders of all, `at_once` on the device, and then what follows them, by fold."""
    begun = [begin(run, report) for run, report in folds]
    encoders = [
        (fold.run, stage, fold.report) for fold in begun for stage in fold.missing if stage in fold.run.plan.sequences
    ]
    train_sequences(encoders, at_once)
    for fold in begun:
        _fuse_and_score(fold)


def _fuse_and_score(fold: Begun) -> None:
    """Train what follows the encoders of a fold, and give its scores."""
    run, weights = fold.run, fold.weights
    if FUSION in fold.missing:
        train_fusion(run, fold.report)
    if FINE_TUNING in fold.missing:
        fine_tune(run, fold.report)
    if fold.missing:
        weights = weight_hashes(run.folder, run.plan)
    if not _is_scored(run, weights):
        _score(run, weights)


def open_fold(run: FoldRun) -> tuple[str, ...]:
    """The stages of a fold that are still to be trained, and `SCORES` where it is to be scored.

    What was made from weights that are to be made again is removed. Raises as `train_fold`.
    """
    begun = begin(run, lambda _epoch: None)
    return (*begun.missing, SCORES) if begun.missing or not _is_scored(run, begun.weights) else ()


def train_stage(run: FoldRun, stage: str, report: Report) -> None:
    """Train one stage of a fold, or give its scores; what it needs of the stages before it lies in the folder."""
    note = logged(run.folder.log, report)
    if stage == SCORES:
        _score(run, weight_hashes(run.folder, run.plan))
    elif stage == FUSION:
        train_fusion(run, note)
    elif stage == FINE_TUNING:
        fine_tune(run, note)
    else:
        train_sequences([(run, stage, note)], at_once=1)


def _is_scored(run: FoldRun, weights: Mapping[str, str]) -> bool:
    return is_scored(run.folder, run.keys, run.fold.index, weights)


def _score(run: FoldRun, weights: Mapping[str, str]) -> None:
    not_learnt = judge_fold(run, StageLog(run.folder.log), unused_stages(run.folder, weights))
    write_fold_scores(run, weights, not_learnt)
