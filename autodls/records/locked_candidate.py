"""candidate.json: a locked candidate as numbers; networks that it is made of lie beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from autodls.errors import InputError, ModelFolderError
from autodls.records.base import Record
from autodls.records.clinical_column import ClinicalColumn
from autodls.records.dataset import ChannelNames, FileEnding, Target
from autodls.records.fingerprint import Fingerprint
from autodls.records.forest import read_tree, share_of_trees
from autodls.records.preprocessing_plan import PreprocessingPlan
from autodls.records.roi_labels import RoiLabels
from autodls.records.scale import LogisticScale

CANDIDATE = "candidate.json"
CARD = "MODEL_CARD.md"
NETWORKS = "model"
"""The model folder inside the folder of a candidate that has networks."""
VOLUME = "log volume"
DEEP = "deep"
Probability = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern="^(volume|clinical|radiomics|integrated(_clinical|_radiomics|_volume)?)$")]
Spread = Annotated[float, Field(gt=0)]
_NEWER = ("columns", "trees", "lowest", "highest", "missing", "parts", "networks_sha256", "card_sha256", "fingerprint")
_PER_FEATURE = ("middle", "spread", "coefficients", "lowest", "highest")


class Scored(Protocol):
    """What makes log-odds of features: a candidate, or a part of one."""

    @property
    def features(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def middle(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def spread(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def coefficients(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def intercept(self) -> float: ...  # noqa: D102
    @property
    def farthest(self) -> float | None: ...  # noqa: D102
    @property
    def trees(self) -> tuple[str, ...]: ...  # noqa: D102


def log_odds_of(one: Scored, features: Mapping[str, float]) -> float:
    """Of one case, from what was measured of it; a feature that it lacks is at its middle."""
    middle = np.array(one.middle)
    values = np.array([features.get(name, at) for name, at in zip(one.features, one.middle, strict=True)])
    scaled = (values - middle) / np.array(one.spread)
    if one.farthest is not None:
        scaled = np.clip(scaled, -one.farthest, one.farthest)
    if not one.trees:
        return float(scaled @ np.array(one.coefficients) + one.intercept)
    least = 0.5 / (len(one.trees) + 1)
    share = np.clip(share_of_trees(one.trees, scaled), least, 1 - least)
    return float(np.log(share / (1 - share)))


def effect_of(one: Scored, name: str) -> float:
    """Half of what the log-odds change by from one spread below the middle to one above, all else at its middle.

    Of a regression that is its coefficient. One of a level is what the level adds.
    """
    at = one.features.index(name)
    if not one.trees:
        return one.coefficients[at]
    low, high = (one.middle[at] + side * one.spread[at] for side in (-1, 1))
    return (log_odds_of(one, {name: high}) - log_odds_of(one, {name: low})) / 2


class CandidatePart(Record):
    """A candidate without networks, of which an integrated one is made; fields as those of `LockedCandidate`."""

    candidate: Literal["volume", "clinical", "radiomics"]
    library: str | None
    setting: str
    features: tuple[str, ...] = Field(min_length=1)
    middle: tuple[float, ...]
    spread: tuple[Spread, ...]
    coefficients: tuple[float, ...]
    intercept: float
    farthest: float | None
    columns: tuple[ClinicalColumn, ...] = ()
    trees: tuple[str, ...] = ()
    lowest: tuple[float, ...] = ()
    highest: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _alike(self) -> Self:
        _require_whole(self)
        return self


class LockedCandidate(Record):
    """Features, their scales and coefficients, recalibration and cut-off of a candidate.

    Log-odds are intercept + sum of coefficient * (feature - middle) / spread, each term cut at `farthest` spreads; a
    feature that a case lacks is at its middle. Where there are `trees`, scaled features go through them instead.
    `recalibration` makes the score of them. Features of an integrated candidate are the log-odds of its parts.
    """

    format: Literal["autodls-candidate/1"] = "autodls-candidate/1"
    candidate: Name
    dataset: str
    target: Target
    channel_names: ChannelNames
    file_ending: FileEnding
    roi_labels: tuple[int, ...] = Field(min_length=1)
    other_labels: tuple[int, ...] = ()
    preprocessing: PreprocessingPlan
    library: str | None = Field(description="that measures the features, with its version; None where none does")
    setting: str = Field(description="chosen by cross-validation within the training cohort")
    features: tuple[str, ...] = Field(min_length=1)
    middle: tuple[float, ...]
    spread: tuple[Spread, ...]
    coefficients: tuple[float, ...]
    intercept: float
    farthest: float | None
    columns: tuple[ClinicalColumn, ...] = Field(default=(), description="of the table that predict is given")
    trees: tuple[str, ...] = Field(default=(), description="of a forest, one text a tree; see records/forest.py")
    lowest: tuple[float, ...] = Field(default=(), description="by feature, in the training cohort; where it is shown")
    highest: tuple[float, ...] = ()
    missing: dict[str, tuple[str, ...]] = Field(default={}, description="by column, the codes of a missing value")
    parts: tuple[CandidatePart, ...] = Field(default=(), description="without networks, of an integrated candidate")
    networks_sha256: str | None = Field(default=None, description="of model/model.json, where a part is networks")
    recalibration: LogisticScale = Field(description="fitted on out-of-fold log-odds")
    cutoff: Probability = Field(description="call a case high when its score is at or above this")
    cutoff_source: str
    training_cases: int
    training_positives: int
    out_of_fold_auc: dict[str, float | None] = Field(description="value, low, high of this candidate on the folds")
    splits_sha256: str
    fingerprint: Fingerprint | None = Field(
        default=None, description="of the training cohort, where images or ROIs are measured; absent from older ones"
    )
    versions: dict[str, str]
    card_sha256: str | None = Field(default=None, description="of MODEL_CARD.md; absent from older candidates")
    record_sha256: str = Field(default="", description="SHA-256 of this record with this field empty")

    @model_validator(mode="after")
    def _alike(self) -> Self:
        _require_whole(self)
        made_of = [part.candidate for part in self.parts]
        if self.networks_sha256 is not None and set(self.features) != {DEEP, *made_of}:
            raise ValueError(f"features {list(self.features)} of a candidate that is made of networks and {made_of}")
        if self.candidate.startswith("integrated") != (self.networks_sha256 is not None):
            raise ValueError(f"candidate '{self.candidate}' with the networks {self.networks_sha256}")
        return self

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a candidate does not have is left out, so that the hash of older ones still fits."""
        content: dict[str, Any] = write(self)
        absent = {name for name in _NEWER if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in content.items() if name not in absent}

    @property
    def roi_channel(self) -> str:
        """The channel on whose grid the ROI lies."""
        return self.preprocessing.roi_channel

    @property
    def mask_labels(self) -> RoiLabels:
        """Values of an ROI that mean tumour, and the others."""
        return RoiLabels(self.roi_labels, self.other_labels)

    @property
    def simple(self) -> "tuple[LockedCandidate | CandidatePart, ...]":
        """What is scored without networks: its parts, or itself."""
        return self.parts or (self,)

    @property
    def clinical_columns(self) -> tuple[ClinicalColumn, ...]:
        """What it needs of a clinical table; none where it needs no table."""
        return tuple(column for one in self.simple for column in one.columns)

    @property
    def needs_roi(self) -> bool:
        """Whether a tumour has to be drawn: for all but clinical columns alone."""
        return self.candidate != "clinical"

    @property
    def library_needed(self) -> str | None:
        """The library that measures radiomic features, with its version; None where none are measured."""
        return next((one.library for one in self.simple if one.library is not None), None)

    def log_odds(self, features: Mapping[str, float]) -> float:
        """Of one case, from what was measured of it."""
        return log_odds_of(self, features)

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


def _require_whole(one: LockedCandidate | CandidatePart) -> None:
    """Raise ValueError where numbers do not go with the features."""
    count = len(one.features)
    for name in _PER_FEATURE:
        found = len(getattr(one, name))
        optional = name in ("lowest", "highest") or (name == "coefficients" and one.trees)
        if found != count and not (optional and not found):
            raise ValueError(f"{found} numbers in '{name}' for {count} features")
    for tree in one.trees:
        if (most := max(read_tree(tree).feature)) >= count:
            raise ValueError(f"a tree asks for feature {most} of {count}")
    known = set(one.features)
    if strange := [name for column in one.columns for name in column.features if name not in known]:
        raise ValueError(f"column '{strange[0]}' is no feature of the candidate")
