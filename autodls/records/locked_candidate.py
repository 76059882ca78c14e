"""candidate.json: a locked candidate without networks, which is numbers alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from autodls.errors import InputError, ModelFolderError
from autodls.records.base import Record
from autodls.records.dataset import ChannelNames, FileEnding, Target
from autodls.records.preprocessing_plan import PreprocessingPlan
from autodls.records.roi_labels import RoiLabels
from autodls.records.scale import LogisticScale

CANDIDATE = "candidate.json"
VOLUME = "log volume"
Probability = Annotated[float, Field(ge=0, le=1)]


class LockedCandidate(Record):
    """Features, their scales and coefficients, recalibration and cut-off of a candidate that is scored from images.

    Log-odds are intercept + sum of coefficient * (feature - middle) / spread, each term cut at `farthest` spreads; a
    feature that a case lacks is at its middle. `recalibration` makes the score of them.
    """

    format: Literal["autodls-candidate/1"] = "autodls-candidate/1"
    candidate: Literal["volume", "radiomics"]
    dataset: str
    target: Target
    channel_names: ChannelNames
    file_ending: FileEnding
    roi_labels: tuple[int, ...] = Field(min_length=1)
    other_labels: tuple[int, ...] = ()
    preprocessing: PreprocessingPlan
    library: str | None = Field(description="that measures the features, with its version; None for the volume")
    setting: str = Field(description="chosen by cross-validation within the training cohort")
    features: tuple[str, ...] = Field(min_length=1)
    middle: tuple[float, ...]
    spread: tuple[Annotated[float, Field(gt=0)], ...]
    coefficients: tuple[float, ...]
    intercept: float
    farthest: float | None
    recalibration: LogisticScale = Field(description="fitted on out-of-fold log-odds")
    cutoff: Probability = Field(description="call a case high when its score is at or above this")
    cutoff_source: str
    training_cases: int
    training_positives: int
    out_of_fold_auc: dict[str, float | None] = Field(description="value, low, high of this candidate on the folds")
    splits_sha256: str
    versions: dict[str, str]
    record_sha256: str = Field(default="", description="SHA-256 of this record with this field empty")

    @model_validator(mode="after")
    def _alike(self) -> Self:
        for name in ("middle", "spread", "coefficients"):
            if len(getattr(self, name)) != len(self.features):
                raise ValueError(f"{len(getattr(self, name))} numbers in '{name}' for {len(self.features)} features")
        return self

    @property
    def roi_channel(self) -> str:
        """The channel on whose grid the ROI lies."""
        return self.preprocessing.roi_channel

    @property
    def mask_labels(self) -> RoiLabels:
        """Values of an ROI that mean tumour, and the others."""
        return RoiLabels(self.roi_labels, self.other_labels)

    def log_odds(self, features: Mapping[str, float]) -> float:
        """Of one case, from what was measured of it."""
        middle = np.array(self.middle)
        values = np.array([features.get(name, at) for name, at in zip(self.features, self.middle, strict=True)])
        scaled = (values - middle) / np.array(self.spread)
        if self.farthest is not None:
            scaled = np.clip(scaled, -self.farthest, self.farthest)
        return float(scaled @ np.array(self.coefficients) + self.intercept)

    def sealed(self) -> Self:
        """This record with `record_sha256` filled in, so that a later edit of any field shows."""
        bare = self.model_copy(update={"record_sha256": ""})
        return bare.model_copy(update={"record_sha256": bare.sha256()})

    @classmethod
    def load_hashed(cls, path: Path, repair: str, error: type[InputError] = ModelFolderError) -> tuple[Self, str]:
        """The record and the SHA-256 of its bytes; raises `error`, ending in `repair`, also where it was edited."""
        record, sha256 = super().load_hashed(path, repair, error)
        if record.sealed().record_sha256 != record.record_sha256:
            raise error(
                f"{path}: altered since the candidate was locked (record_sha256 '{record.record_sha256[:12]}' does not "
                f"fit its content); {repair}"
            )
        return record, sha256
