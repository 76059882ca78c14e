"""What the steps of the nnU-Net stage share: a training cohort, its plan, and what of it is done."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from autodls.errors import ModelFolderError, StaleRecordError
from autodls.machine import usable_cores
from autodls.records.case import Case
from autodls.records.plan import Plan
from autodls.records.segmentation import training_key
from autodls.records.splits import Splits
from autodls.records.tensors import read_note
from autodls.records.workspace import Workspace

RESTART = "run 'autodls segment fold all --restart' to train anew, or put the plan back"
CASES_PER_WORKER = 16  # a process that imports nnU-Net takes ten seconds to start
AUGMENTERS_ON_GPU = 12


@dataclass(frozen=True)
class SegmentationRun:
    """A training cohort with its plan and splits, and where and on what it is worked on."""

    workspace: Workspace
    cases: Sequence[Case]
    roi_labels: frozenset[int]
    plan: Plan
    splits: Splits
    device: torch.device
    workers: int

    @property
    def key(self) -> str:
        """What the weights of every fold are derived from."""
        return training_key(self.plan, self.splits)

    @property
    def processes(self) -> int:
        """Workers that are worth their start."""
        return max(1, min(self.workers, len(self.cases) // CASES_PER_WORKER))

    @property
    def augmenters(self) -> int:
        """Processes that augment: on a CPU none, so that the order of chance is the same in every run."""
        return min(AUGMENTERS_ON_GPU, usable_cores()) if self.device.type == "cuda" else 0


def throw_away(run: SegmentationRun, folds: Sequence[int]) -> None:
    """Throw away what the folds have learned and drawn."""
    folder = run.workspace.segmentation
    for index in folds:
        shutil.rmtree(folder.fold(index), ignore_errors=True)
        folder.segmenter.fold(index).unlink(missing_ok=True)
    if len(folds) == len(run.splits.folds):
        shutil.rmtree(folder.root, ignore_errors=True)


def is_trained(run: SegmentationRun, index: int) -> bool:
    """Whether the weights of a fold are there; raises StaleRecordError when they are those of another plan."""
    path = run.workspace.segmentation.segmenter.fold(index)
    if not path.exists():
        return False
    try:
        found = read_note(path).get("key", "")
    except ModelFolderError as failure:
        raise StaleRecordError(f"{failure}; {RESTART}") from None
    if found != run.key:
        raise StaleRecordError(f"{path}: trained by another plan, split or cohort ({str(found)[:8]}); {RESTART}")
    return True
