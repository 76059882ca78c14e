"""Made-up studies: plans as the planner derives them, and samples without images, whose positive cases are brighter."""

from dataclasses import dataclass

import torch
from cross_validation import SEQUENCES, make_samples
from pydantic import JsonValue

from autodls.machine import usable_memory_gib
from autodls.models.network import has_bf16
from autodls.planning.decision import Resources
from autodls.planning.planner import derive_plan
from autodls.planning.presets import Preset, load_preset
from autodls.planning.splits import make_splits
from autodls.records.case import Case
from autodls.records.fingerprint import Fingerprint, Quantiles, SequenceFingerprint, TumourFingerprint
from autodls.records.plan import Plan
from autodls.records.plane_names import PlaneName
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.training.data import FoldRun, TrainingData, load_training_data
from autodls.training.keys import one_key
from gpu_parts import Setting


@dataclass(frozen=True)
class Study:
    """A plan, and a workspace that holds the samples of `cases`."""

    plan: Plan
    workspace: Workspace
    cases: tuple[Case, ...]
    splits: Splits

    def data(self, device: str) -> TrainingData:
        """All samples on `device`."""
        guided = self.plan.network.roi_guided
        return load_training_data(self.cases, self.workspace.sample, torch.device(device), roi_guided=guided)

    def runs(self, data: TrainingData, name: str, plan: Plan | None = None) -> list[FoldRun]:
        """All folds, to be trained from `data` into the folder `name`, by another `plan` where one is given."""
        target, by = Workspace(self.workspace.root / name), plan or self.plan
        keys = one_key(by, "key")
        return [FoldRun(data, fold, by, target.fold(fold.index), keys) for fold in self.splits.folds]


_SMALL: dict[str, JsonValue] = {"network.encoder": "resnet8", "network.pca_dims": 8}


def new_study(setting: Setting, name: str, preset: str, cases: int, px: int, **given: JsonValue) -> Study:
    """A study of three sequences at `px`; `given` goes before the preset, with "__" for the dot of a field's
    name. In small, the network is small too.
    """
    sizes = {"preprocessing.input_size_px": px, "preprocessing.slice_size_px": round(px * 8 / 7)}
    values = {key.replace("__", "."): value for key, value in given.items()}
    values = {
        **load_preset(preset).values,
        **sizes,
        "network.encoder_weights": "random",
        **setting.pick({}, _SMALL),
        **values,
    }
    device = torch.device(setting.device)
    total_gib = torch.cuda.mem_get_info()[1] / 2**30 if setting.on_gpu else usable_memory_gib()
    resources = Resources(total_gib, "cuda" if setting.on_gpu else "cpu", has_bf16(device), cores=1)
    plan = derive_plan(_fingerprint(cases), Preset(name=f"{preset}, made up", given=values), resources)
    workspace = Workspace(setting.folder / name)
    made = make_samples(workspace, plan, cases)
    training = plan.training
    return Study(plan, workspace, made, make_splits(made, training.folds, training.inner_holdout, training.seed))


def on_device(plan: Plan, device: str) -> Plan:
    """The same plan for `device`."""
    return plan.model_copy(update={"budget": plan.budget.model_copy(update={"device": device})})


def _fingerprint(cases: int) -> Fingerprint:
    """Of a cohort of which every third case is positive, as `make_samples` makes it; all images are on one grid."""
    sequence = SequenceFingerprint(
        cases=cases, share_missing=0.0, spacing_mm=(_all(0.9), _all(0.9), _all(4.0)), shape=(_all(256),) * 3,
        obliqueness_deg=_all(0.0), foreground_percentiles=None, roi_percentiles={"50": _all(100.0)},
        same_grid_as_roi=1.0, overlap_with_roi=1.0,
    )  # fmt: skip
    extent: dict[PlaneName, Quantiles] = {"axial": _all(60.0), "coronal": _all(30.0), "sagittal": _all(20.0)}
    return Fingerprint(
        dataset="made-up", roi_channel=SEQUENCES[-1], cases=cases, patients=cases, positives=-(-cases // 3), sites={},
        cohort_sha256="", inputs_sha256="", sequences=dict.fromkeys(SEQUENCES, sequence),
        tumour=TumourFingerprint(extent_mm=extent, volume_ml=_all(30.0), components=_all(1.0)),
    )  # fmt: skip


def _all(value: float) -> Quantiles:
    return Quantiles(minimum=value, p5=value, median=value, p95=value, maximum=value)
