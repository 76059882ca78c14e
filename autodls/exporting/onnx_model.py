"""A locked model as ONNX: a graph a fold, one that brings them together, and golden inputs with their scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autodls.exporting.equality import Scores
from autodls.exporting.golden import Rows
from autodls.exporting.graphs import EnsembleGraph, FoldGraph
from autodls.exporting.onnx_files import Runtime, require_size, write_graph
from autodls.inference.model_folder import LockedModel
from autodls.models.network import FoldModel
from autodls.models.pooling import input_channels
from autodls.records.export import ArrayRecord, GraphRecord
from autodls.records.tensors import save_tensors

ENSEMBLE = "ensemble.onnx"
GOLDEN = "golden.safetensors"
_OUTPUTS = {
    "log_odds": "calibrated log-odds of the positive class, the DLS before its sigmoid",
    "dls": "calibrated probability of the positive class, 0 to 1: the DLS",
    "high": "whether dls is at or above the cut-off",
    "dls_raw": "mean softmax output of the folds, not calibrated",
    "spread": "standard deviation of the folds' calibrated probabilities",
}


def fold_file(index: int) -> str:
    """The file of fold `index`."""
    return f"fold_{index}.onnx"


@dataclass(frozen=True)
class OnnxExport:
    """What is written into a folder, and how it is run there."""

    model: LockedModel
    folder: Path
    notes: Mapping[str, str]

    def write(self, advance: Callable[[str], None]) -> None:
        """Write all graphs; one fold is in memory at a time. Raises ArgumentError for one that no file holds."""
        plan = self.model.plan
        size, sequences = plan.preprocessing.input_size_px, len(plan.sequences)
        channels = input_channels(roi_guided=plan.network.roi_guided)
        # Two cases that are unlike: what is traced of one might hold for it alone.
        pixels = torch.rand(2, sequences, channels, size, size, generator=torch.Generator().manual_seed(0))
        present = torch.ones(2, sequences, dtype=torch.bool)
        present[1, 1:] = False
        for index, fold in enumerate(self.model.folds):
            whole = _whole(fold)
            require_size(_weights(whole), fold_file(index))
            example = {"pixels": pixels, "present": present}
            write_graph(self.folder / fold_file(index), FoldGraph(whole), example, ["logits"], 0, self.notes)
            advance(fold_file(index))
        logits = {"logits": torch.zeros(len(self.model.folds), 2, 1 + sequences)}
        outputs = [*_OUTPUTS, "by_sequence"]
        write_graph(self.folder / ENSEMBLE, EnsembleGraph(self.model), logits, outputs, 1, self.notes)
        advance(ENSEMBLE)

    def run(self, rows: Rows) -> Scores:
        """The scores of rows by onnxruntime, one after the other; one fold is in memory at a time."""
        logits = np.stack([self._logits(index, rows) for index in range(len(self.model.folds))])
        found = Runtime(self.folder / ENSEMBLE)(logits=logits)
        names = ("dls", "dls_raw", "spread", "by_sequence")
        return Scores(
            found["log_odds"].astype(float), found["high"], {name: found[name].astype(float) for name in names}
        )

    def _logits(self, index: int, rows: Rows) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        fold = Runtime(self.folder / fold_file(index))
        found = [fold(pixels=pixels, present=present)["logits"] for pixels, present in rows.each()]
        return np.concatenate(found)

    def save_golden(self, rows: Rows, expected: Scores) -> None:
        """Write golden inputs, and the scores that AutoDLS gives them."""
        arrays = {
            "pictures": rows.pictures,
            "picture": rows.picture,
            "present": rows.present,
            "log_odds": expected.log_odds,
            "high": expected.high,
            **expected.probabilities,
        }
        note = {
            "axes": "pictures [picture, sequence, channel, H, W]; present [row, sequence]; the others [row], "
            "by_sequence [row, sequence], NaN where one is missing",
            "input": "of row r: pictures[picture[r]], planes of each sequence that is not present set to zero",
        }
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        save_tensors(self.folder / GOLDEN, tensors, note)

    @property
    def graphs(self) -> tuple[GraphRecord, ...]:
        """What each file takes and gives."""
        size, sequences = self.model.plan.preprocessing.input_size_px, len(self.model.plan.sequences)
        folds, guided = len(self.model.folds), self.model.plan.network.roi_guided
        channels = input_channels(roi_guided=guided)
        roi = ", then the ROI in each of them, 1 inside and 0 outside" if guided else ""
        inputs = (
            _array(
                "pixels",
                {"case": None, "sequence": sequences, "channel": channels, "row": size, "column": size},
                f"axial, sagittal and coronal plane{roi}; intensities as autodls.preprocess_case normalises them, "
                "without a unit; zeros in the planes of a missing sequence",
            ),
            _array(
                "present", {"case": None, "sequence": sequences}, "which sequences the case has, at least one", "bool"
            ),
        )
        row = {"case": None, "row": 1 + sequences}
        what = "raw logits: fused, then each sequence (NaN where missing)"
        of_fold = (_array("logits", row, what),)
        files = [GraphRecord(file=fold_file(index), inputs=inputs, outputs=of_fold) for index in range(folds)]
        outputs = [
            _array(name, {"case": None}, meaning, "bool" if name == "high" else "float32")
            for name, meaning in _OUTPUTS.items()
        ]
        by_sequence = _array(
            "by_sequence",
            {"case": None, "sequence": sequences},
            "probability by each sequence alone, NaN where missing",
        )
        stacked = _array("logits", {"fold": folds, **row}, f"{what}, of {fold_file(0)} and the others, stacked")
        return (*files, GraphRecord(file=ENSEMBLE, inputs=(stacked,), outputs=(*outputs, by_sequence)))


def _array(name: str, axes: Mapping[str, int | None], meaning: str, dtype: str = "float32") -> ArrayRecord:
    fields = {"name": name, "dtype": dtype, "axes": tuple(axes), "shape": tuple(axes.values()), "meaning": meaning}
    return ArrayRecord.model_validate(fields)


def _whole(fold: FoldModel) -> FoldModel:
    """The fold with its encoders read once, in float32."""
    return replace(fold, encoders={name: fold.encoders[name].unpacked() for name in fold.encoders})


def _weights(fold: FoldModel) -> list[Tensor]:
    pairs = [pair for encoder in fold.encoders.values() for pair in (*encoder.convolutions.values(), encoder.fc)]
    projections = [part for pca in fold.projections.values() for part in (pca.mean, pca.components)]
    return [*(tensor for pair in pairs for tensor in pair), *projections, *fold.fusion.parameters()]
