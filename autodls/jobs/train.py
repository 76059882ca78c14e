"""Folds of a training cohort, by whoever is asked: this machine, a Ray cluster, a SLURM cluster."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch

from autodls.jobs.clusters import Undone, do_on
from autodls.jobs.executor import Executor, Note, Report
from autodls.jobs.fold_job import FoldWork, SentInputs, StoredInputs
from autodls.jobs.job import Inputs
from autodls.records.case import Case
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.training.cohort import TrainingCohort, train_folds, training_cohort


def train_on(
    executor: Executor,
    workspace: Workspace,
    cases: Sequence[Case],
    plan: Plan,
    splits: Splits,
    folds: Sequence[int],
    report: Report,
    at_once: int | None = None,
    sample_keys: Mapping[str, str] | None = None,
    *,
    note: Note,
) -> None:
    """Train the folds of indices `folds` as `train_folds` does, and to the same bytes, by `executor`.

    `note` is told of workers that were lost. With Ray `at_once` is how many jobs share a GPU; with SLURM each has its
    own. Raises as `train_folds`; ArgumentError where what the executor needs is not there; AutoDLSError where its
    cluster is gone, after which the same command continues with any executor.
    """
    if executor.name == "local":
        train_folds(workspace, cases, plan, splits, folds, report, at_once, sample_keys)
        return
    cohort = training_cohort(workspace, cases, plan, splits, sample_keys)
    undone = Undone(partial(_begin, cohort, tuple(folds)), workspace.jobs, plan.budget.device, at_once or 1)
    do_on(executor, undone, report, note)


def _begin(cohort: TrainingCohort, folds: Sequence[int], *, sent: bool) -> tuple[list[FoldWork], Inputs]:
    data = cohort.load(torch.device("cpu"))
    runs = [cohort.run(index, data) for index in folds]
    return [FoldWork.of(run) for run in runs], SentInputs.of(runs[0]) if sent else StoredInputs(cohort)
