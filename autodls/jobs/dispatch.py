"""Folds through a pool of machines: what is ready goes out, what comes back is kept, what is lost is done again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autodls.errors import AutoDLSError
from autodls.jobs.executor import Note, Report
from autodls.jobs.fold_job import FoldJob, fold_job, keep
from autodls.records.training_log import Epoch
from autodls.training.data import FoldRun
from autodls.training.fold import open_fold

MOST_LOSSES = 3  # of one job: what ends three workers ends a fourth


@dataclass(frozen=True)
class Ended:
    """A job that is over: with the files that it made, or `lost`, a clause that says how."""

    job: FoldJob
    files: Mapping[str, bytes] | None = None
    lost: str = ""


class Pool(Protocol):
    """Whoever does jobs."""

    def submit(self, jobs: Sequence[FoldJob]) -> None:
        """Begin `jobs` as there is room for them."""

    def ended(self) -> list[Ended]:
        """The jobs that have ended since it was asked last; waits a moment for one. Raises what a job raised."""

    def epochs(self) -> list[tuple[int, Epoch]]:
        """Fold and epoch of what was trained since it was asked last; some may be wanting."""


@dataclass
class _Fold:
    """A fold with the stages that are still to do, and those that are under way."""

    run: FoldRun
    waiting: list[str]
    begun: list[str] = field(default_factory=list)

    def ready(self) -> list[FoldJob]:
        """The jobs that can begin: encoders at once, each later stage when nothing before it is left."""
        encoders = [stage for stage in self.waiting if stage in self.run.plan.sequences]
        stages = encoders or ([] if self.begun else self.waiting[:1])
        self.waiting = [stage for stage in self.waiting if stage not in stages]
        self.begun += stages
        return [fold_job(self.run, stage) for stage in stages]


def dispatch(runs: Sequence[FoldRun], pool: Pool, report: Report, note: Note) -> None:
    """Train what is missing of `runs`, and score them; `note` is told of what is lost.

    Raises AutoDLSError where a job is lost `MOST_LOSSES` times.
    """
    folds = {run.fold.index: _Fold(run, list(open_fold(run))) for run in runs}
    losses: Counter[str] = Counter()
    _submit(pool, [job for fold in folds.values() for job in fold.ready()])
    while any(fold.begun for fold in folds.values()):
        ended = pool.ended()
        for epoch in pool.epochs():
            report(*epoch)
        ready: list[FoldJob] = []
        for one in ended:
            fold, stage = folds[one.job.run.fold.index], one.job.stage
            if one.files is None:
                losses[one.job.name] += 1
                ready.append(_again(one, losses[one.job.name], note))
                continue
            keep(fold.run, stage, one.files)
            fold.begun.remove(stage)
            ready += fold.ready()
        _submit(pool, ready)


def _submit(pool: Pool, jobs: Sequence[FoldJob]) -> None:
    if jobs:
        pool.submit(jobs)


def _again(lost: Ended, times: int, note: Note) -> FoldJob:
    """The job that was lost, to be done again."""
    if times >= MOST_LOSSES:
        raise AutoDLSError(
            f"{lost.job.name}: lost {times} times, the last time as {lost.lost}; look at the memory and the logs of "
            "the machines, then run the same command again: what is done is kept"
        )
    note(f"warning: {lost.job.name} was lost: {lost.lost}; it is done again")
    return lost.job
