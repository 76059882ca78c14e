"""All folds of a training cohort, one after the other: one network at a time keeps every core, or the GPU, busy."""

from collections.abc import Callable, Sequence

import torch

from autodls.errors import ArgumentError
from autodls.preprocessing.store import load_summary
from autodls.records.cohort import Case
from autodls.records.files import sha256_of_bytes
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.training.data import FoldRun, load_training_data
from autodls.training.fit_state import Epoch
from autodls.training.fold import prepare_torch, train_fold
from autodls.training.weights import start_sha256

Report = Callable[[int, Epoch], None]


def train_folds(
    workspace: Workspace, cases: Sequence[Case], plan: Plan, splits: Splits, folds: Sequence[int], report: Report
) -> None:
    """Train the folds of indices `folds`; `report` is called with the fold and each epoch.

    Reads the samples of `cases` and nothing else of the dataset. Raises ArgumentError when the plan asks for a GPU
    that is not there.
    """
    device = training_device(plan)
    prepare_torch(device)
    data = load_training_data(cases, workspace.sample, device)
    key = run_key(workspace, cases, plan, splits)
    for index in folds:
        run = FoldRun(data, splits.folds[index], plan, workspace.fold(index), key)
        train_fold(run, lambda epoch, index=index: report(index, epoch))  # type: ignore[misc]


def run_key(workspace: Workspace, cases: Sequence[Case], plan: Plan, splits: Splits) -> str:
    """SHA-256 of all that the weights of a fold are derived from: plan, splits, samples, weights to start from.

    Raises WeightsError where the plan names a file to start from that cannot be read.
    """
    keys = []
    for case in sorted(cases, key=lambda case: case.id):
        summary = load_summary(workspace.sample(case.id))
        keys.append(f"{case.id}:{summary[0] if summary else ''}:{case.label}")
    start = start_sha256(plan.network.encoder_weights)
    return sha256_of_bytes("\n".join([plan.sha256(), splits.sha256(), *start, *keys]).encode())


def training_device(plan: Plan) -> torch.device:
    """The device of the plan; raises ArgumentError when it is a GPU and there is none."""
    if plan.budget.device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError(
            "plan.json: budget.device is cuda, but PyTorch sees no CUDA device here; run 'autodls plan --device cpu', "
            "or repair the driver"
        )
    return torch.device(plan.budget.device)
