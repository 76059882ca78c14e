"""Held-out cases as jobs: the locked model scores some of them on each, by whoever is asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from autodls.errors import AutoDLSError
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import load_model
from autodls.inference.predict import predict_cases
from autodls.inference.rois import RoiSource
from autodls.inference.score_log import ScoreLog, finished_scores, scores_in
from autodls.jobs.clusters import Undone, do_on
from autodls.jobs.executor import Executor, Note
from autodls.jobs.job import Inputs
from autodls.jobs.sent_files import SentFiles
from autodls.models.device import resolve_device

_SCORES = "scores.json"
_LOG = "finished.jsonl"  # in the folder of a job
_ROI = "roi"
CASES_A_JOB = 8
JOBS_AHEAD = 8  # that are handed out at a time: with Ray each holds its images in memory


@dataclass(frozen=True)
class HeldOut:
    """Cases with their ROIs to be scored by the model in folder `model`; what is finished goes into the log `finished`.

    Of machines that see all folders under the same path `jobs` is where jobs have theirs.
    """

    model: Path
    cases: tuple[InputCase, ...]
    finished: Path
    jobs: Path
    device: torch.device


def score_on(executor: Executor, held_out: HeldOut, advance: Callable[[str], None], *, note: Note) -> None:
    """Score what is not finished of `held_out` on a cluster, into its log, where `score_held_out` then finds it.

    Scores are those of this machine. A case that cannot be scored is not in the log. `advance` is called with each
    case as it is scored, `note` with what a person should know. Raises ArgumentError where what `executor` needs is not
    there, and AutoDLSError where its cluster is gone: finished scores are kept.
    """
    undone = Undone(partial(_begin, held_out), held_out.jobs, held_out.device.type)
    do_on(executor, undone, lambda _job, case: advance(case), note)


def _begin(held_out: HeldOut, *, sent: bool) -> tuple[list["ScoreWork"], Inputs]:
    model = load_model(held_out.model, held_out.device, streamed=True)
    log, source = ScoreLog(held_out.finished, model), RoiSource(model.record)
    cases = [case for case in held_out.cases if log.find(case, source) is None]
    parts = [tuple(cases[start : start + CASES_A_JOB]) for start in range(0, len(cases), CASES_A_JOB)]
    stored = StoredModel(held_out.model)
    work = ScoreWork(log, list(enumerate(parts)), held_out.device.type, sent=sent)
    return [work], stored.read() if sent else stored


class ModelFiles(Protocol):
    """A model folder, wherever it is."""

    def place(self, folder: Path) -> Path:
        """Where it lies; in `folder`, where it has to be put somewhere."""


@dataclass(frozen=True)
class StoredModel:
    """A model folder that machines see under the same path."""

    root: Path

    def received(self) -> "StoredModel":
        """This."""
        return self

    def read(self) -> "SentModel":
        """The same, to be sent."""
        return SentModel(SentFiles.below(self.root, (path for path in self.root.rglob("*") if path.is_file())))

    def place(self, folder: Path) -> Path:
        """Where it is."""
        return self.root


@dataclass(frozen=True)
class SentModel:
    """A model folder, for machines that share none with this one."""

    files: SentFiles

    def received(self) -> "SentModel":
        """This."""
        return self

    def place(self, folder: Path) -> Path:
        """Write it into `folder`."""
        root = folder / "model"
        self.files.write(root)
        return root


@dataclass(frozen=True)
class ScoreJob:
    """Some cases to be scored on the `device`; see `Job`. `files` are theirs, for machines that do not see them.

    `threads` is how many threads a CPU adds with: sums of another number may differ in the last bit.
    """

    index: int
    cases: tuple[InputCase, ...]
    files: SentFiles | None
    device: str
    threads: int

    @property
    def name(self) -> str:
        """How a person is told of it."""
        return f"scores of {self.cases[0].id} to {self.cases[-1].id}"

    @property
    def place(self) -> str:
        """The name of its folder among those of other jobs."""
        return f"scores-{self.index}"

    def do(self, inputs: ModelFiles, folder: Path, report: Callable[[str], None]) -> dict[str, bytes]:
        """Score the cases; see `Job.do`."""
        torch.set_num_threads(self.threads)
        model = load_model(inputs.place(folder), resolve_device(self.device), streamed=True)
        cases = self.cases
        if self.files is not None:
            self.files.write(folder)
            cases = tuple(_placed(case, folder) for case in cases)
        log = ScoreLog(folder / _LOG, model)
        predict_cases(model, cases, RoiSource(model.record), report, log=log).save(folder / _SCORES)
        return self.made(folder)

    def made(self, folder: Path) -> dict[str, bytes]:
        """The log of its scores, where they are done; without lines where no case could be scored."""
        log = folder / _LOG
        return {_LOG: log.read_bytes() if log.is_file() else b""} if (folder / _SCORES).is_file() else {}

    def epochs(self, folder: Path) -> list[str]:
        """The cases whose scores are finished in `folder`."""
        return [line.score.case for line in finished_scores(folder / _LOG)]


@dataclass
class ScoreWork:
    """Cases that wait, in parts of a job each; their scores go into `log`."""

    log: ScoreLog
    waiting: list[tuple[int, tuple[InputCase, ...]]]
    device: str
    sent: bool
    begun: set[int] = field(default_factory=set)

    def ready(self) -> list[ScoreJob]:
        """As many jobs as may be out at a time."""
        free = JOBS_AHEAD - len(self.begun)
        parts, self.waiting = self.waiting[:free], self.waiting[free:]
        self.begun |= {index for index, _ in parts}
        threads = torch.get_num_threads()
        return [
            ScoreJob(index, cases, SentFiles.readable(_files(cases)) if self.sent else None, self.device, threads)
            for index, cases in parts
        ]

    def keep(self, job: ScoreJob, files: Mapping[str, bytes]) -> None:
        """Add the scores to the log; raises AutoDLSError where another version, model or type of number made them."""
        if _LOG not in files:
            raise AutoDLSError(f"{job.name}: did not come back; run the same command again: what is done is kept")
        self.log.take(list(scores_in(files[_LOG])))
        self.begun.remove(job.index)


def _files(cases: Sequence[InputCase]) -> dict[str, Path]:
    """The files of `cases`, by the name that `_placed` gives them."""
    given = {f"{case.id}/{name}": path for case in cases for name, path in _paths(case).items()}
    return {f"{where}/{path.name}": path for where, path in given.items() if path.is_file()}


def _placed(case: InputCase, folder: Path) -> InputCase:
    paths = {name: folder / case.id / name / path.name for name, path in _paths(case).items()}
    roi = paths.pop(_ROI, None)
    return replace(case, images=paths, roi=roi)


def _paths(case: InputCase) -> dict[str, Path]:
    return {**case.images, **({_ROI: case.roi} if case.roi is not None else {})}
