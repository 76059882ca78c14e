"""Folds of the comparison as jobs: each is a function of what the fold may know, by whoever is asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from autodls.candidates.fold import FoldTask, compare_fold
from autodls.candidates.learners import Learner
from autodls.errors import AutoDLSError, InputError
from autodls.jobs.clusters import Undone, do_on
from autodls.jobs.executor import Executor, Note
from autodls.jobs.job import Inputs
from autodls.parallel import map_parallel
from autodls.records.comparison import FoldComparison
from autodls.records.files import write_bytes

_FILE = "compared.json"
_AGAIN = "run 'autodls compare' again"

PathOf = Callable[[int], Path]


@dataclass(frozen=True)
class SharedLearners:
    """What all folds learn from; it travels once."""

    of: Mapping[str, Learner]

    def received(self) -> Mapping[str, Learner]:
        """The learners."""
        return self.of


@dataclass(frozen=True)
class CompareJob:
    """One fold of the comparison; see `Job`. `task` has no learners: whoever does the job has them."""

    task: FoldTask

    @property
    def index(self) -> int:
        """That of its fold."""
        return self.task.index

    @property
    def name(self) -> str:
        """How a person is told of it."""
        return f"comparison of fold {self.index}"

    @property
    def place(self) -> str:
        """The name of its folder among those of other jobs."""
        return f"compare-{self.index}"

    def do(self, inputs: Mapping[str, Learner], folder: Path, report: Callable[[str], None]) -> dict[str, bytes]:
        """Compare the candidates in the fold; see `Job.do`."""
        compare_fold(replace(self.task, learners=inputs)).sealed().save(folder / _FILE)
        report(f"fold {self.index}")
        return self.made(folder)

    def made(self, folder: Path) -> dict[str, bytes]:
        """What it has made in `folder`."""
        path = folder / _FILE
        return {_FILE: path.read_bytes()} if path.is_file() else {}

    def epochs(self, folder: Path) -> list[str]:
        """The fold, where it is done."""
        return [f"fold {self.index}"] if (folder / _FILE).is_file() else []


@dataclass
class CompareWork:
    """Folds that are to be compared, all at once; `path_of` says where each is kept."""

    waiting: Sequence[FoldTask]
    path_of: PathOf
    begun: set[int] = field(default_factory=set)

    def ready(self) -> list[CompareJob]:
        """All of them, when it is asked first."""
        tasks, self.waiting = self.waiting, ()
        return [CompareJob(replace(task, learners={})) for task in tasks]

    def keep(self, job: CompareJob, files: Mapping[str, bytes]) -> None:
        """Write the comparison of a fold to its place; raises AutoDLSError where it did not come back whole."""
        path = self.path_of(job.index)
        write_bytes(path, files.get(_FILE, b""))
        if kept(job.task, path) is None:
            path.unlink()
            raise AutoDLSError(f"{job.name}: did not come back whole; {_AGAIN}: what is done is kept")


def compare_on(
    executor: Executor,
    tasks: Sequence[FoldTask],
    path_of: PathOf,
    jobs: Path,
    advance: Callable[[str], None],
    *,
    workers: int,
    note: Note,
) -> list[FoldComparison]:
    """What each fold says of every candidate; what lies at `path_of` a fold already is kept, where it is of its task.

    Of machines that see all folders under the same path `jobs` is where jobs have theirs; here `workers` processes
    work. Every executor gives the same bytes. Raises ArgumentError where what `executor` needs is not there, and
    AutoDLSError where its cluster is gone, after which the same command continues with any executor.
    """
    names = {task.index: f"fold {task.index}" for task in tasks}
    waiting = [task for task in tasks if kept(task, path_of(task.index)) is None]
    told = {names[task.index] for task in tasks if task not in waiting}
    for name in told:
        advance(name)
    if executor.name == "local":
        work = [(task, path_of(task.index)) for task in waiting]
        map_parallel(_compared, work, [names[task.index] for task in waiting], workers, advance)
    elif waiting:
        undone = Undone(partial(_begin, waiting, path_of), jobs, "cpu")
        do_on(executor, undone, lambda _fold, name: _tell(name, told, advance), note)
        for name in names.values():
            _tell(name, told, advance)
    return [FoldComparison.load(path_of(task.index), _AGAIN) for task in tasks]


def kept(task: FoldTask, path: Path) -> FoldComparison | None:
    """The comparison that lies at `path`, where it is of this task and as it was written."""
    if not path.is_file():
        return None
    try:
        found = FoldComparison.load(path, _AGAIN)
    except InputError:
        return None
    return found if found.key == task.key and found.is_sealed else None


def _tell(name: str, told: set[str], advance: Callable[[str], None]) -> None:
    if name not in told:
        told.add(name)
        advance(name)


def _compared(work: tuple[FoldTask, Path]) -> None:
    task, path = work
    compare_fold(task).sealed().save(path)


def _begin(tasks: Sequence[FoldTask], path_of: PathOf, *, sent: bool) -> tuple[list[CompareWork], Inputs]:
    del sent  # either way: it is small
    return [CompareWork(tasks, path_of)], SharedLearners(tasks[0].learners)
