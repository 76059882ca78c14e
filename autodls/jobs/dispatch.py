"""Folds through a pool of machines: what is ready goes out, what comes back is kept, what is lost is done again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from autodls.errors import AutoDLSError
from autodls.jobs.executor import Note, Report
from autodls.jobs.job import Job, Work

MOST_LOSSES = 3  # of one job: what ends three workers ends a fourth


@dataclass(frozen=True)
class Ended:
    """A job that is over: with the files that it made, or `lost`, a clause that says how."""

    job: Job
    files: Mapping[str, bytes] | None = None
    lost: str = ""


class Pool(Protocol):
    """Whoever does jobs."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Begin `jobs` as there is room for them."""

    def ended(self) -> list[Ended]:
        """The jobs that have ended since it was asked last; waits a moment for one. Raises what a job raised."""

    def epochs(self) -> list[tuple[int, Any]]:
        """Fold and epoch of what was trained since it was asked last; some may be wanting."""


def dispatch(folds: Sequence[Work], pool: Pool, report: Report, note: Note) -> None:
    """Do what is missing of `folds`; `note` is told of what is lost.

    Raises AutoDLSError where a job is lost `MOST_LOSSES` times.
    """
    begun: dict[str, Work] = {}
    losses: Counter[str] = Counter()
    _begin(folds, begun, pool, [])
    while begun:
        ended = pool.ended()
        for epoch in pool.epochs():
            report(*epoch)
        lost = [one for one in ended if one.files is None]
        losses.update(one.job.name for one in lost)
        again = [_again(one, losses[one.job.name], note) for one in lost]
        done = [(begun.pop(one.job.name), one.job, one.files) for one in ended if one.files is not None]
        for fold, job, files in done:
            fold.keep(job, files)
        _begin([fold for fold, _, _ in done], begun, pool, again)


def _begin(folds: Sequence[Work], begun: dict[str, Work], pool: Pool, again: Sequence[Job]) -> None:
    """Submit what of `folds` can begin, and what is done `again`; `begun` says whose each job is."""
    jobs = list(again)
    for fold in folds:
        ready = fold.ready()
        begun.update({job.name: fold for job in ready})
        jobs += ready
    if jobs:
        pool.submit(jobs)


def _again(lost: Ended, times: int, note: Note) -> Job:
    """The job that was lost, to be done again."""
    if times >= MOST_LOSSES:
        raise AutoDLSError(
            f"{lost.job.name}: lost {times} times, the last time as {lost.lost}; look at the memory and the logs of "
            "the machines, then run the same command again: what is done is kept"
        )
    note(f"warning: {lost.job.name} was lost: {lost.lost}; it is done again")
    return lost.job
