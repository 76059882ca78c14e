"""File names of heat maps, in a workspace and in an output folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HeatmapFolder:
    """Heat maps of cases, and what they say."""

    root: Path

    @property
    def cases(self) -> Path:
        """Which cases are explained, and by which folds."""
        return self.root / "cases.csv"

    @property
    def shares(self) -> Path:
        """How much of each map lies in the tumour, its rim and outside."""
        return self.root / "shares.csv"

    @property
    def randomisation(self) -> Path:
        """Whether the maps change when the weights are shuffled."""
        return self.root / "randomisation.csv"

    @property
    def summary(self) -> Path:
        """Which cases were explained, and the verdict of the check of the weights."""
        return self.root / "explain.json"

    def fused_picture(self, case: str) -> Path:
        """The maps of the fused score over the images."""
        return self.root / f"{case}_dls.png"

    def sequences_picture(self, case: str) -> Path:
        """The maps of each sequence's own score over the images."""
        return self.root / f"{case}_sequences.png"

    def map(self, case: str, score: str) -> Path:
        """The map of `score`, that of the fusion or of a sequence, in the patient's space.

        An underscore in the name of a sequence becomes "=", which no name holds: else the map of post_T1 of case P1
        would have the name of that of T1 of case P1_post.
        """
        return self.root / f"{case}_{score.replace('_', '=')}.nii.gz"
