"""Folds of a training cohort, by whoever is asked: this machine, a Ray cluster, a SLURM cluster."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch

from autodls.jobs.apart import Messenger, work_apart
from autodls.jobs.dispatch import dispatch
from autodls.jobs.executor import Executor, Note, Report, require_executor
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
    require_executor(executor)
    cohort = training_cohort(workspace, cases, plan, splits, sample_keys)
    threads = torch.get_num_threads()
    if executor.name == "slurm":
        work: partial[None] = partial(_by_slurm, cohort, tuple(folds), executor, threads)
    else:
        work = partial(_by_ray, cohort, tuple(folds), executor.ray_address, at_once or 1, threads)
    gone = (
        f"--executor {executor.name}: the process that speaks with the cluster was ended, as when the cluster is gone; "
        "what is done is kept: run the same command again, or with --executor local"
    )
    work_apart(work, report, note, gone)


def _by_ray(
    cohort: TrainingCohort, folds: Sequence[int], address: str, at_once: int, threads: int, told: Messenger
) -> None:
    from autodls.jobs.ray_pool import ray_pool

    torch.set_num_threads(threads)
    data = cohort.load(torch.device("cpu"))
    runs = [cohort.run(index, data) for index in folds]
    with ray_pool(address, runs[0], at_once) as pool:
        dispatch(runs, pool, told.report, told.note)


def _by_slurm(cohort: TrainingCohort, folds: Sequence[int], executor: Executor, threads: int, told: Messenger) -> None:
    from autodls.jobs.slurm_pool import slurm_pool

    torch.set_num_threads(threads)
    data = cohort.load(torch.device("cpu"))
    runs = [cohort.run(index, data) for index in folds]
    with slurm_pool(cohort, executor.slurm, executor.cluster) as pool:
        dispatch(runs, pool, told.report, told.note)
