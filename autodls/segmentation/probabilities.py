"""Foreground probabilities of one case by nnU-Net's own inference. Import it inside `environment.nnunet` only."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from numpy.typing import NDArray
from torch import Tensor

from autodls.imaging.geometry import Triple
from autodls.records.segmentation_folders import SegmenterFolder
from autodls.segmentation.architecture import build_network, known_configuration
from autodls.segmentation.prepared import read_plans
from autodls.segmentation.training_files import TUMOUR
from autodls.segmentation.weights import check_weights, load_weights, put_weights


class ProbabilityMaps:
    """The networks of some folds, each by nnU-Net's sliding window, resampled back to the grid of the case."""

    def __init__(
        self,
        folder: SegmenterFolder,
        configuration: str,
        mirror_axes: tuple[int, ...],
        folds: Sequence[int],
        device: torch.device,
    ) -> None:
        """Build the network and read the weights of `folds`; raises ModelFolderError where they do not go together."""
        self.plans, self.dataset = read_plans(folder)
        self.configuration = known_configuration(self.plans, configuration, folder.plans)
        self.network = build_network(self.configuration, len(self.dataset["channel_names"]), folder.plans)
        self.weights = [load_weights(folder.fold(index)) for index in folds]
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
        """Foreground probabilities [z, y, x] by each fold, of channels [channel, z, y, x] spaced x, y, z."""
        preprocessor = self.configuration.preprocessor_class(verbose=False)
        image, _, properties = preprocessor.run_case_npy(
            channels, None, {"spacing": list(spacing_mm[::-1])}, self.plans, self.configuration, self.dataset
        )
        return [self._probability(torch.from_numpy(image), properties, weights.tensors) for weights in self.weights]

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
