"""nnU-Net's own planning: fingerprint, planners by name, plans. Import it inside `environment.nnunet` only."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncL,
    nnUNetPlannerResEncM,
    nnUNetPlannerResEncXL,
)
from numpy.typing import NDArray

from autodls.records.files import write_text
from autodls.records.plan import Plan
from autodls.records.segmentation_folders import SegmentationFolder
from autodls.records.splits import Splits
from autodls.segmentation.training_files import TUMOUR, TrainingFiles

DATASET = "Dataset001_autodls"
SAMPLED_VOXELS = 1e6  # of all cases; nnU-Net's 1e8 take 4 GB however small the images are
SMALL_IMAGE_VOXELS = 2**16
SMALL_BATCH = {2: 24, 3: 2}  # by number of axes
# nnU-Net chooses the normalisation of a channel by its name.
NORMALISATION = {"window": "CT", "zscore": "zscore", "minmax_zscore": "zscore"}


class Fingerprint(DatasetFingerprintExtractor):  # type: ignore[misc]
    """nnU-Net's fingerprint from fewer voxels, and from paths as they are: it would expand variables in them."""

    def __init__(self, dataset: str, files: Mapping[str, TrainingFiles], workers: int) -> None:
        super().__init__(dataset, workers)
        self.dataset = _paths(files)
        self.num_foreground_voxels_for_intensitystats = SAMPLED_VOXELS
        self.show_progress_bar = False


class SmallPlanner(ExperimentPlanner):  # type: ignore[misc]
    """Networks for a CPU: 8 base features instead of 32, on images so coarse that one patch holds a whole one."""

    def __init__(self, dataset: str) -> None:
        super().__init__(dataset)
        self.UNet_base_num_features = 8
        self.UNet_max_features_2d = self.UNet_max_features_3d = 128

    def determine_fullres_target_spacing(self) -> NDArray[np.float64]:
        """nnU-Net's spacing, the finest axes coarsened alike until the median image has few enough voxels."""
        target: NDArray[np.float64] = np.asarray(super().determine_fullres_target_spacing(), dtype=np.float64)
        spacings, shapes = (self.dataset_fingerprint[name] for name in ("spacings", "shapes_after_crop"))
        extent_mm = np.median(np.multiply(spacings, shapes), axis=0)
        spacing, floor_mm = target, float(target.min())
        while np.prod(extent_mm / spacing) > SMALL_IMAGE_VOXELS:
            floor_mm *= 1.02
            spacing = np.maximum(target, floor_mm)
        return spacing

    def get_plans_for_configuration(self, spacing: NDArray[np.float64], *arguments: Any) -> dict[str, Any]:
        """nnU-Net's, with a batch that does not grow with the cohort."""
        plans: dict[str, Any] = super().get_plans_for_configuration(spacing, *arguments)
        return plans | {"batch_size": min(plans["batch_size"], SMALL_BATCH[len(spacing)])}


PLANNERS = {
    "small": SmallPlanner,
    "default": ExperimentPlanner,
    "resenc_m": nnUNetPlannerResEncM,
    "resenc_l": nnUNetPlannerResEncL,
    "resenc_xl": nnUNetPlannerResEncXL,
}


def write_splits(folder: SegmentationFolder, splits: Splits) -> None:
    """Our splits as nnU-Net's own commands read them; `FoldTrainer` takes the splits themselves."""
    parts = [{"train": sorted([*fold.train, *fold.inner]), "val": sorted(fold.validation)} for fold in splits.folds]
    write_text(folder.preprocessed / DATASET / "splits_final.json", _json(parts))


def make_plans(folder: SegmentationFolder, plan: Plan, files: Mapping[str, TrainingFiles], workers: int) -> None:
    """Describe the dataset to nnU-Net, let it plan, and keep what a trained network needs of both.

    As nnU-Net does and as our own plan does, it looks at images and ROIs of the whole training cohort; the networks do
    not.
    """
    description = describe(plan, len(files))
    write_text(folder.raw / DATASET / "dataset.json", _json(description | {"dataset": _paths(files)}))
    Fingerprint(DATASET, files, workers).run(overwrite_existing=True)
    plans = PLANNERS[plan.segmentation.planner](DATASET).plan_experiment()
    write_text(folder.segmenter.dataset, _json(description))
    write_text(folder.segmenter.plans, _json(plans))


def describe(plan: Plan, cases: int) -> dict[str, Any]:
    """nnU-Net's dataset.json, without the list of files."""
    schemes = [intensity.scheme for intensity in plan.preprocessing.intensity.values()]
    return {
        "channel_names": {str(index): NORMALISATION[scheme] for index, scheme in enumerate(schemes)},
        "labels": {"background": 0, "tumour": TUMOUR},
        "numTraining": cases,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }


def _paths(files: Mapping[str, TrainingFiles]) -> dict[str, dict[str, Any]]:
    return {case: {"images": list(of_case.images), "label": of_case.roi} for case, of_case in files.items()}


def _json(content: object) -> str:
    return json.dumps(content, indent=1) + "\n"
