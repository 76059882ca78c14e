"""All folds of a training cohort, one after the other or several at once.

On a CPU one network at a time keeps every core busy. On a GPU a small network does not fill the card, so that several
processes share it, a fold each. A fold computes the same numbers in either case.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Queue
from threading import Thread

import torch

from autodls.errors import ArgumentError
from autodls.parallel import map_parallel, no_advance, start_manager
from autodls.preprocessing.store import load_summary
from autodls.records.cohort import Case
from autodls.records.files import sha256_of_bytes
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.training_log import Epoch
from autodls.records.workspace import Workspace
from autodls.training.data import FoldRun, TrainingData, load_training_data
from autodls.training.fold import prepare_torch, train_fold
from autodls.training.weights import start_sha256

MEMORY_SHARE = 0.8  # of the device's memory that the folds together may use
Report = Callable[[int, Epoch], None]


@dataclass(frozen=True)
class _Cohort:
    """What every fold is trained from; it travels to the processes that train them."""

    workspace: Workspace
    cases: tuple[Case, ...]
    plan: Plan
    splits: Splits
    key: str
    sample_keys: Mapping[str, str]

    def load(self) -> TrainingData:
        """The samples, on the device of the plan."""
        return load_training_data(self.cases, self.workspace.sample, training_device(self.plan), self.sample_keys)

    def train(self, index: int, data: TrainingData, report: Report) -> None:
        """Train fold `index`."""
        run = FoldRun(data, self.splits.folds[index], self.plan, self.workspace.fold(index), self.key)
        train_fold(run, partial(report, index))


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
    """Train the folds of indices `folds`, `at_once` in as many processes; `report` is called with fold and epoch.

    Reads the samples of `cases` and nothing else of the dataset. Raises ArgumentError when the plan asks for a GPU
    that is not there, and StaleRecordError for a sample whose key is not that of `sample_keys`, or of when this began.
    """
    prepare_torch(training_device(plan))
    key, found = run_key(workspace, cases, plan, splits), _sample_keys(workspace, cases)
    cohort = _Cohort(workspace, tuple(cases), plan, splits, key, sample_keys or found)
    together = min(len(folds), at_once or folds_at_once(plan))
    if together > 1:
        _train_at_once(cohort, folds, together, report)
        return
    data = cohort.load()
    for index in folds:
        cohort.train(index, data, report)


def folds_at_once(plan: Plan) -> int:
    """How many folds are trained together by default: on a GPU as many as its memory holds, on a CPU one.

    That this fills a card is assumed, not measured.
    """
    if plan.budget.device == "cpu":
        return 1
    return max(1, int(MEMORY_SHARE * plan.budget.memory_gib / plan.budget.predicted_memory_gib))


def _train_at_once(cohort: _Cohort, folds: Sequence[int], together: int, report: Report) -> None:
    with start_manager() as manager:
        epochs: Queue[tuple[int, Epoch] | None] = manager.Queue()
        listener = Thread(target=_pass_on, args=(epochs, report), daemon=True)
        listener.start()
        names = [f"fold {index}" for index in folds]
        try:
            map_parallel(partial(_train_in_process, cohort, epochs), folds, names, together, no_advance)
        finally:
            epochs.put(None)
            listener.join()


def _train_in_process(cohort: _Cohort, epochs: "Queue[tuple[int, Epoch] | None]", index: int) -> None:
    prepare_torch(training_device(cohort.plan))
    cohort.train(index, cohort.load(), lambda fold, epoch: epochs.put((fold, epoch)))


def _pass_on(epochs: "Queue[tuple[int, Epoch] | None]", report: Report) -> None:
    while (done := epochs.get()) is not None:
        report(*done)


def run_key(workspace: Workspace, cases: Sequence[Case], plan: Plan, splits: Splits) -> str:
    """SHA-256 of all that the weights of a fold are derived from: plan, splits, samples, weights to start from.

    Raises WeightsError where the plan names a file to start from that cannot be read.
    """
    found = _sample_keys(workspace, cases)
    keys = [f"{case.id}:{found[case.id]}:{case.label}" for case in sorted(cases, key=lambda case: case.id)]
    start = start_sha256(plan.network.encoder_weights)
    return sha256_of_bytes("\n".join([plan.sha256(), splits.sha256(), *start, *keys]).encode())


def _sample_keys(workspace: Workspace, cases: Sequence[Case]) -> dict[str, str]:
    summaries = {case.id: load_summary(workspace.sample(case.id)) for case in cases}
    return {case: summary[0] if summary else "" for case, summary in summaries.items()}


def training_device(plan: Plan) -> torch.device:
    """The device of the plan; raises ArgumentError when it is a GPU and there is none."""
    if plan.budget.device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError(
            "plan.json: budget.device is cuda, but PyTorch sees no CUDA device here; run 'autodls plan --device cpu', "
            "or repair the driver"
        )
    return torch.device(plan.budget.device)
