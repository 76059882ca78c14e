"""nnU-Net's own planning: fingerprint, planners by name, plans. Import it inside `environment.nnunet` only."""

import json
from collections.abc import Mapping
from multiprocessing import pool
from typing import Any

import numpy as np
from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncL,
    nnUNetPlannerResEncM,
    nnUNetPlannerResEncXL,
)
from numpy.typing import NDArray

from autodls.errors import AutoDLSError
from autodls.parallel import begin_worker, interrupts_held
from autodls.records.files import write_text
from autodls.records.plan import Plan
from autodls.records.segmentation_folders import SegmentationFolder
from autodls.records.splits import Splits
from autodls.segmentation.training_files import TUMOUR, TrainingFiles
from autodls.spawning import own_processes

DATASET = "Dataset001_autodls"
SAMPLED_VOXELS = 1e6  # of all cases; nnU-Net's 1e8 take 4 GB however small the images are
SMALL_IMAGE_VOXELS = 2**16
SMALL_BATCH = {2: 24, 3: 2}  # by number of axes
# nnU-Net chooses the normalisation of a channel by its name.
NORMALISATION = {"window": "CT", "zscore": "zscore", "minmax_zscore": "zscore"}


class NnunetFingerprint(DatasetFingerprintExtractor):  # type: ignore[misc]
    """nnU-Net's fingerprint from fewer voxels, and from paths as they are: it would expand variables in them."""

    def __init__(self, dataset: str, files: Mapping[str, TrainingFiles], workers: int) -> None:
        super().__init__(dataset, workers)
        self.dataset = _paths(files)
        self.num_foreground_voxels_for_intensitystats = SAMPLED_VOXELS
        self.show_progress_bar = False

    def run(self, overwrite_existing: bool = False) -> dict[str, Any]:
        """nnU-Net's, in processes that know nothing of Ctrl-C and end with this one.

        Raises AutoDLSError where one of them fails or is killed.
        """
        plain = fingerprint_extractor.multiprocessing
        fingerprint_extractor.multiprocessing = _Processes
        try:
            found: dict[str, Any] = super().run(overwrite_existing)
        except RuntimeError as failure:
            raise AutoDLSError(
                f"nnU-Net's planning failed in one of {self.num_processes} worker processes, perhaps killed for want "
                f"of memory ({' '.join(str(failure).split())[:80]}); run with fewer workers"
            ) from None
        finally:
            fingerprint_extractor.multiprocessing = plain
        return found


class _Processes:
    """What nnU-Net's fingerprint asks of multiprocessing."""

    @classmethod
    def get_context(cls, _method: str) -> type["_Processes"]:
        """This class stands for its contexts."""
        return cls

    @staticmethod
    def Pool(workers: int) -> pool.Pool:  # noqa: N802 (its name in multiprocessing)
        """Processes that are spawned, whatever the method asked for."""
        with interrupts_held():
            return own_processes().Pool(workers, initializer=begin_worker)


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
    NnunetFingerprint(DATASET, files, workers).run(overwrite_existing=True)
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
