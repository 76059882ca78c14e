"""Every file name of a workspace and of a model folder stands here, and nowhere else."""

from dataclasses import dataclass
from pathlib import Path


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
    def scores(self) -> Path:
        """Scores of the cases that the fold did not see."""
        return self.root / "scores.csv"

    @property
    def log(self) -> Path:
        """One JSON object a line."""
        return self.root / "log.jsonl"

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

    def fold(self, index: int) -> FoldFolder:
        """The weights of fold `index`."""
        return FoldFolder(self.root / f"fold_{index}")


@dataclass(frozen=True)
class Workspace:
    """The folder that holds everything derived from a dataset."""

    root: Path

    @property
    def fingerprint(self) -> Path:
        """Written by `autodls plan`."""
        return self.root / "fingerprint.json"

    @property
    def plan(self) -> Path:
        """Written by `autodls plan`; a person may edit it."""
        return self.root / "plan.json"

    @property
    def previous_plan(self) -> Path:
        """The plan before the last `autodls plan`."""
        return self.root / "plan.previous.json"

    @property
    def splits(self) -> Path:
        """Written once by `autodls plan`."""
        return self.root / "splits.json"

    def sample(self, case: str) -> Path:
        """The 2.5D sample of `case`."""
        return self.root / "preprocessed" / f"{case}.safetensors"

    def fold(self, index: int) -> FoldFolder:
        """Weights, log and scores of fold `index`."""
        return FoldFolder(self.root / "folds" / str(index))

    @property
    def oof_scores(self) -> Path:
        """Out-of-fold scores of every training case."""
        return self.root / "oof_scores.csv"

    @property
    def model(self) -> ModelFolder:
        """The locked ensemble."""
        return ModelFolder(self.root / "model")

    @property
    def lock(self) -> Path:
        """Held by the one process that writes here."""
        return self.root / ".lock"

    @property
    def metrics(self) -> Path:
        """Every figure of the evaluation."""
        return self.root / "results" / "metrics.json"

    def table(self, name: str) -> Path:
        """A table of the evaluation."""
        return self.root / "results" / "tables" / f"{name}.csv"

    def heldout_scores(self, cohort: str) -> Path:
        """Scores of a held-out cohort by the locked model."""
        return self.root / "results" / "scores" / f"{cohort}.csv"
