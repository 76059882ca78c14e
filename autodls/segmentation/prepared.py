"""Training cases as nnU-Net preprocesses them, kept as plain arrays: no pickle, and only what is asked for is read.

Import it inside `environment.nnunet` only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray

from autodls.records.files import write_atomically
from autodls.records.segmentation_folders import SegmentationFolder, SegmenterFolder
from autodls.segmentation.nnunet_records import read_nnunet_records
from autodls.segmentation.training_files import TUMOUR, TrainingFiles

_IMAGE, _ROI, _TUMOUR_VOXELS = "image.npy", "roi.npy", "tumour_voxels.npy"


class PreparedCases(nnUNetBaseDataset):  # type: ignore[misc]
    """nnU-Net's view of preprocessed cases, each a folder of three arrays."""

    def load_case(self, identifier: str) -> tuple[NDArray[Any], NDArray[Any], None, dict[str, Any]]:
        """Image [channel, z, y, x], ROI [1, z, y, x], nothing, and where the tumour's voxels are; mapped, not read."""
        folder = Path(self.source_folder) / identifier
        image, roi = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (_IMAGE, _ROI))
        voxels = np.load(folder / _TUMOUR_VOXELS, allow_pickle=False)
        return image, roi, None, {"class_locations": {TUMOUR: voxels}}

    @staticmethod
    def save_case(
        data: NDArray[Any], seg: NDArray[Any], properties: dict[str, Any], output_filename_truncated: str
    ) -> None:
        """Write one case to the folder `output_filename_truncated`; its last file says that it is complete."""
        folder = Path(output_filename_truncated)
        voxels = np.asarray(properties["class_locations"][TUMOUR], dtype=np.int64).reshape(-1, 4)
        for name, array in ((_IMAGE, data), (_ROI, seg), (_TUMOUR_VOXELS, voxels)):
            write_atomically(folder / name, partial(_save_array, array=array))

    @staticmethod
    def get_identifiers(folder: str) -> list[str]:
        """Cases that are complete."""
        return sorted(path.parent.name for path in Path(folder).glob(f"*/{_TUMOUR_VOXELS}"))


def _save_array(path: Path, array: NDArray[Any]) -> None:
    """As `np.save`, with an error that says why: NumPy's own writer does not know that the disk is full."""
    with path.open("w+b") as file:  # for NumPy no plain file: it then writes through Python
        np.save(file, array, allow_pickle=False)


@dataclass(frozen=True)
class PrepareTask:
    """One case to preprocess; small, and can be sent to another process."""

    case: str
    files: TrainingFiles
    folder: SegmentationFolder
    configuration: str


def is_prepared(task: PrepareTask) -> bool:
    """Whether the arrays of the case are there."""
    return (task.folder.prepared / task.case / _TUMOUR_VOXELS).exists()


def prepare(task: PrepareTask) -> None:
    """Crop, normalise and resample one case by nnU-Net's plans; what is there is kept."""
    if is_prepared(task):
        return
    plans, dataset = read_plans(task.folder.segmenter, task.configuration)
    configuration = plans.get_configuration(task.configuration)
    preprocessor = configuration.preprocessor_class(verbose=False)
    image, roi, properties = preprocessor.run_case(
        list(task.files.images), task.files.roi, plans, configuration, dataset
    )
    PreparedCases.save_case(image, roi, properties, str(task.folder.prepared / task.case))


def read_plans(
    folder: SegmenterFolder, configuration: str, hashes: Mapping[str, str] = MappingProxyType({})
) -> tuple[PlansManager, dict[str, Any]]:
    """nnU-Net's plans and its description of the dataset; raises ModelFolderError as `read_nnunet_records`."""
    plans, dataset = read_nnunet_records(folder, configuration, hashes)
    return PlansManager(plans), dataset
