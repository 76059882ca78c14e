"""The clusters that do jobs, each spoken with by a process of its own."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from autodls.jobs.apart import Messenger, work_apart
from autodls.jobs.dispatch import Pool, dispatch
from autodls.jobs.executor import Executor, Note, Report, require_executor
from autodls.jobs.job import Inputs, Work


class Begin(Protocol):
    """Folds with their jobs, and what these read: to be `sent`, or such as lies in the workspace."""

    def __call__(self, *, sent: bool) -> tuple[Sequence[Work], Inputs]:
        """Called where the cluster is spoken with, so that nothing large travels there."""


@dataclass(frozen=True)
class Undone:
    """What a cluster is to do, on the `device` "cpu" or "cuda", of which `at_once` jobs share one.

    In `folder` lie the folders of jobs where all machines see it.
    """

    begin: Begin
    folder: Path
    device: str
    at_once: int = 1


def do_on(executor: Executor, undone: Undone, report: Report, note: Note) -> None:
    """Do it on a cluster; `report` is called with fold and epoch, and `note` with what a person should know.

    Raises ArgumentError where what `executor` needs is not there, and AutoDLSError where its cluster is gone.
    """
    require_executor(executor)
    gone = (
        f"--executor {executor.name}: the process that speaks with the cluster was ended, as when the cluster is gone; "
        "what is done is kept: run the same command again, or with --executor local"
    )
    work_apart(partial(_do, undone, executor, torch.get_num_threads()), report, note, gone)


def _do(undone: Undone, executor: Executor, threads: int, told: Messenger) -> None:
    torch.set_num_threads(threads)
    folds, inputs = undone.begin(sent=executor.name == "ray")
    with _pool(executor, undone, inputs) as pool:
        dispatch(folds, pool, told.report, told.note)


def _pool(executor: Executor, undone: Undone, inputs: Inputs) -> AbstractContextManager[Pool]:
    if executor.name == "ray":
        from autodls.jobs.ray_pool import ray_pool

        return ray_pool(executor.ray_address, inputs, undone.device, undone.at_once)
    from autodls.jobs.slurm_pool import slurm_pool

    return slurm_pool(inputs, undone.folder, undone.device, executor.slurm, executor.cluster)
