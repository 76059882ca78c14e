"""A locked model as a MONAI bundle: the model folder itself, and configurations that call this package.

No TorchScript: PyTorch has deprecated it, one file would hold all networks at once, and preparing a case would be told
a second time. So the same bytes score, after the same checks, and the bundle needs this package.
"""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autodls import __version__
from autodls.exporting.bundle_network import BundleNetwork
from autodls.exporting.equality import Scores, log_odds_of
from autodls.exporting.golden import Rows
from autodls.inference.model_copy import copy_model
from autodls.inference.model_files import CheckedFolder
from autodls.inference.model_folder import LockedModel
from autodls.models.pooling import input_channels
from autodls.preprocessing.planes import PLANES
from autodls.records.base import json_bytes
from autodls.records.export import MODELS, ArrayRecord, GraphRecord
from autodls.records.files import write_bytes
from autodls.records.model_folders import ModelFolder

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
CONFIGS, DOCS = "configs", "docs"
_NETWORK = "autodls.exporting.bundle_network.BundleNetwork"


@dataclass(frozen=True)
class BundleExport:
    """What is written into a folder, and the networks in it."""

    model: LockedModel
    checked: CheckedFolder
    folder: Path

    def write(self) -> None:
        """Copy the model and write both configurations."""
        copy_model(self.checked, ModelFolder(self.folder / MODELS))
        for name, content in (("metadata", self._metadata()), ("inference", self._inference())):
            write_bytes(self.folder / CONFIGS / f"{name}.json", json_bytes(content))

    def run(self, rows: Rows) -> Scores:
        """What the network of the bundle, read from its files, gives for the rows."""
        network = BundleNetwork(self.folder / MODELS)
        found = [network(torch.from_numpy(pixels).flatten(1, 2)).numpy()[:, 0] for pixels, _ in rows.each()]
        dls = np.concatenate(found)
        return Scores(log_odds_of(dls), dls >= self.model.record.cutoff, {"dls": dls})

    @property
    def graphs(self) -> tuple[GraphRecord, ...]:
        """What `network_def` takes and gives."""
        size = self.model.plan.preprocessing.input_size_px
        taken = ArrayRecord(
            name="image",
            dtype="float32",
            axes=("case", "sequence * channel", "row", "column"),
            shape=(None, self._channels, size, size),
            meaning="planes (and the ROI in each, where it guides) of every sequence behind each other; planes of "
            "zeros: the sequence is missing",
        )
        given = ArrayRecord(
            name="pred",
            dtype="float64",
            axes=("case", "class"),
            shape=(None, 1),
            meaning="calibrated probability of the positive class, 0 to 1: the DLS",
        )
        return (GraphRecord(file=f"{CONFIGS}/inference.json", inputs=(taken,), outputs=(given,)),)

    @property
    def _channels(self) -> int:
        plan = self.model.plan
        return len(plan.sequences) * input_channels(roi_guided=plan.network.roi_guided)

    def _inference(self) -> dict[str, Any]:
        # No name of a dataset may stand here: MONAI takes a text that starts with "$" for Python.
        images_alone = self.model.record.segmenter_sha256 is not None
        return {
            "imports": ["$import autodls"],
            "bundle_root": ".",
            "dataset_dir": "@images",
            "images": "$@bundle_root + '/images'",
            "rois": None if images_alone else "$@bundle_root + '/rois'",
            "output_dir": "$@bundle_root + '/eval'",
            "model_dir": f"$@bundle_root + '/{MODELS}'",
            "device": "cpu",
            "network_def": {"_target_": _NETWORK, "folder": "@model_dir"},
            "inferer": {"_target_": "SimpleInferer"},
            "run": ["$autodls.load_model(@model_dir, @device).predict(@images, @rois, @output_dir)"],
        }

    def _metadata(self) -> dict[str, Any]:
        record = self.model.record
        positive = f"probability of {record.target.name}"
        return {
            "schema": SCHEMA,
            "version": "1.0.0",
            "changelog": {"1.0.0": f"exported from the model whose model.json has the SHA-256 {self.model.sha256}"},
            "monai_version": version("monai"),
            "pytorch_version": version("torch"),
            "numpy_version": version("numpy"),
            "required_packages_version": {"autodls": __version__},
            "task": f"Deep learning score: {positive}",
            "description": f"{record.folds} folds on {', '.join(self.model.plan.sequences)}, high at or above "
            f"{record.cutoff:.6g}; see {DOCS}/README.md and {MODELS}/MODEL_CARD.md",
            "authors": f"whoever trained the model on '{record.dataset}'; AutoDLS does not know their names",
            "copyright": "not known to AutoDLS",
            "intended_use": "Research. Not a medical device.",
            "data_type": f"images of file ending {record.file_ending}",
            "image_classes": f"sequences {', '.join(self.model.plan.sequences)}, prepared by autodls.preprocess_case",
            "pred_classes": positive,
            "references": ["Ding et al. 2025, doi:10.1186/s40644-025-00837-5"],
            "network_data_format": {"inputs": {"image": self._image()}, "outputs": {"pred": _probability(positive)}},
        }

    def _image(self) -> dict[str, Any]:
        size = self.model.plan.preprocessing.input_size_px
        return {
            "type": "image",
            "format": "normalised intensity",
            "num_channels": self._channels,
            "spatial_shape": [size, size],
            "dtype": "float32",
            "value_range": [],
            "is_patch_data": False,
            "channel_def": {str(at): name for at, name in enumerate(self._channel_names())},
        }

    def _channel_names(self) -> list[str]:
        guided = self.model.plan.network.roi_guided
        parts = [*PLANES, *(f"ROI in the {plane} plane" for plane in PLANES if guided)]
        return [f"sequence {name}: {part}" for name in self.model.plan.sequences for part in parts]


def _probability(positive: str) -> dict[str, Any]:
    return {
        "type": "probabilities",
        "format": "classification",
        "num_channels": 1,
        "spatial_shape": [],
        "dtype": "float64",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {"0": positive},
    }
