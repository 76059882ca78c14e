"""model.json: the locked model."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from autodls.errors import InputError, ModelFolderError
from autodls.records.base import Record, json_bytes
from autodls.records.dataset import ChannelNames, FileEnding, Target
from autodls.records.files import sha256_of_bytes, sha256_of_file
from autodls.records.model_folders import RoiKind
from autodls.records.roi_labels import RoiLabels
from autodls.records.scale import LogisticScale
from autodls.records.update import ModelUpdate

Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
_NEWER = (
    "cautions",
    "other_labels",
    "training_patients",
    "fold_scales",
    "fold_correlation",
    "ensemble_recalibration",
    "sample_format",
    "updated",
)


class ModelRecord(Record):
    """What turns the networks' outputs into a score and a call, and the hashes that hold it together."""

    format: Literal["autodls-model/1"] = "autodls-model/1"
    dataset: str = Field(description="what it was trained on, by name")
    target: Target = Field(description="which cases are positive")
    channel_names: ChannelNames = Field(description="sequences by the number in the names of their files")
    file_ending: FileEnding = Field(description="of images and ROIs")
    roi_channel: str = Field(description="the sequence whose grid carries the ROI")
    roi_labels: tuple[int, ...] = Field(min_length=1, description="values of an ROI image that mean tumour")
    other_labels: tuple[int, ...] = Field(
        default=(), description="values of an ROI image that are known and no tumour; left out where there is none"
    )
    rois: RoiKind = Field(description="the ROIs that the model was trained on")
    folds: Annotated[int, Field(ge=1)] = Field(description="number of networks of each kind")
    training_cases: Count = Field(description="cases that it was trained on")
    training_positives: Count = Field(description="positive cases among them")
    training_patients: Count | None = Field(
        default=None, description="of these cases; left out where every case is a patient of its own"
    )
    fold_scales: tuple[dict[str, LogisticScale], ...] = Field(
        default=(),
        description="of each fold, by row: from its log-odds to those that all folds share; absent from older models",
    )
    recalibration: LogisticScale = Field(description="from log-odds of one fold to the score, fitted out of fold")
    fold_correlation: float | None = Field(
        default=None, description="of two folds' log-odds within a class; absent where it cannot be told"
    )
    ensemble_recalibration: LogisticScale | None = Field(
        default=None, description="from mean log-odds of the folds to the score; where absent, 'recalibration' serves"
    )
    cutoff: Probability = Field(description="call a case high when its score is at or above this")
    cutoff_source: str = Field(description="the rule that chose it")
    youden_cutoff: Probability = Field(description="Youden's cut-off of the same out-of-fold scores, for comparison")
    plan_sha256: str = Field(description="SHA-256 of plan.json")
    fingerprint_sha256: str = Field(description="SHA-256 of fingerprint.json")
    splits_sha256: str = Field(description="SHA-256 of splits.json")
    oof_scores_sha256: str = Field(description="SHA-256 of oof_scores.csv")
    sample_format: str | None = Field(
        default=None, description="of the pictures that it was trained on; absent from older models"
    )
    files: dict[str, str] = Field(description="SHA-256 of every weights file, by its name in the model folder")
    segmenter_sha256: str | None = Field(
        default=None, description="of segmentation/segmenter.json, in a model that can draw ROIs itself"
    )
    card_sha256: str | None = Field(default=None, description="of MODEL_CARD.md; absent from older models")
    cautions: tuple[str, ...] = Field(
        default=(), description="why its score is not to be relied on, a clause each; left out where there is none"
    )
    updated: ModelUpdate | None = Field(
        default=None, description="of a model that was updated at a second site: from which one, how, on what"
    )
    versions: dict[str, str] = Field(description="of AutoDLS, Python and libraries")
    record_sha256: str = Field(default="", description="SHA-256 of this record with this field empty")

    @model_validator(mode="after")
    def _scale_a_fold(self) -> Self:
        if self.fold_scales and len(self.fold_scales) != self.folds:
            raise ValueError(f"{len(self.fold_scales)} fold_scales for {self.folds} folds")
        return self

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a model does not have is left out where older versions did, so that the hash of theirs still fits."""
        content: dict[str, Any] = write(self)
        absent = {name for name in _NEWER if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in content.items() if name not in absent}

    @property
    def mask_labels(self) -> RoiLabels:
        """Values of a manual ROI that mean tumour, and the others."""
        return RoiLabels(self.roi_labels, self.other_labels)

    @classmethod
    def load(cls, path: Path, repair: str, error: type[InputError] = ModelFolderError) -> Self:
        """Read the record; raises `error`, ending in `repair`, also where a field was edited since it was sealed."""
        return cls.load_hashed(path, repair, error)[0]

    @classmethod
    def load_hashed(cls, path: Path, repair: str, error: type[InputError] = ModelFolderError) -> tuple[Self, str]:
        """The record and the SHA-256 of the very bytes that it was read from; raises as `load`."""
        record, sha256 = super().load_hashed(path, repair, error)
        if not record.is_sealed:
            raise error(
                f"{path}: altered since the model was locked (record_sha256 '{record.record_sha256[:12]}' does not fit "
                f"its content); {repair}"
            )
        return record, sha256

    def sealed(self) -> Self:
        """This record with `record_sha256` filled in, so that a later edit of any field shows."""
        return self.model_copy(update={"record_sha256": self._content_sha256()})

    @property
    def is_sealed(self) -> bool:
        """Whether the record is as it was when it was sealed; older versions sealed it without a hash of the card."""
        content = self.model_copy(update={"record_sha256": ""})
        without_card = content.model_dump(mode="json", exclude={"card_sha256"})
        older = sha256_of_bytes(json_bytes(without_card)) if self.card_sha256 is None else None
        return self.record_sha256 in (content.sha256(), older)

    def _content_sha256(self) -> str:
        return self.model_copy(update={"record_sha256": ""}).sha256()


def require_unaltered(path: Path, expected_sha256: str, repair: str) -> None:
    """Raise ModelFolderError, ending in `repair`, unless the file `path` can be read and has the hash of its record."""
    try:
        found = sha256_of_file(path)
    except OSError as failure:
        raise ModelFolderError(f"{path}: cannot be read ({failure.strerror}); {repair}") from None
    require_same_sha256(path, found, expected_sha256, repair)


def require_same_sha256(path: Path, found: str, expected: str, repair: str) -> None:
    """Raise ModelFolderError, ending in `repair`, unless what was read from `path` has the hash of its record."""
    if found != expected:
        raise ModelFolderError(f"{path}: altered (SHA-256 {found[:12]}, expected {expected[:12]}); {repair}")
