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

from autodls.errors import InputError
from autodls.records.base import Record
from autodls.records.files import sha256_of_bytes, sha256_of_file, sha256_where_readable, write_atomically
from autodls.records.segmentation_folders import SegmentationFolder, SegmenterFolder
from autodls.segmentation.nnunet_records import read_nnunet_records
from autodls.segmentation.training_files import TUMOUR, TrainingFiles

_IMAGE, _ROI, _TUMOUR_VOXELS = _ARRAYS = ("image.npy", "roi.npy", "tumour_voxels.npy")
_MADE = "made.json"


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
        """Write one case to the folder `output_filename_truncated`; its last array says that all are there."""
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


class _Made(Record):
    """What the arrays of a case were made from, and their SHA-256 by name."""

    made_from: str
    arrays: dict[str, str]

    @classmethod
    def now(cls, task: PrepareTask) -> "_Made":
        """Of the arrays that are there, as if they were made from the files and plans that are there."""
        plans = [sha256_of_file(path) for path in (task.folder.segmenter.plans, task.folder.segmenter.dataset)]
        made_from = sha256_of_bytes("\n".join([task.files.content, *plans, task.configuration]).encode())
        folder = task.folder.prepared / task.case
        return cls(made_from=made_from, arrays={name: sha256_where_readable(folder / name) for name in _ARRAYS})


def is_prepared(task: PrepareTask) -> bool:
    """Whether the arrays of the case are there, as they were written, and made from these files by these plans."""
    try:
        return _Made.load(task.folder.prepared / task.case / _MADE, "prepare it anew") == _Made.now(task)
    except InputError:
        return False


def prepare(task: PrepareTask) -> None:
    """Crop, normalise and resample one case by nnU-Net's plans; what is there and fits is kept."""
    if is_prepared(task):
        return
    plans, dataset = read_plans(task.folder.segmenter, task.configuration)
    configuration = plans.get_configuration(task.configuration)
    preprocessor = configuration.preprocessor_class(verbose=False)
    image, roi, properties = preprocessor.run_case(
        list(task.files.images), task.files.roi, plans, configuration, dataset
    )
    folder = task.folder.prepared / task.case
    PreparedCases.save_case(image, roi, properties, str(folder))
    _Made.now(task).save(folder / _MADE)


def read_plans(
    folder: SegmenterFolder, configuration: str, hashes: Mapping[str, str] = MappingProxyType({})
) -> tuple[PlansManager, dict[str, Any]]:
    """nnU-Net's plans and its description of the dataset; raises ModelFolderError as `read_nnunet_records`."""
    plans, dataset = read_nnunet_records(folder, configuration, hashes)
    return PlansManager(plans), dataset
