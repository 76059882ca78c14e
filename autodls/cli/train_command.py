"""`train fold all` and `train fold K`."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from autodls.cli.console import note, progress, say, say_json, show_table
from autodls.cli.data_commands import preprocess_training
from autodls.errors import TrainingError
from autodls.evaluation.cautions import INVERTED, is_below_chance
from autodls.evaluation.rows import RowAuc, out_of_fold_rows
from autodls.jobs.executor import LOCAL, Executor, require_executor
from autodls.planning.budget import require_budget
from autodls.records.fingerprint import Fingerprint
from autodls.records.lock import locked, locked_fold, shared
from autodls.records.plan import Plan
from autodls.records.scores import FoldRecord
from autodls.records.segmentation import doubts
from autodls.records.splits import Splits
from autodls.records.training_log import Epoch
from autodls.records.workspace import RoiKind, Workspace
from autodls.stages.provenance import note_run
from autodls.stages.session import Session, chosen_folds, planned, planned_workspace

_LOWER_RATE = "lower its learning rate in plan.json and train anew with --restart"
_INTERVALS = {
    "delong-logit": "DeLong, logit",
    "delong-logit-cv": "DeLong, logit, variance doubled",
    "bootstrap-patients": "bootstrap over patients",
    "bootstrap-patients-cv": "bootstrap over patients, variance doubled",
}
_TRY_OTHERWISE = "try more epochs, another rate or pretrained encoder weights, or leave its sequence out"


def run_train(
    dataset: Path,
    workspace: Path | None,
    which: str,
    rois: RoiKind,
    *,
    restart: bool,
    workers: int,
    as_json: bool,
    at_once: int | None = None,
    executor: Executor = LOCAL,
) -> None:
    """Train one fold or all; with all, lock the model and show its out-of-fold AUCs."""
    require_executor(executor)
    with _held(planned_workspace(dataset, workspace).of(rois), which):
        session = Session.open(dataset, workspace, rois)
        plan = session.plan()
        splits = session.splits(plan)
        folds = chosen_folds(which, len(splits.folds))
        fingerprint = Fingerprint.load(session.workspace.fingerprint, "run 'autodls plan'")
        require_budget(plan, fingerprint.cases)
        session.require_same_inputs(fingerprint.inputs_sha256, workers)
        if session.masks is not None and (found := doubts(session.masks.cases)):
            note(f"warning: {found}; see 'flags' in {session.workspace.segmented}")
        if restart:
            _throw_away(session, folds)
        with shared(session.workspace, partial(note, "another process is preparing the samples; waiting for it")):
            keys = preprocess_training(session, plan, workers)
        _train(session, plan, splits, folds, at_once, keys, executor)
        if which == "all":
            _lock(session, plan, splits, as_json)
        with shared(session.workspace):
            _note(session, plan, splits)
        if which == "all":
            return
        if as_json:
            say_json(json.dumps({"fold": folds[0], "weights": str(session.workspace.fold(folds[0]).root)}, indent=1))
        else:
            say(f"fold {which} is trained. When all folds are: autodls train fold all locks the ensemble")


def _held(workspace: Workspace, which: str) -> AbstractContextManager[None]:
    """The workspace, or of it the one fold that is trained, so that others can be trained beside it."""
    if not which.isdecimal() or int(which) >= planned(workspace).training.folds:
        return locked(workspace)
    return locked_fold(workspace, workspace.fold_lock(int(which)), int(which))


def _note(session: Session, plan: Plan, splits: Splits) -> None:
    place = session.workspace
    folds = [place.fold(fold.index) for fold in splits.folds]
    scores, curves = [fold.scores for fold in folds], [fold.learning_curve for fold in folds]
    made = [*scores, *curves, place.oof_scores, place.model.record, place.model.card]
    note_run(sys.argv, place, "train", plan.training.seed, [place.fingerprint, place.plan, place.splits], made)


def _throw_away(session: Session, folds: Sequence[int]) -> None:
    for index in folds:
        shutil.rmtree(session.workspace.fold(index).root, ignore_errors=True)
    shutil.rmtree(session.workspace.model.root, ignore_errors=True)


def _train(
    session: Session,
    plan: Plan,
    splits: Splits,
    folds: Sequence[int],
    at_once: int | None,
    sample_keys: Mapping[str, str],
    executor: Executor,
) -> None:
    from autodls.jobs.train import train_on
    from autodls.training.fold import made_by, stages_of

    most_epochs = stages_of(plan)
    with progress("training", len(folds) * sum(most_epochs.values())) as bar:
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
            train_on(executor, *places, report, at_once, sample_keys, note=note)
        except TrainingError:
            _draw_curves(session, folds, failed=True)
            raise
    _draw_curves(session, folds)
    _tell_not_learnt(session, folds)


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


def _tell_not_learnt(session: Session, folds: Sequence[int]) -> None:
    for index in folds:
        folder = session.workspace.fold(index)
        for stage, why in FoldRecord.load(folder.record, "run 'autodls train fold all'").not_learnt.items():
            remedy = _LOWER_RATE if why.startswith("diverged") else _TRY_OTHERWISE
            note(f"warning: fold {index}: {stage} {why}; {remedy}; see {folder.learning_curve}")


def _lock(session: Session, plan: Plan, splits: Splits, as_json: bool) -> None:
    from autodls.training.ensemble import folds_by_mean, lock_model

    record = lock_model(session.workspace, session.cohort.description, plan, splits, session.training)
    patients = {case.id: case.patient for case in session.training}
    rows = out_of_fold_rows(session.workspace.oof_scores, plan.sequences, patients)
    _warn(rows)
    for caution in record.cautions:
        note(f"warning: {caution}")
    if as_json:
        content = {"model": str(session.workspace.model.root), "cutoff": record.cutoff}
        say_json(json.dumps({**content, "auc": [row.model_dump() for row in rows]}, indent=1))
        return
    show_rows("Out-of-fold AUC (each case scored by the fold that did not see it)", rows)
    if mean := folds_by_mean(session.workspace, plan, splits):
        say(
            f"In {mean} of {record.folds} folds dls is the mean of the sequences' log-odds: the transformer was not "
            "shown to be better"
        )
    say(f"Locked model: {session.workspace.model.root} (cut-off {record.cutoff:.3f}, {record.cutoff_source})")
    given, chosen = ("--rois ROIS ", "") if record.rois == "manual" else ("", " --rois auto")
    note(f"next: autodls predict -i IMAGES {given}-o OUT, or autodls evaluate{chosen} for the held-out cohorts")


def _warn(rows: Sequence[RowAuc]) -> None:
    for row in rows:
        if is_below_chance(row.value, row.high):
            note(f"warning: {row.row}: the out-of-fold AUC is below chance (up to {row.high or 0.0:.2f}): {INVERTED}")


def show_rows(title: str, rows: Sequence[RowAuc]) -> None:
    """Print a table of AUCs."""
    lines = [[row.cohort, row.row, str(row.n), str(row.positives), row.text] for row in rows]
    methods = ", or ".join(dict.fromkeys(_INTERVALS[row.method] for row in rows)) or _INTERVALS["delong-logit"]
    show_table(title, ["cohort", "score", "n", "positive", f"AUC (95% CI, {methods})"], lines, numbers_from=2)
