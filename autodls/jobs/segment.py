"""Folds of nnU-Net as jobs, by whoever is asked: this machine, a Ray cluster, a SLURM cluster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from autodls.jobs.clusters import Undone, do_on
from autodls.jobs.executor import Executor, Note
from autodls.jobs.job import Inputs
from autodls.jobs.sent_files import SentFiles
from autodls.records.files import link_or_copy, write_bytes
from autodls.records.segmentation import SegmentationEpoch, epochs_of
from autodls.records.segmentation_folders import SegmentationFolder
from autodls.records.workspace import Workspace
from autodls.segmentation.run import SegmentationRun, is_trained
from autodls.segmentation.stage import Report, train_networks
from autodls.training.data import training_device


def train_networks_on(
    executor: Executor, run: SegmentationRun, folds: Sequence[int], report: Report, *, note: Note
) -> None:
    """Train what is missing of `folds` as `train_networks` does, and on CPUs to the same bytes, by `executor`.

    A job is a fold: it is sent the prepared files of the cases that the fold trains on, and of no other. Raises as
    `train_networks`; ArgumentError where what the executor needs is not there; AutoDLSError where its cluster is gone,
    after which the same command continues with any executor.
    """
    if executor.name == "local":
        train_networks(run, folds, report)
        return
    undone = Undone(partial(_begin, run, tuple(folds)), run.workspace.jobs, run.plan.budget.device)
    do_on(executor, undone, lambda _fold, epoch: report(epoch), note)


def _begin(run: SegmentationRun, folds: Sequence[int], *, sent: bool) -> tuple[list["NnunetWork"], Inputs]:
    stored = StoredFiles(run.workspace.segmentation)
    works = [NnunetWork(run, index) for index in folds if not is_trained(run, index)]
    return works, stored.read() if sent else stored


class Files(Protocol):
    """Prepared cases and nnU-Net's plans, wherever they are."""

    def place(self, folder: SegmentationFolder, cases: Sequence[str]) -> None:
        """Put those of `cases` into `folder`, and the plans."""


@dataclass(frozen=True)
class StoredFiles:
    """Prepared files in the workspace, for machines that see it under the same path."""

    folder: SegmentationFolder

    def received(self) -> "StoredFiles":
        """These."""
        return self

    def read(self) -> "SentPrepared":
        """The same, to be sent."""
        prepared = [path for path in self.folder.prepared.rglob("*") if path.is_file()]
        return SentPrepared(SentFiles.below(self.folder.root, prepared + self._plans()))

    def place(self, folder: SegmentationFolder, cases: Sequence[str]) -> None:
        """Give them second names below `folder`."""
        prepared = [path for case in cases for path in (self.folder.prepared / case).rglob("*") if path.is_file()]
        for path in (*prepared, *self._plans()):
            link_or_copy(path, folder.root / path.relative_to(self.folder.root))

    def _plans(self) -> list[Path]:
        return [self.folder.segmenter.plans, self.folder.segmenter.dataset]


@dataclass(frozen=True)
class SentPrepared:
    """Prepared files, for machines that share no folder with this one."""

    files: SentFiles

    def received(self) -> "SentPrepared":
        """These."""
        return self

    def place(self, folder: SegmentationFolder, cases: Sequence[str]) -> None:
        """Write those of `cases` below `folder`, and the plans."""
        prepared = folder.prepared.relative_to(folder.root)
        theirs = {prepared / case for case in cases}
        self.files.write(
            folder.root, lambda name: prepared not in Path(name).parents or bool(theirs & set(Path(name).parents))
        )


@dataclass(frozen=True)
class NnunetJob:
    """nnU-Net on one fold; see `Job`. `run` has no cases: its images are prepared."""

    run: SegmentationRun
    fold: int
    threads: int

    @property
    def index(self) -> int:
        """That of its fold."""
        return self.fold

    @property
    def name(self) -> str:
        """How a person is told of it."""
        return f"nnU-Net of fold {self.fold}"

    @property
    def place(self) -> str:
        """The name of its folder among those of other jobs."""
        return f"nnunet-{self.fold}"

    def do(self, inputs: Files, folder: Path, report: Callable[[SegmentationEpoch], None]) -> dict[str, bytes]:
        """Train in `folder`; see `Job.do`."""
        torch.set_num_threads(self.threads)
        run = replace(self.run, workspace=Workspace(folder), device=training_device(self.run.plan))
        fold = run.splits.folds[self.fold]
        inputs.place(run.workspace.segmentation, [*fold.train, *fold.inner])
        train_networks(run, [self.fold], report)
        return self.made(folder)

    def made(self, folder: Path) -> dict[str, bytes]:
        """What it has made in `folder`, by its name in nnU-Net's folder."""
        place = Workspace(folder).segmentation
        paths = {path.relative_to(place.root).as_posix(): path for path in _made(place, self.fold)}
        return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}

    def epochs(self, folder: Path) -> list[SegmentationEpoch]:
        """Those that the log in `folder` has."""
        return epochs_of(Workspace(folder).segmentation.epochs(self.fold))


@dataclass
class NnunetWork:
    """A fold of nnU-Net: one job."""

    run: SegmentationRun
    fold: int
    begun: bool = False

    def ready(self) -> list[NnunetJob]:
        """The job, once."""
        if self.begun:
            return []
        self.begun = True
        alone = replace(self.run, workspace=Workspace(Path()), cases=())
        return [NnunetJob(alone, self.fold, torch.get_num_threads())]

    def keep(self, job: NnunetJob, files: Mapping[str, bytes]) -> None:
        """Write log and weights into nnU-Net's folder."""
        place = self.run.workspace.segmentation
        for path in _made(place, job.fold):
            name = path.relative_to(place.root).as_posix()
            if name not in files:
                raise ValueError(f"{job.name}: {name} did not come back")
            write_bytes(path, files[name])


def _made(place: SegmentationFolder, fold: int) -> tuple[Path, Path]:
    """What a fold leaves, in the order in which it is to be written."""
    return place.epochs(fold), place.segmenter.fold(fold)
