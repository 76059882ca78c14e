"""A phantom cohort of few voxels with its nnU-Net stage: 12 training cases, 2 folds, 3 epochs of 2 batches."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from command_line import PRESET, Answer, autodls, write_phantom

from autodls.records.files import sha256_of_file, write_text
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.segmentation.run import SegmentationRun
from autodls.stages.session import Session

SEGMENTATION = {"segmentation.epochs": 3, "segmentation.iterations_per_epoch": 2}


@dataclass(frozen=True)
class SegmentedStudy:
    """A dataset, its workspace, and what the command said."""

    dataset: Path
    root: Path
    answer: Answer

    def copy(self, root):
        """The same study with a workspace of its own in `root`."""
        shutil.copytree(self.root, root)
        return replace(self, root=root)

    @property
    def session(self):
        return Session.open(self.dataset, self.root)

    @property
    def workspace(self):
        return self.session.workspace

    @property
    def plan(self):
        return Plan.load(self.workspace.plan, "")

    @property
    def splits(self):
        return Splits.load(self.workspace.splits, "")

    def run(self, **changes):
        """What the steps of the stage are given; `changes` are of the plan's segmentation section."""
        session, plan = self.session, self.plan
        plan = plan.model_copy(update={"segmentation": plan.segmentation.model_copy(update=changes)})
        labels = session.cohort.description.roi_labels
        return SegmentationRun(
            session.workspace, session.training, labels, plan, self.splits, torch.device("cpu"), workers=1
        )

    def weights(self):
        """SHA-256 of the weights of every fold."""
        folder = self.workspace.segmentation.segmenter
        return {fold.index: sha256_of_file(folder.fold(fold.index)) for fold in self.splits.folds}


def make_segmented_study(folder):
    """Plan and segment a phantom cohort of 12 training cases and 2 held-out ones that cannot be read."""
    import json

    dataset, root = write_phantom(folder / "dataset", cases=12, external_cases=2, seed=3), folder / "workspace"
    for path in (*(dataset / "imagesTr").glob("EX*"), *(dataset / "labelsTr").glob("EX*")):
        path.write_bytes(b"unreadable")
    preset = folder / "preset.json"
    write_text(preset, json.dumps(PRESET | {"given": PRESET["given"] | SEGMENTATION}))
    common = ("-d", dataset, "-w", root, "--workers", 1)
    planned = autodls("plan", "--preset", preset, "--device", "cpu", "--memory-gib", 4, *common)
    assert planned.status == 0, planned.err
    answer = autodls("segment", "fold", "all", "--json", *common)
    assert answer.status == 0, answer.err
    return SegmentedStudy(dataset, root, answer)
