"""`train`: the folds of the plan, then the ensemble that is locked."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from autodls.errors import TrainingError
from autodls.evaluation.caveats import INVERTED, is_below_chance
from autodls.evaluation.score_auc import ScoreAuc
from autodls.evaluation.score_aucs import out_of_fold_aucs
from autodls.jobs.executor import LOCAL, Executor, require_executor
from autodls.planning.budget import require_budget
from autodls.records.fingerprint import Fingerprint
from autodls.records.lock import locked, locked_fold, shared
from autodls.records.model import ModelRecord
from autodls.records.model_folders import RoiKind
from autodls.records.plan import Plan
from autodls.records.scores import FoldRecord
from autodls.records.segmentation import doubts
from autodls.records.splits import Splits
from autodls.records.training_log import Epoch
from autodls.records.workspace import Workspace
from autodls.stages.places import require_trained
from autodls.stages.preprocess import preprocess_training
from autodls.stages.provenance import note_run
from autodls.stages.session import Session, chosen_folds, planned, planned_workspace
from autodls.watch import SILENT, KeepingWatch, Watch

_LOWER_RATE = "lower its learning rate in plan.json and train anew with --restart"
_WAITS = "another process is preparing the samples; waiting for it"
_TRY_OTHERWISE = "try more epochs, another rate or pretrained encoder weights, or leave its sequence out"


@dataclass(frozen=True)
class Trained:
    """Folds that are trained; with all of them, the locked model and the out-of-fold AUC of each score.

    In `by_mean` folds the fused score is the mean of the sequences, as the transformer was not shown to be better.
    """

    workspace: Workspace
    folds: tuple[int, ...]
    model: ModelRecord | None = None
    auc: tuple[ScoreAuc, ...] = ()
    by_mean: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, object]:
        """The model and its AUCs; of a single fold, where its weights lie."""
        if self.model is None:
            return {"fold": self.folds[0], "weights": str(self.workspace.fold(self.folds[0]).root)}
        root = self.workspace.model.root
        return {"model": str(root), "cutoff": self.model.cutoff, "auc": [row.model_dump() for row in self.auc]}


def train(
    dataset: Path,
    workspace: Path | None = None,
    fold: str | int = "all",
    rois: RoiKind = "manual",
    *,
    restart: bool = False,
    workers: int = 1,
    at_once: int | None = None,
    executor: Executor = LOCAL,
    watch: Watch = SILENT,
) -> Trained:
    """Train one fold, or "all" and lock the model. What is trained is kept, but for `restart`.

    `rois` "auto" takes those that nnU-Net drew out of fold; `workers` processes read images, and `at_once` folds, or
    networks on a GPU, are trained together. `executor` says who trains: this machine, a Ray or a SLURM cluster, with
    the same bytes. One fold is held alone, so that others can be trained beside it. Raises StaleRecordError where
    plan, splits and dataset do not fit each other, ArgumentError for a fold that is none, TrainingError where training
    diverges.
    """
    told = KeepingWatch(watch)
    require_executor(executor)
    which = str(fold)
    with _held(planned_workspace(dataset, workspace).of(rois), which):
        session = Session.open(dataset, workspace, rois)
        plan = session.plan()
        splits = session.splits(plan)
        folds = chosen_folds(which, len(splits.folds))
        fingerprint = Fingerprint.load(session.workspace.fingerprint, "run 'autodls plan'")
        require_budget(plan, fingerprint.cases, fingerprint.samples)
        session.require_same_inputs(fingerprint.inputs_sha256, workers)
        if session.masks is not None and (found := doubts(session.masks.cases)):
            told.note(f"warning: {found}; see 'flags' in {session.workspace.segmented}")
        if restart:
            _throw_away(session, folds)
        with shared(session.workspace, partial(watch.note, _WAITS)):
            keys = preprocess_training(session, plan, workers, told)
        _train(session, plan, splits, folds, at_once, keys, executor, told)
        done = Trained(session.workspace, tuple(folds), warnings=told.warnings)
        if which == "all":
            done = _lock(session, plan, splits, told)
        with shared(session.workspace):
            _note(watch.command, session, plan, splits)
    return done


def _held(workspace: Workspace, which: str) -> AbstractContextManager[None]:
    """The workspace, or of it the one fold that is trained, so that others can be trained beside it."""
    if not which.isdecimal() or int(which) >= planned(workspace).training.folds:
        return locked(workspace)
    return locked_fold(workspace, workspace.fold_lock(int(which)), int(which))


def _note(command: Sequence[str], session: Session, plan: Plan, splits: Splits) -> None:
    place = session.workspace
    folds = [place.fold(fold.index) for fold in splits.folds]
    scores, curves = [fold.scores for fold in folds], [fold.learning_curve for fold in folds]
    made = [*scores, *curves, place.oof_scores, place.model.record, place.model.card]
    import torch

    from autodls.models.network import computed_in

    precision = computed_in(plan, torch.device(plan.budget.device))
    made_from = [place.fingerprint, place.plan, place.splits]
    note_run(command, place, "train", plan.training.seed, made_from, made, precision)


def _throw_away(session: Session, folds: Sequence[int]) -> None:
    trained = [*(session.workspace.fold(index).root for index in folds), session.workspace.model.root]
    require_trained(trained)
    for folder in trained:
        shutil.rmtree(folder, ignore_errors=True)


def _train(
    session: Session,
    plan: Plan,
    splits: Splits,
    folds: Sequence[int],
    at_once: int | None,
    sample_keys: Mapping[str, str],
    executor: Executor,
    watch: Watch,
) -> None:
    from autodls.jobs.train import train_on
    from autodls.training.forecast import forecast
    from autodls.training.shared import take_encoders
    from autodls.training.standing import made_by, stages_of

    most_epochs = stages_of(plan)
    known = (session.workspace, session.training, plan, splits, folds, sample_keys)
    for line in (*take_encoders(*known), *forecast(*known).lines()):
        watch.note(line)
    with watch.progress("training", len(folds) * sum(most_epochs.values())) as bar:
        done = {
            (fold, stage): most * made_by(session.workspace.fold(fold), stage).exists()
            for fold in folds
            for stage, most in most_epochs.items()
        }

        def report(fold: int, epoch: Epoch) -> None:
            _draw_curves(session, folds)
            if epoch.stage not in plan.sequences:  # of which several may be at work, and stop early
                done.update({(fold, name): most_epochs[name] for name in plan.sequences})
            done[fold, epoch.stage] = epoch.epoch + 1
            auc = "" if epoch.inner_auc is None else f", inner AUC {epoch.inner_auc:.2f}"
            word = f"fold {fold} {epoch.stage} epoch {epoch.epoch + 1}, loss {epoch.train_loss:.3f}{auc}"
            bar.move(sum(done.values()), word)

        try:
            places = (session.workspace, session.training, plan, splits, folds)
            train_on(executor, *places, report, at_once, sample_keys, note=watch.note)
        except TrainingError:
            _draw_curves(session, folds, failed=True)
            raise
    _draw_curves(session, folds)
    _tell_not_learnt(session, folds, watch)


def _draw_curves(session: Session, folds: Sequence[int], *, failed: bool = False) -> None:
    """The learning curve of every fold that is scored and has none; after a failure, of every fold that has begun."""
    places = {index: session.workspace.fold(index) for index in folds}
    wanted = {
        index: place
        for index, place in places.items()
        if place.log.is_file() and (failed or (place.scores.exists() and not place.learning_curve.exists()))
    }
    if wanted:
        from autodls.report.figures.learning_curves import draw_learning_curve

        for index, place in wanted.items():
            draw_learning_curve(place, index)


def _tell_not_learnt(session: Session, folds: Sequence[int], watch: Watch) -> None:
    for index in folds:
        folder = session.workspace.fold(index)
        for stage, why in FoldRecord.load(folder.record, "run 'autodls train fold all'").not_learnt.items():
            remedy = _LOWER_RATE if why.startswith("diverged") else _TRY_OTHERWISE
            watch.note(f"warning: fold {index}: {stage} {why}; {remedy}; see {folder.learning_curve}")


def _lock(session: Session, plan: Plan, splits: Splits, told: KeepingWatch) -> Trained:
    from autodls.training.locking import folds_by_mean, lock_model

    record = lock_model(session.workspace, session.cohort.description, plan, splits, session.training)
    patients = {case.id: case.patient for case in session.training}
    auc = out_of_fold_aucs(session.workspace.oof_scores, plan.sequences, patients)
    _warn(auc, told)
    for caution in record.cautions:
        told.note(f"warning: {caution}")
    folds = tuple(fold.index for fold in splits.folds)
    by_mean = folds_by_mean(session.workspace, plan, splits)
    return Trained(session.workspace, folds, record, tuple(auc), by_mean, told.warnings)


def _warn(rows: Sequence[ScoreAuc], watch: Watch) -> None:
    for row in rows:
        if is_below_chance(row.value, row.high):
            high = row.high or 0.0
            watch.note(f"warning: {row.row}: the out-of-fold AUC is below chance (up to {high:.2f}): {INVERTED}")
