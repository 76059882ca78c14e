"""A study that trains in seconds: random samples without images, a ResNet of four blocks, two folds."""

from dataclasses import dataclass

import numpy as np
import torch
from monai.networks.nets import ResNet
from planning_records import fingerprint, make_case
from tiny_models import SEQUENCES, tiny_plan

from autodls.models.encoder import ENCODERS
from autodls.planning.splits import make_splits
from autodls.preprocessing.planes import PLANES, Plane
from autodls.preprocessing.store import Sample, save_sample
from autodls.records.case import Case
from autodls.records.dataset import DatasetDescription
from autodls.records.files import sha256_of_file
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.training.cohort import train_folds
from autodls.training.data import FoldRun, TrainingData, load_training_data
from autodls.training.keys import one_key

SLICE_PX, INPUT_PX = 40, 32
DESCRIPTION = DatasetDescription.model_validate(
    {
        "name": "tiny",
        "channel_names": dict(zip("01", SEQUENCES, strict=True)),
        "labels": {"background": 0, "tumour": 1},
        "autodls": {"roi_channel": "CE-T1WI", "target": {"name": "high", "column": "cps", "positive": ">= 20"}},
    }
)
FAST = {
    "batch_size": 4, "epochs": 3, "patience": 3, "fusion_epochs": 3, "inner_holdout": 0.25, "encoder_dropout": 0.2,
    "learning_rate": 0.02, "folds": 2,
}  # fmt: skip


def use_tiny_resnet(monkeypatch):
    """Stand a ResNet of four narrow bottleneck blocks, which folds and saves like the others, in for ResNet-50.

    On one thread: more of them only wait for each other over networks of this size.
    """
    torch.set_num_threads(1)

    def tiny_resnet(**settings):
        return ResNet("bottleneck", [1, 1, 1, 1], [4, 8, 16, 32], **settings)

    monkeypatch.setitem(ENCODERS, "resnet50", tiny_resnet)


def study_plan(**training):
    """The tiny plan at 32 px with settings of training exchanged."""
    plan = tiny_plan(input_size_px=INPUT_PX, slice_size_px=SLICE_PX)
    return plan.model_copy(update={"training": plan.training.model_copy(update={**FAST, **training})})


def make_sample(case, label, chance, missing=()):
    """Noise, brighter in positive cases, with the tumour in the middle; `missing` names sequences."""
    present = np.array([name not in missing for name in SEQUENCES])
    pixels = chance.normal(0.8 * label, 1, (len(SEQUENCES), len(PLANES), SLICE_PX, SLICE_PX))
    pixels = (pixels * present[:, None, None, None]).astype(np.float32)
    planes = tuple(
        Plane(name, 0, (0.0, 0.0, 0.0), (0.0, 1.8, 0.0), (1.8, 0.0, 0.0), (SLICE_PX, SLICE_PX), 100.0)
        for name in PLANES
    )
    roi = np.zeros(pixels.shape[1:], dtype=np.bool_)
    roi[:, 14:26, 12:24] = True
    return Sample(case, pixels, present, roi, planes, (), f"key of {case}")


@dataclass(frozen=True)
class Study:
    """A workspace with samples, plan and splits."""

    workspace: Workspace
    cases: tuple[Case, ...]
    plan: Plan
    splits: Splits

    def data(self) -> TrainingData:
        """The samples as tensors."""
        guided = self.plan.network.roi_guided
        return load_training_data(self.cases, self.workspace.sample, device="cpu", roi_guided=guided)

    def run(self, fold: int, folder: str = "folds", data: TrainingData | None = None, key: str = "key") -> FoldRun:
        """What training fold `fold` into `folder` needs, under a fixed key."""
        target = Workspace(self.workspace.root / folder).fold(fold)
        return FoldRun(data or self.data(), self.splits.folds[fold], self.plan, target, one_key(self.plan, key))

    def train(self, folds=(0, 1), report=lambda _fold, _epoch: None):
        """Train `folds` in the workspace."""
        train_folds(self.workspace, self.cases, self.plan, self.splits, folds, report)


def tiny_study(root, plan=None, count=16, seed=0):
    """A study of `count` cases, every second one positive; the fourth lacks T1WI and the seventh CE-T1WI."""
    plan, workspace = plan or study_plan(), Workspace(root)
    cases = tuple(make_case(f"case_{number:02d}", number % 2 == 0) for number in range(count))
    missing = {"case_03": ("T1WI",), "case_06": ("CE-T1WI",)}
    for number, case in enumerate(cases):
        chance = np.random.default_rng((seed, number))
        save_sample(workspace.sample(case.id), make_sample(case.id, case.label, chance, missing.get(case.id, ())))
    fingerprint(cases=count, positives=count // 2).save(workspace.fingerprint)
    splits = make_splits(cases, plan.training.folds, plan.training.inner_holdout, plan.training.seed)
    plan.save(workspace.plan)
    splits.save(workspace.splits)
    return Study(workspace, cases, plan, splits)


def hashes(folder, *patterns):
    """SHA-256 by name of the files of `folder` that fit a pattern, by default all weights and scores."""
    found = (path for pattern in patterns or ("*.safetensors", "*.csv") for path in folder.rglob(pattern))
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in found}
