"""All folds of a training cohort, one after the other or several at once.

On a CPU one network at a time keeps every core busy; several folds can be trained in as many processes. A GPU is filled
by several networks in one process, which share the samples; several GPUs by a process each, with some of the folds. A
fold computes the same numbers in every case.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Queue
from threading import Thread

import torch

from autodls.models.device import prepare_torch
from autodls.parallel import map_parallel, no_advance, start_manager
from autodls.planning.memory import GIB, PROCESS_GIB, TrainingLoad, step_parts_gib
from autodls.records.case import Case
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.training_log import Epoch
from autodls.records.workspace import Workspace
from autodls.training.data import FoldRun, TrainingData, load_training_data, training_device
from autodls.training.fold import train_fold, train_together
from autodls.training.keys import StageKeys, stage_keys, stored_sample_keys
from autodls.training.weights import start_sha256

MEMORY_SHARE = 0.8  # of the device's memory that the networks together may use
MOST_AT_ONCE = 5  # on one GPU: on the one that was measured, five networks were as quick as three, a network
Report = Callable[[int, Epoch], None]


@dataclass(frozen=True)
class _Share:
    """Folds that one process trains on one device; `at_once` networks together where it is a GPU."""

    device: str
    folds: tuple[int, ...]
    at_once: int | None


@dataclass(frozen=True)
class TrainingCohort:
    """What every fold is trained from; it travels to the processes that train them."""

    workspace: Workspace
    cases: tuple[Case, ...]
    plan: Plan
    splits: Splits
    keys: tuple[StageKeys, ...]
    start_sha256: str | None
    sample_keys: Mapping[str, str]

    def train(self, share: _Share, report: Report) -> None:
        """Train the folds of `share`."""
        device = torch.device(share.device)
        prepare_torch(device)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        data = self.load(device)
        folds = [(self.run(index, data), partial(report, index)) for index in share.folds]
        if device.type == "cuda":
            train_together(folds, share.at_once or networks_at_once(self.plan, data.pixels.nbytes / GIB))
            return
        for fold in folds:
            train_fold(*fold)

    def load(self, device: torch.device) -> TrainingData:
        """The samples on `device`; raises StaleRecordError where one was exchanged."""
        guided = self.plan.network.roi_guided
        return load_training_data(self.cases, self.workspace.sample, device, self.sample_keys, roi_guided=guided)

    def run(self, index: int, data: TrainingData) -> FoldRun:
        """What training fold `index` in its folder needs."""
        fold, folder = self.splits.folds[index], self.workspace.fold(index)
        features = self.workspace.features
        return FoldRun(data, fold, self.plan, folder, self.keys[index], self.start_sha256, features)


def train_folds(
    workspace: Workspace,
    cases: Sequence[Case],
    plan: Plan,
    splits: Splits,
    folds: Sequence[int],
    report: Report,
    at_once: int | None = None,
    sample_keys: Mapping[str, str] | None = None,
) -> None:
    """Train the folds of indices `folds`; `report` is called with fold and epoch.

    `at_once` is how many networks share a GPU, or how many folds a CPU. Reads the samples of `cases` and nothing else
    of the dataset. Raises ArgumentError when the plan asks for a GPU that is not there, StaleRecordError for a
    sample whose key is not that of `sample_keys`, or of when this began, and WeightsError where the plan names a file
    to start from that cannot be read, or that was exchanged since.
    """
    device = training_device(plan)
    cohort = training_cohort(workspace, cases, plan, splits, sample_keys)
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    shares = shares_of(folds, gpus, at_once)
    if len(shares) > 1:
        _train_in_processes(cohort, shares, report)
        return
    for share in shares:
        cohort.train(share, report)


def training_cohort(
    workspace: Workspace,
    cases: Sequence[Case],
    plan: Plan,
    splits: Splits,
    sample_keys: Mapping[str, str] | None = None,
) -> TrainingCohort:
    """What every fold is trained from; raises WeightsError where the plan names a file that cannot be read."""
    start, found = start_sha256(plan.network.encoder_weights), stored_sample_keys(workspace, cases)
    keys = stage_keys(found, cases, plan, splits, start)
    return TrainingCohort(workspace, tuple(cases), plan, splits, keys, start, sample_keys or found)


def shares_of(folds: Sequence[int], gpus: int, at_once: int | None) -> list[_Share]:
    """Which process trains what: one for each GPU, on a CPU one for each of the `at_once` folds, or one for all.

    >>> [share.folds for share in shares_of(range(5), gpus=2, at_once=None)]
    [(0, 2, 4), (1, 3)]
    """
    parts = min(len(folds), gpus or at_once or 1)
    dealt = [tuple(folds[part::parts]) for part in range(parts)]
    return [_Share(f"cuda:{part}" if gpus else "cpu", dealt[part], at_once) for part in range(parts)]


def networks_at_once(plan: Plan, cohort_gib: float) -> int:
    """How many networks are trained together by default: on a GPU as many as its memory holds, on a CPU one.

    All share the samples, `cohort_gib`, and the libraries.
    """
    if plan.budget.device == "cpu":
        return 1
    training = plan.training
    size_px = plan.preprocessing.input_size_px
    load = TrainingLoad(
        plan.network.encoder,
        size_px,
        training.batch_size,
        training.precision,
        "cuda",
        roi_guided=plan.network.roi_guided,
        optimizer=training.optimizer,
    )
    free_gib = MEMORY_SHARE * plan.budget.memory_gib - sum(PROCESS_GIB["cuda"].values()) - cohort_gib
    return max(1, min(MOST_AT_ONCE, int(free_gib / sum(step_parts_gib(load).values()))))


def _train_in_processes(cohort: TrainingCohort, shares: Sequence[_Share], report: Report) -> None:
    with start_manager() as manager:
        epochs: Queue[tuple[int, Epoch] | None] = manager.Queue()
        listener = Thread(target=_pass_on, args=(epochs, report), daemon=True)
        listener.start()
        names = [f"folds {share.folds}" for share in shares]
        try:
            map_parallel(partial(_train_in_process, cohort, epochs), shares, names, len(shares), no_advance)
        finally:
            epochs.put(None)
            listener.join()


def _train_in_process(cohort: TrainingCohort, epochs: "Queue[tuple[int, Epoch] | None]", share: _Share) -> None:
    cohort.train(share, lambda fold, epoch: epochs.put((fold, epoch)))


def _pass_on(epochs: "Queue[tuple[int, Epoch] | None]", report: Report) -> None:
    while (done := epochs.get()) is not None:
        report(*done)
