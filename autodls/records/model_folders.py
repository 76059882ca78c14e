"""Every file name of a fold and of a locked model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autodls.records.segmentation_folders import SegmenterFolder

RoiKind = Literal["manual", "auto"]


PROVENANCE = "provenance.json"
SIGNATURE = "signature.json"
"""Whose it is, beside the record of a model or of a locked candidate."""


@dataclass(frozen=True)
class FoldFolder:
    """The weights of one fold: a file per sequence and one for the fusion."""

    root: Path

    def sequence(self, sequence: str) -> Path:
        """Weights of the encoder of `sequence`."""
        return self.root / f"{sequence}.safetensors"

    @property
    def fusion(self) -> Path:
        """PCA, transformer and score scale of the fold."""
        return self.root / "fusion.safetensors"

    @property
    def fine_tuned(self) -> "FoldFolder":
        """The same files after fine-tuning end to end, where the plan asks for it."""
        return FoldFolder(self.root / "fine-tuned")

    def trained(self, fine_tuning_epochs: int) -> "FoldFolder":
        """Where the weights lie that score: those of the last stage of a plan."""
        return self.fine_tuned if fine_tuning_epochs else self

    @property
    def scores(self) -> Path:
        """Scores of the cases that the fold did not see."""
        return self.root / "scores.csv"

    @property
    def record(self) -> Path:
        """Which weights gave the scores, by their hashes."""
        return self.root / "fold.json"

    @property
    def log(self) -> Path:
        """One JSON object a line."""
        return self.root / "log.jsonl"

    @property
    def learning_curve(self) -> Path:
        """The losses of the log as a picture."""
        return self.root / "learning_curve.png"

    def resume(self, stage: str) -> Path:
        """State from which an interrupted `stage` continues."""
        return self.root / f"resume-{stage}.safetensors"


@dataclass(frozen=True)
class ModelFolder:
    """The locked model: all that `predict` needs."""

    root: Path

    @property
    def record(self) -> Path:
        """Cut-off, recalibration, hashes."""
        return self.root / "model.json"

    @property
    def plan(self) -> Path:
        """The plan that the model was trained by."""
        return self.root / "plan.json"

    @property
    def fingerprint(self) -> Path:
        """What the training images looked like."""
        return self.root / "fingerprint.json"

    @property
    def card(self) -> Path:
        """The model in words."""
        return self.root / "MODEL_CARD.md"

    @property
    def signature(self) -> Path:
        """Whose it is, where somebody has signed it."""
        return self.root / SIGNATURE

    @property
    def segmentation(self) -> SegmenterFolder:
        """The networks that draw ROIs, in a model that was trained on automatic ones."""
        return SegmenterFolder(self.root / "segmentation")

    def fold(self, index: int) -> FoldFolder:
        """The weights of fold `index`."""
        return FoldFolder(self.root / f"fold_{index}")
