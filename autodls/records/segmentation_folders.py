"""File names of the nnU-Net stage, in a workspace and in a model folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SegmenterFolder:
    """The networks that draw ROIs: all that an automatic ROI of a new case needs."""

    root: Path

    @property
    def record(self) -> Path:
        """What the networks were trained for, with the hashes of the other files."""
        return self.root / "segmenter.json"

    @property
    def plans(self) -> Path:
        """nnU-Net's own plans."""
        return self.root / "plans.json"

    @property
    def dataset(self) -> Path:
        """nnU-Net's own description of channels and labels."""
        return self.root / "dataset.json"

    def fold(self, index: int) -> Path:
        """Weights of the network of fold `index`."""
        return self.root / f"fold_{index}.safetensors"


@dataclass(frozen=True)
class SegmentationFolder:
    """Everything of the nnU-Net stage except the masks."""

    root: Path

    @property
    def key(self) -> Path:
        """What the files below were made from."""
        return self.root / "key.json"

    @property
    def raw(self) -> Path:
        """nnU-Net's raw folder: images that had to be brought onto the ROI channel's grid."""
        return self.root / "raw"

    @property
    def preprocessed(self) -> Path:
        """nnU-Net's preprocessed folder."""
        return self.root / "preprocessed"

    @property
    def results(self) -> Path:
        """nnU-Net's results folder."""
        return self.root / "results"

    def files(self, case: str) -> Path:
        """Which files nnU-Net reads for `case`."""
        return self.raw / "cases" / f"{case}.json"

    def channel(self, case: str, index: int) -> Path:
        """Channel `index` of `case` on the ROI channel's grid, where the dataset's own image is not."""
        return self.raw / "imagesTr" / f"{case}_{index:04d}.nii.gz"

    def roi(self, case: str) -> Path:
        """The manual ROI of `case` as 0 and 1, where the dataset's own is not."""
        return self.raw / "labelsTr" / f"{case}.nii.gz"

    @property
    def prepared(self) -> Path:
        """Preprocessed training cases, a folder each."""
        return self.preprocessed / "cases"

    @property
    def segmenter(self) -> SegmenterFolder:
        """The trained networks."""
        return SegmenterFolder(self.root / "segmenter")

    def fold(self, index: int) -> Path:
        """State from which an interrupted training of fold `index` continues."""
        return self.root / "folds" / str(index)

    def epochs(self, index: int) -> Path:
        """Epochs of fold `index`, one JSON object a line."""
        return self.fold(index) / "log.jsonl"

    @property
    def log(self) -> Path:
        """What nnU-Net prints."""
        return self.root / "nnunet.log"
