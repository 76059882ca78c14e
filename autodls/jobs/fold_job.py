"""The stages of a fold of the classifier as jobs: its encoders at once, then the fusion, then the scores."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from autodls.models.device import prepare_torch
from autodls.records.files import sha256_of_bytes, write_bytes
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.training_log import Epoch, lines_of, log_lines
from autodls.training.data import FoldRun, TrainingData, training_device
from autodls.training.fold import SCORES, open_fold, train_stage
from autodls.training.keys import FINE_TUNING, FUSION
from autodls.training.stage_log import StageLog
from autodls.training.standing import made_by, stages_of
from autodls.training.weights import RANDOM, encoder_weights

if TYPE_CHECKING:
    from autodls.training.cohort import TrainingCohort

_NO_DATA = TrainingData((), torch.empty(0), torch.empty(0, dtype=torch.bool), torch.empty(0, dtype=torch.long))
_START = "start.safetensors"  # weights that encoders start from, in the folder of a job


@dataclass(frozen=True)
class FoldInputs:
    """The samples of a cohort, and the weights that encoders start from as safetensors; None where they are drawn."""

    data: TrainingData
    start: bytes | None = None


@dataclass(frozen=True)
class StoredInputs:
    """Inputs that lie in the workspace, for machines that see it under the same path."""

    cohort: "TrainingCohort"

    def received(self) -> FoldInputs:
        """The samples, on the CPU; raises StaleRecordError where one was exchanged."""
        return FoldInputs(self.cohort.load(torch.device("cpu")))


@dataclass(frozen=True)
class SentInputs:
    """Inputs for machines that share no folder with this one: arrays, which they read where Ray has put them."""

    cases: tuple[str, ...]
    pixels: NDArray[np.float32]
    present: NDArray[np.bool_]
    labels: NDArray[np.int64]
    patients: tuple[str, ...]
    start: bytes | None
    case_of: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, run: FoldRun) -> "SentInputs":
        """Those of `run`, whose samples lie on the CPU; raises WeightsError where weights cannot be had here."""
        data, start = run.data, start_weights(run)
        case_of = None if data.case_of is None else data.case_of.numpy()
        arrays = (data.pixels.numpy(), data.present.numpy(), data.labels.numpy())
        return cls(data.cases, *arrays, data.patients, start, case_of)

    def received(self) -> FoldInputs:
        """The samples to train on, which nothing writes to."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not writable.*")
            pixels, present, labels = map(torch.from_numpy, (self.pixels, self.present, self.labels))
            case_of = None if self.case_of is None else torch.from_numpy(self.case_of)
        return FoldInputs(TrainingData(self.cases, pixels, present, labels, self.patients, case_of), self.start)


@dataclass(frozen=True)
class FoldJob:
    """One stage of one fold; see `Job`.

    `run` has neither samples nor a folder: whoever does the job has them. `files` are those that the stage needs of the
    ones before it, bytes by their name in the fold's folder. `threads` is how many threads a CPU adds with: sums of
    another number may differ in the last bit.
    """

    run: FoldRun
    stage: str
    files: Mapping[str, bytes]
    threads: int

    @property
    def index(self) -> int:
        """That of its fold."""
        return self.run.fold.index

    @property
    def name(self) -> str:
        """How a person is told of it."""
        return f"{self.stage} of fold {self.index}"

    @property
    def place(self) -> str:
        """The name of its folder among those of other jobs."""
        return f"{self.index}-{self.stage}"

    def do(self, inputs: FoldInputs, folder: Path, report: Callable[[Epoch], None]) -> dict[str, bytes]:
        """Do the stage in `folder`; see `Job.do`."""
        torch.set_num_threads(self.threads)
        device = training_device(self.run.plan)
        prepare_torch(device)
        for name, content in self.files.items():
            write_bytes(folder / name, content)
        run = _placed(self.run, data_on(inputs.data, device), folder, inputs.start)
        try:
            train_stage(run, self.stage, report)
        finally:
            encoder_weights.cache_clear()  # they are of this folder; the process may do other jobs
        return self.made(folder)

    def made(self, folder: Path) -> dict[str, bytes]:
        """What it has made in `folder`, by the name in the fold's folder."""
        paths = {name: folder / name for name in _made(self.run.plan, self.stage)}
        return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}

    def epochs(self, folder: Path) -> list[Epoch]:
        """Those of its stage that the log in `folder` has."""
        return _epochs_of(log_lines(FoldFolder(folder).log), self.stage)


@dataclass
class FoldWork:
    """A fold with the stages that are still to do, and those that are under way."""

    run: FoldRun
    waiting: list[str]
    begun: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, run: FoldRun) -> "FoldWork":
        """What is missing of the fold of `run`."""
        return cls(run, list(open_fold(run)))

    def ready(self) -> list[FoldJob]:
        """The jobs that can begin: encoders at once, each later stage when nothing before it is left."""
        encoders = [stage for stage in self.waiting if stage in self.run.plan.sequences]
        stages = encoders or ([] if self.begun else self.waiting[:1])
        self.waiting = [stage for stage in self.waiting if stage not in stages]
        self.begun += stages
        return [fold_job(self.run, stage) for stage in stages]

    def keep(self, job: FoldJob, files: Mapping[str, bytes]) -> None:
        """Write what `job` has made into the fold's folder: its log first, what says that it is done last."""
        _keep(self.run, job.stage, files)
        self.begun.remove(job.stage)


def fold_job(run: FoldRun, stage: str) -> FoldJob:
    """The job that makes `stage` of a fold, with what lies in its folder of the stages before."""
    files = {name: (run.folder.root / name).read_bytes() for name in _needed(run.plan, stage)}
    alone = replace(run, data=_NO_DATA, folder=FoldFolder(Path()), features=None)
    return FoldJob(alone, stage, files, torch.get_num_threads())


def _placed(run: FoldRun, data: TrainingData, folder: Path, start: bytes | None) -> FoldRun:
    placed = replace(run, data=data, folder=FoldFolder(folder))
    if start is None:
        return placed
    write_bytes(folder / _START, start)
    network = run.plan.network.model_copy(update={"encoder_weights": str(folder / _START)})
    plan = run.plan.model_copy(update={"network": network})
    return replace(placed, plan=plan, start_sha256=sha256_of_bytes(start))


def data_on(data: TrainingData, device: torch.device) -> TrainingData:
    """The same samples on `device`."""
    return replace(data, pixels=data.pixels.to(device), present=data.present.to(device), labels=data.labels.to(device))


def start_weights(run: FoldRun) -> bytes | None:
    """The weights that encoders start from, for machines that have no file of them; None where they are drawn.

    Raises WeightsError where they cannot be had here.
    """
    from safetensors.torch import save

    network = run.plan.network
    if network.encoder_weights == RANDOM:
        return None
    weights = encoder_weights(network.encoder, network.encoder_weights, run.start_sha256)
    return save({name: value.contiguous() for name, value in (weights or {}).items()})


def _keep(run: FoldRun, stage: str, files: Mapping[str, bytes]) -> None:
    names = _made(run.plan, stage)
    if missing := [name for name in names if name not in files and name != run.folder.log.name]:
        raise ValueError(f"{stage} of fold {run.fold.index}: {missing[0]} did not come back")
    for name in (name for name in names if name in files):
        if name == run.folder.log.name and stage != SCORES:
            StageLog(run.folder.log).put(_epochs_of(lines_of(files[name]), stage), list(stages_of(run.plan)))
        else:
            write_bytes(run.folder.root / name, files[name])


def _epochs_of(lines: Iterable[object], stage: str) -> list[Epoch]:
    return [line for line in lines if isinstance(line, Epoch) and line.stage == stage]


def _needed(plan: Plan, stage: str) -> tuple[str, ...]:
    """Names of the files that `stage` reads in the fold's folder."""
    if stage in plan.sequences:
        return ()
    if stage == FUSION:
        return _weights(plan.sequences)
    if stage == FINE_TUNING:
        return _weights((*plan.sequences, FUSION))
    last = _weights((*plan.sequences, FUSION))
    fine_tuned = _fine_tuned(plan) if FINE_TUNING in stages_of(plan) else ()
    return (*last, *fine_tuned, FoldFolder(Path()).log.name)


def _made(plan: Plan, stage: str) -> tuple[str, ...]:
    """Names of the files that `stage` leaves, in the order in which they are to be written."""
    folder = FoldFolder(Path())
    if stage == SCORES:
        return (folder.log.name, folder.record.name, folder.scores.name)
    made = _fine_tuned(plan) if stage == FINE_TUNING else (made_by(folder, stage).as_posix(),)
    return (folder.log.name, *made)


def _weights(stages: Sequence[str], folder: FoldFolder = FoldFolder(Path())) -> tuple[str, ...]:  # noqa: B008
    return tuple(folder.sequence(stage).as_posix() for stage in stages)


def _fine_tuned(plan: Plan) -> tuple[str, ...]:
    return _weights((*plan.sequences, FUSION), FoldFolder(Path()).fine_tuned)
