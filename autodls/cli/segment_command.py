"""`segment fold all` and `segment fold K`."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from autodls.cli.console import note, progress, say, say_json, show_table
from autodls.planning.segmentation_time import in_words, segmentation_time
from autodls.records.fingerprint import Fingerprint
from autodls.records.lock import locked, locked_fold, shared
from autodls.records.segmentation import MaskSource, SegmentationEpoch, SegmentedCohort
from autodls.records.workspace import Workspace
from autodls.segmentation.environment import require_nnunet
from autodls.segmentation.out_of_fold import draw_masks
from autodls.segmentation.run import SegmentationRun, is_trained, throw_away
from autodls.segmentation.stage import predicted_minutes, prepare_cohort, train_networks
from autodls.stages.provenance import note_run
from autodls.stages.session import Session, chosen_folds, planned, planned_workspace

_SOURCES: dict[MaskSource, str] = {
    "threshold": "drawn at 0.5",
    "lower-threshold": "drawn at the lower threshold",
    "whole-field": "not found: the whole field",
}


def run_segment(
    dataset: Path, workspace: Path | None, which: str, *, restart: bool, workers: int, as_json: bool
) -> None:
    """Train nnU-Net on one fold or all, and draw the cases that each fold did not see."""
    require_nnunet()
    session = Session.open(dataset, workspace)
    with _held(planned_workspace(dataset, workspace), which):
        plan = session.plan()
        splits = session.splits(plan)
        folds = chosen_folds(which, len(splits.folds))
        fingerprint = Fingerprint.load(session.workspace.fingerprint, "run 'autodls plan'")
        session.require_same_inputs(fingerprint.inputs_sha256, workers)
        from autodls.training.cohort import training_device

        labels, device = session.cohort.description.roi_labels, training_device(plan)
        run = SegmentationRun(session.workspace, session.training, labels, plan, splits, device, workers)
        if restart:
            throw_away(run, folds)
        if waiting := sum(not is_trained(run, index) for index in folds):
            note(f"{waiting} folds of nnU-Net: {segmentation_time(plan, waiting)}")
        waits = partial(note, "another process is preparing or drawing cases; waiting for it")
        with shared(session.workspace, waits), progress("preparing", 2 * len(run.cases)) as advance:
            prepare_cohort(run, advance)
        _train(run, folds)
        undrawn = sum(len(splits.folds[index].validation) for index in folds)
        with shared(session.workspace, waits):
            with progress("drawing", undrawn) as advance:
                record = draw_masks(run, folds, advance)
            place = session.workspace
            made_from = [place.fingerprint, place.plan, place.splits]
            note_run(sys.argv, place, "segment", plan.training.seed, made_from, [place.segmented])
    _show(session, record, as_json)


def _held(workspace: Workspace, which: str) -> AbstractContextManager[None]:
    """The workspace, or of it the one fold of nnU-Net, so that others can be trained beside it."""
    if not which.isdecimal() or int(which) >= planned(workspace).training.folds:
        return locked(workspace)
    return locked_fold(workspace, workspace.segmentation_lock(int(which)), int(which))


def _train(run: SegmentationRun, folds: Sequence[int]) -> None:
    schedule = run.plan.segmentation
    minutes = predicted_minutes(run, folds)
    if not minutes:
        return
    note(
        f"{schedule.configuration} networks ({schedule.planner}), {schedule.epochs} epochs of "
        f"{schedule.iterations_per_epoch} batches a fold on {run.device.type}: about {max(1, round(minutes))} minutes, "
        f"measured on two batches"
    )
    total = len(folds) * schedule.epochs
    with progress("segmentation", total) as bar:

        def report(epoch: SegmentationEpoch) -> None:
            done = folds.index(epoch.fold) * schedule.epochs + epoch.epoch + 1
            left = in_words((total - done) * epoch.seconds / 3600)
            bar.move(
                done,
                f"fold {epoch.fold} epoch {epoch.epoch + 1}, loss {epoch.train_loss:.3f}; {left} left at its pace",
            )

        train_networks(run, folds, report)


def _show(session: Session, record: SegmentedCohort, as_json: bool) -> None:
    count = Counter(row.source for row in record.cases)
    confidence = sum(row.confidence for row in record.cases) / max(1, len(record.cases))
    if as_json:
        content = {"masks": str(session.workspace.segmented), "cases": len(record.cases), "sources": count}
        say_json(json.dumps({**content, "mean_confidence": confidence}, indent=1))
        return
    rows = [[words, str(count[source])] for source, words in _SOURCES.items()]
    show_table(
        "Automatic ROIs (each drawn by the fold that did not see the case)",
        ["ROI", "training cases"],
        rows,
        numbers_from=1,
    )
    for row in record.cases:
        if row.flags:
            note(f"look at {row.case}: {'; '.join(row.flags)}")
    say(f"Mean confidence {confidence:.2f} in {len(record.cases)} of {len(session.training)} training cases")
    if len(record.cases) == len(session.training):
        note("next: autodls train fold all --rois auto")
    else:
        note("when all folds are segmented: autodls train fold all --rois auto")
