"""`segment`: nnU-Net on our splits, and the ROI of every case by the fold that did not see it."""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.jobs.executor import LOCAL, Executor, require_executor
from autodls.planning.segmentation_time import in_words, segmentation_time
from autodls.records.automatic_roi import MaskSource
from autodls.records.fingerprint import Fingerprint
from autodls.records.lock import locked, locked_fold, shared
from autodls.records.plan import Plan
from autodls.records.segmentation import SegmentationEpoch, SegmentedCohort
from autodls.records.workspace import Workspace
from autodls.segmentation.environment import require_nnunet
from autodls.segmentation.out_of_fold import draw_masks
from autodls.segmentation.run import SegmentationRun, is_trained, throw_away
from autodls.segmentation.stage import predicted_minutes, prepare_cohort
from autodls.stages.provenance import note_run
from autodls.stages.session import Session, chosen_folds, planned, planned_workspace, require_drawable
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Segmented:
    """Automatic ROIs out of fold: how each came about, of how many training cases, and where they lie."""

    workspace: Workspace
    record: SegmentedCohort
    training: int

    @property
    def complete(self) -> bool:
        """Whether every training case has one."""
        return len(self.record.cases) == self.training

    @property
    def sources(self) -> "Counter[MaskSource]":
        """How many of them came about in which way."""
        return Counter(row.source for row in self.record.cases)

    @property
    def mean_confidence(self) -> float:
        """Of all that are drawn, 0..1."""
        return sum(row.confidence for row in self.record.cases) / max(1, len(self.record.cases))

    @property
    def summary(self) -> dict[str, object]:
        """Where they lie, how many there are, and how they came about."""
        content = {"masks": str(self.workspace.segmented), "cases": len(self.record.cases), "sources": self.sources}
        return {**content, "mean_confidence": self.mean_confidence}


def segment(
    dataset: Path,
    workspace: Path | None = None,
    fold: str | int = "all",
    *,
    restart: bool = False,
    workers: int = 1,
    executor: Executor = LOCAL,
    watch: Watch = SILENT,
) -> Segmented:
    """Train nnU-Net on one fold or "all", and draw the cases that each fold did not see; what is trained is kept.

    `executor` says who trains: this machine, a Ray or a SLURM cluster. Cases are prepared and drawn here, without a GPU
    on the CPU. Raises SegmentationError where nnU-Net is not installed, StaleRecordError where plan and dataset do not
    fit, ArgumentError where lesions are told apart by labels, which are not drawn.
    """
    require_nnunet()
    require_executor(executor)
    session = Session.open(dataset, workspace)
    which = str(fold)
    with _held(planned_workspace(dataset, workspace), which):
        plan = session.plan()
        require_drawable(plan)
        splits = session.splits(plan)
        folds = chosen_folds(which, len(splits.folds))
        fingerprint = Fingerprint.load(session.workspace.fingerprint, "run 'autodls plan'")
        session.require_same_inputs(fingerprint.inputs_sha256, workers)
        labels, device = session.cohort.description.roi_labels, _device(plan, executor)
        run = SegmentationRun(session.workspace, session.training, labels, plan, splits, device, workers)
        if restart:
            throw_away(run, folds)
        if waiting := sum(not is_trained(run, index) for index in folds):
            watch.note(f"{waiting} folds of nnU-Net: {segmentation_time(plan, waiting)}")
        waits = partial(watch.note, "another process is preparing or drawing cases; waiting for it")
        with shared(session.workspace, waits), watch.progress("preparing", 2 * len(run.cases)) as advance:
            prepare_cohort(run, advance)
        _train(run, folds, executor, watch)
        undrawn = sum(len(splits.folds[index].validation) for index in folds)
        place = session.workspace
        with shared(place, waits):
            with watch.progress("drawing", undrawn) as advance:
                record = draw_masks(run, folds, advance)
            made_from = [place.fingerprint, place.plan, place.splits]
            note_run(watch.command, place, "segment", plan.training.seed, made_from, [place.segmented])
    return Segmented(place, record, len(session.training))


def _held(workspace: Workspace, which: str) -> AbstractContextManager[None]:
    """The workspace, or of it the one fold of nnU-Net, so that others can be trained beside it."""
    if not which.isdecimal() or int(which) >= planned(workspace).training.folds:
        return locked(workspace)
    return locked_fold(workspace, workspace.segmentation_lock(int(which)), int(which))


def _device(plan: Plan, executor: Executor) -> "torch.device":
    """Where this machine works: on a GPU where the plan has one, which it may lack where a cluster trains."""
    import torch

    from autodls.training.data import training_device

    if executor.name != "local" and not torch.cuda.is_available():
        return torch.device("cpu")
    return training_device(plan)


def _train(run: SegmentationRun, folds: Sequence[int], executor: Executor, watch: Watch) -> None:
    from autodls.jobs.segment import train_networks_on

    schedule = run.plan.segmentation
    if all(is_trained(run, index) for index in folds):
        return
    measured = ""
    if executor.name == "local":
        minutes = predicted_minutes(run, folds)
        measured = f" on {run.device.type}: about {max(1, round(minutes))} minutes, measured on two batches"
    watch.note(
        f"{schedule.configuration} networks ({schedule.planner}), {schedule.epochs} epochs of "
        f"{schedule.iterations_per_epoch} batches a fold{measured}"
    )
    done = dict.fromkeys(folds, 0)
    total = len(folds) * schedule.epochs
    with watch.progress("segmentation", total) as bar:

        def report(epoch: SegmentationEpoch) -> None:
            done[epoch.fold] = epoch.epoch + 1
            left = in_words((total - sum(done.values())) * epoch.seconds / 3600)
            bar.move(
                sum(done.values()),
                f"fold {epoch.fold} epoch {epoch.epoch + 1}, loss {epoch.train_loss:.3f}; {left} left at its pace",
            )

        train_networks_on(executor, run, folds, report, note=watch.note)
