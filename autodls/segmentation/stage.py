"""The nnU-Net stage up to its networks: prepare the training cohort, then train the folds.

Each step continues where it stopped. Nothing here sees a case outside the training cohort.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from autodls.errors import StaleRecordError
from autodls.parallel import Advance, map_parallel
from autodls.records.files import write_text
from autodls.records.segmentation import PreparedKey, SegmentationEpoch, epochs_of, plans_sha256, prepared_key
from autodls.records.segmentation_folders import SegmentationFolder
from autodls.segmentation.environment import nnunet
from autodls.segmentation.framing import Framing
from autodls.segmentation.run import RESTART, SegmentationRun, is_trained
from autodls.segmentation.training_files import FilesTask, make_training_files

Report = Callable[[SegmentationEpoch], None]


def prepare_cohort(run: SegmentationRun, advance: Advance) -> None:
    """Files on one grid, nnU-Net's plans, preprocessed cases; `advance` is called twice for every case.

    Raises DatasetError for a case that cannot be used, and StaleRecordError rather than lose weights of another plan.
    """
    trained = [fold.index for fold in run.splits.folds if is_trained(run, fold.index)]
    folder, key = run.workspace.segmentation, PreparedKey(prepared=prepared_key(run.plan))
    before = PreparedKey.of(folder)
    if before.prepared != key.prepared:
        for made in (folder.raw, folder.preprocessed, folder.results, folder.segmenter.root):
            shutil.rmtree(made, ignore_errors=True)
        key.save(folder.key)
        before = key
    names = [case.id for case in run.cases]
    tasks = [FilesTask(case, Framing.of(run.plan), run.roi_labels, folder) for case in run.cases]
    found = map_parallel(make_training_files, tasks, names, run.processes, advance)
    files = dict(zip(names, found, strict=True))
    with nnunet(folder):
        from autodls.segmentation.planning import make_plans, write_splits
        from autodls.segmentation.prepared import PrepareTask, prepare

        if not before.plans or plans_sha256(folder.segmenter) != before.plans:
            make_plans(folder, run.plan, files, run.processes)
            _require_same_plans(folder, before, trained)
            key.model_copy(update={"plans": plans_sha256(folder.segmenter)}).save(folder.key)
        write_splits(folder, run.splits)
        configuration = run.plan.segmentation.configuration
        todo = [PrepareTask(case, of_case, folder, configuration) for case, of_case in files.items()]
        map_parallel(prepare, todo, names, run.processes, advance)


def _require_same_plans(folder: SegmentationFolder, before: PreparedKey, trained: Sequence[int]) -> None:
    """Raise StaleRecordError where folds were `trained` by plans that nnU-Net no longer makes."""
    for name, found in plans_sha256(folder.segmenter).items():
        if trained and before.plans.get(name, found) != found:
            raise StaleRecordError(
                f"{folder.segmenter.root / name}: nnU-Net makes another one now ({found[:8]}, fold {trained[0]} was "
                f"trained by {before.plans[name][:8]}); {RESTART}"
            )


def predicted_minutes(run: SegmentationRun, folds: Sequence[int]) -> float:
    """Minutes that training `folds` will take, from two batches of the first that is not trained.

    Epochs that a checkpoint holds are done. Raises TrainingError for a checkpoint that is not nnU-Net's.
    """
    waiting = [index for index in folds if not is_trained(run, index)]
    if not waiting:
        return 0.0
    with nnunet(run.workspace.segmentation, run.augmenters):
        from autodls.segmentation.trainer import epochs_done, seconds_per_iteration

        epochs = sum(run.plan.segmentation.epochs - epochs_done(run, index) for index in waiting)
        seconds = seconds_per_iteration(run, waiting[0])
    return seconds * run.plan.segmentation.iterations_per_epoch * epochs / 60


def train_networks(run: SegmentationRun, folds: Sequence[int], report: Report) -> None:
    """Train what is missing of `folds`; `report` is called after every epoch.

    Raises StaleRecordError for weights of another plan, TrainingError for a checkpoint that is not nnU-Net's.
    """
    for index in folds:
        if is_trained(run, index):
            continue
        log = run.workspace.segmentation.epochs(index)

        def note(epoch: SegmentationEpoch, log: Path = log) -> None:
            _add(log, epoch)
            report(epoch)

        with nnunet(run.workspace.segmentation, run.augmenters):
            from autodls.segmentation.trainer import train_fold

            train_fold(run, index, note)


def _add(log: Path, epoch: SegmentationEpoch) -> None:
    """Append a line to the log of a fold, in the place of what an interrupted run wrote from there on."""
    before = [one for one in epochs_of(log) if one.epoch < epoch.epoch]
    write_text(log, "".join(f"{one.model_dump_json()}\n" for one in (*before, epoch)))
