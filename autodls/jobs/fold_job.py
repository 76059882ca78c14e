"""A job: one stage of one fold, as a function of samples, weights and records that gives back files as bytes.

It reads and writes a folder of its own and nothing else. What is done is known by the files in the fold's folder and
their hashes, so a job may be killed, lost or done twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from autodls.models.device import prepare_torch
from autodls.records.files import sha256_of_bytes, write_bytes
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.training_log import Epoch, lines_of
from autodls.training.data import FoldRun, TrainingData, training_device
from autodls.training.fold import SCORES, train_stage
from autodls.training.keys import FINE_TUNING, FUSION
from autodls.training.stage_log import StageLog
from autodls.training.standing import made_by, stages_of
from autodls.training.weights import RANDOM, encoder_weights

_NO_DATA = TrainingData((), torch.empty(0), torch.empty(0, dtype=torch.bool), torch.empty(0, dtype=torch.long))
_START = "start.safetensors"  # weights that encoders start from, in the folder of a job


@dataclass(frozen=True)
class FoldJob:
    """One stage of one fold; it travels to whoever does it.

    `run` has neither samples nor a folder: whoever does the job has them. `files` are those that the stage needs of the
    ones before it, bytes by their name in the fold's folder. `threads` is how many threads a CPU adds with: sums of
    another number may differ in the last bit.
    """

    run: FoldRun
    stage: str
    files: Mapping[str, bytes]
    threads: int

    @property
    def name(self) -> str:
        """How a person is told of it."""
        return f"{self.stage} of fold {self.run.fold.index}"


def fold_job(run: FoldRun, stage: str) -> FoldJob:
    """The job that makes `stage` of a fold, with what lies in its folder of the stages before."""
    files = {name: (run.folder.root / name).read_bytes() for name in _needed(run.plan, stage)}
    alone = replace(run, data=_NO_DATA, folder=FoldFolder(Path()), features=None)
    return FoldJob(alone, stage, files, torch.get_num_threads())


def do_job(
    job: FoldJob, data: TrainingData, folder: Path, start: bytes | None, report: Callable[[Epoch], None]
) -> dict[str, bytes]:
    """Do `job` in `folder` and return the files that it makes, by their name in the fold's folder.

    `start` are the weights that encoders start from, as safetensors. A job that is done again in the same folder
    continues from its last saved state. Raises ArgumentError where the plan asks for a GPU and there is none.
    """
    torch.set_num_threads(job.threads)
    device = training_device(job.run.plan)
    prepare_torch(device)
    for name, content in job.files.items():
        write_bytes(folder / name, content)
    run = _placed(job.run, data_on(data, device), folder, start)
    try:
        train_stage(run, job.stage, report)
    finally:
        encoder_weights.cache_clear()  # they are of this folder; the process may do other jobs
    return made_files(job, folder)


def made_files(job: FoldJob, folder: Path) -> dict[str, bytes]:
    """What `job` has made in `folder`, by the name in the fold's folder."""
    paths = {name: folder / name for name in _made(job.run.plan, job.stage)}
    return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


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


def keep(run: FoldRun, stage: str, files: Mapping[str, bytes]) -> None:
    """Write what a job has made into the fold's folder: its log first, what says that it is done last."""
    names = _made(run.plan, stage)
    if missing := [name for name in names if name not in files and name != run.folder.log.name]:
        raise ValueError(f"{stage} of fold {run.fold.index}: {missing[0]} did not come back")
    for name in (name for name in names if name in files):
        if name == run.folder.log.name and stage != SCORES:
            epochs = [line for line in lines_of(files[name]) if isinstance(line, Epoch) and line.stage == stage]
            StageLog(run.folder.log).put(epochs, list(stages_of(run.plan)))
        else:
            write_bytes(run.folder.root / name, files[name])


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
