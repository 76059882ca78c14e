"""Jobs on a SLURM cluster by submitit, whose machines see the workspace under the same path.

What can begin together is one job array. A job has a folder of its own in the workspace: what is ended by its time
limit is queued again by submitit and continues there.
"""

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import submitit
import torch
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.helpers import DelayedSubmission

from autodls.errors import ArgumentError, AutoDLSError
from autodls.jobs.dispatch import Ended
from autodls.jobs.job import Inputs, Job
from autodls.jobs.slurm_options import NUMBERS
from autodls.machine import tune_process

_WAIT_S = 0.5
_LIMIT_MINUTES = 24 * 60  # of one job, where nobody says


@dataclass(frozen=True)
class SharedJob:
    """A job that reads its inputs from the workspace, and leaves what it makes in `folder`."""

    inputs: Inputs
    job: Job
    folder: Path

    def __call__(self) -> AutoDLSError | None:
        """Do it; an error that a person can act on is returned, as submitit keeps of others only their text."""
        tune_process()
        try:
            self.job.do(self.inputs.received(), self.folder, lambda _epoch: None)
        except AutoDLSError as failure:
            return failure
        return None

    def checkpoint(self) -> DelayedSubmission:
        """What submitit queues when the time is over: the same again, which continues."""
        return DelayedSubmission(self)


@dataclass
class SlurmPool:
    """A queue of SLURM; `folder` holds the folders of the jobs."""

    inputs: Inputs
    executor: Any
    folder: Path
    _begun: list[tuple[SharedJob, Any]] = field(default_factory=list)
    _told: Counter[str] = field(default_factory=Counter)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue `jobs` as one array."""
        shared = [SharedJob(self.inputs, job, self.folder / job.place) for job in jobs]
        with self.executor.batch():
            queued = [self.executor.submit(one) for one in shared]
        self._begun += zip(shared, queued, strict=True)

    def ended(self) -> list[Ended]:
        """The jobs that have ended."""
        time.sleep(_WAIT_S)
        done = [pair for pair in self._begun if pair[1].done()]
        self._begun = [pair for pair in self._begun if pair not in done]
        return [_end(shared, queued) for shared, queued in done]

    def epochs(self) -> list[tuple[int, Any]]:
        """What their logs say that is new."""
        new = []
        for shared, _ in self._begun:
            job = shared.job
            epochs = job.epochs(shared.folder)[self._told[job.name] :]
            self._told[job.name] += len(epochs)
            new += [(job.index, epoch) for epoch in epochs]
        return new

    def cancel(self) -> None:
        """Take what has not ended out of the queue."""
        for _, queued in self._begun:
            queued.cancel()


@contextmanager
def slurm_pool(
    inputs: Inputs, folder: Path, device: str, options: Mapping[str, str], cluster: str
) -> Iterator[SlurmPool]:
    """Queue jobs with submitit in `folder`, which is removed at the end; `options` are sbatch's, by name.

    `device` is "cpu" or "cuda". Raises ArgumentError for an option that submitit does not know.
    """
    pool = SlurmPool(inputs, new_executor(folder, device, options, cluster), folder)
    try:
        yield pool
    except BaseException:
        pool.cancel()
        shutil.rmtree(folder / "submitit", ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def new_executor(folder: Path, device: str, options: Mapping[str, str], cluster: str) -> Any:
    """What submits: a job has as many cores as it has threads, and one GPU where the plan has it."""
    gpus = 1 if device == "cuda" else 0
    executor = submitit.AutoExecutor(folder / "submitit", cluster=cluster)
    executor.update_parameters(
        name="autodls",
        timeout_min=_LIMIT_MINUTES,
        cpus_per_task=torch.get_num_threads(),
        **({"gpus_per_node": gpus} if gpus else {}),
    )
    try:
        given = {name: int(value) if name in NUMBERS else value for name, value in options.items()}
        executor.update_parameters(**{f"slurm_{name}": value for name, value in given.items()})
    except (NameError, TypeError, ValueError) as failure:
        raise ArgumentError(f"--slurm: {str(failure).splitlines()[0]}; see submitit's parameters of SLURM") from None
    return executor


def _end(shared: SharedJob, queued: Any) -> Ended:
    try:
        failure = queued.result()
    except FailedJobError as raised:
        last = str(raised).strip().splitlines()[-1]
        raise AutoDLSError(f"{shared.job.name}: failed in SLURM's job {queued.job_id}: {last}") from None
    except UncompletedJobError:
        return Ended(shared.job, lost=f"SLURM's job {queued.job_id} ended as {queued.state}, without a result")
    if failure is not None:
        raise failure
    return Ended(shared.job, shared.job.made(shared.folder))
