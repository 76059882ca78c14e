"""Foreground probabilities of one case by nnU-Net's own inference. Import it inside `environment.nnunet` only."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from numpy.typing import NDArray
from torch import Tensor

from autodls.errors import DatasetError
from autodls.imaging.geometry import Triple
from autodls.records.segmentation_folders import SegmenterFolder
from autodls.segmentation.architecture import build_network
from autodls.segmentation.prepared import read_plans
from autodls.segmentation.training_files import TUMOUR
from autodls.segmentation.weights import check_weights, load_weights, put_weights

MOST_VOXELS = 1 << 26  # a cube of 40 cm at 1 mm; an image that has more itself may keep them
MOST_PATCHES = 1 << 16  # a hundred times those of a large study


class ProbabilityMaps:
    """The networks of some folds, each by nnU-Net's sliding window, resampled back to the grid of the case."""

    def __init__(
        self,
        folder: SegmenterFolder,
        configuration: str,
        mirror_axes: tuple[int, ...],
        folds: Sequence[int],
        device: torch.device,
        hashes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Build the network and read the weights of `folds`.

        `hashes` are the SHA-256 of files in `folder` by their name, as far as they are known. Raises ModelFolderError
        where the files do not go together, or one is not what its hash says.
        """
        self.plans, self.dataset = read_plans(folder, configuration, hashes)
        self.configuration = self.plans.get_configuration(configuration)
        self.network = build_network(self.configuration, len(self.dataset["channel_names"]), folder.plans)
        self.weights = [load_weights(path, hashes.get(path.name)) for path in map(folder.fold, folds)]
        for index, weights in zip(folds, self.weights, strict=True):
            check_weights(self.network, weights.tensors, folder.fold(index))
        self.network.to_empty(device=device)
        self.predictor = nnUNetPredictor(
            use_mirroring=bool(mirror_axes),
            perform_everything_on_device=device.type == "cuda",
            device=device,
            allow_tqdm=False,
        )
        torch.backends.cudnn.benchmark = False  # the predictor turns it on, and results would differ between runs
        self.predictor.manual_initialization(
            self.network, self.plans, self.configuration, None, self.dataset, "FoldTrainer", mirror_axes or None
        )

    def of(self, channels: NDArray[np.float32], spacing_mm: Triple) -> list[NDArray[np.float32]]:
        """Foreground probabilities [z, y, x] by each fold, of channels [channel, z, y, x] spaced x, y, z.

        Raises DatasetError for an image that is too large, or too small, in the voxels of the plans.
        """
        self._require_bounded(channels.shape[1:], spacing_mm[::-1])
        preprocessor = self.configuration.preprocessor_class(verbose=False)
        image, _, properties = preprocessor.run_case_npy(
            channels, None, {"spacing": list(spacing_mm[::-1])}, self.plans, self.configuration, self.dataset
        )
        return [self._probability(torch.from_numpy(image), properties, weights.tensors) for weights in self.weights]

    def _require_bounded(self, shape_zyx: tuple[int, ...], spacing_zyx_mm: Sequence[float]) -> None:
        """Refuse an image of which nnU-Net would make more, or fewer, voxels than can be worked on."""
        axes = self.plans.transpose_forward
        shape, steps_mm = [shape_zyx[axis] for axis in axes], [spacing_zyx_mm[axis] for axis in axes]
        patch, target_mm = list(self.configuration.patch_size), list(self.configuration.spacing)
        if len(patch) < len(shape):
            patch, target_mm = [1, *patch], [steps_mm[0], *target_mm]
        resampled = compute_new_shape(shape, steps_mm, target_mm).tolist()
        voxels = math.prod(resampled)
        patches = math.prod(math.ceil(2 * size / side) for size, side in zip(resampled, patch, strict=True))
        if min(resampled) < 1 or voxels > max(MOST_VOXELS, math.prod(shape)) or patches > MOST_PATCHES:
            raise DatasetError(
                f"the segmenter would resample {shape} voxels to {resampled}, in {patches} patches; expected 1 to "
                f"{MOST_VOXELS} voxels in at most {MOST_PATCHES}; crop the images, or give an ROI with --rois"
            )

    def _probability(
        self, image: Tensor, properties: dict[str, Any], weights: Mapping[str, Tensor]
    ) -> NDArray[np.float32]:
        put_weights(self.network, weights)
        logits = self.predictor.predict_sliding_window_return_logits(image).cpu()
        _, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits,
            self.plans,
            self.configuration,
            self.predictor.label_manager,
            properties,
            return_probabilities=True,
            num_threads_torch=torch.get_num_threads(),
        )
        foreground: NDArray[np.float32] = np.asarray(probabilities[TUMOUR], dtype=np.float32)
        return foreground
