"""What the training cohort looks like: the only thing, beside the preset, that a plan is derived from."""

from typing import Any, Literal, Self

from pydantic import (
    AliasChoices,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from autodls.records.base import Record
from autodls.records.plane_names import PlaneName
from autodls.records.roi_labels import LesionsBy

_KEY, _OLDER_KEY = "foreground_percentiles", "head_percentiles"


class Quantiles(Record):
    """Spread of one quantity over cases."""

    minimum: float = Field(description="the least")
    p5: float = Field(description="5th percentile")
    median: float = Field(description="50th percentile")
    p95: float = Field(description="95th percentile")
    maximum: float = Field(description="the greatest")


class SequenceFingerprint(Record):
    """One sequence over all training cases that have it."""

    cases: int = Field(description="training cases with this sequence")
    share_missing: float = Field(description="share of training cases without it")
    spacing_mm: tuple[Quantiles, Quantiles, Quantiles] | None = Field(description="x, y, z; None without any case")
    shape: tuple[Quantiles, Quantiles, Quantiles] | None = Field(description="voxels in x, y, z")
    obliqueness_deg: Quantiles | None = Field(description="largest angle of an image axis to its nearest body axis")
    foreground_percentiles: dict[str, Quantiles] | None = Field(
        validation_alias=AliasChoices(_KEY, _OLDER_KEY),
        description="intensity percentiles 0.5, 5, 50, 95, 99.5 of each case's foreground, over cases",
    )
    field_of_view_mm: tuple[Quantiles, Quantiles, Quantiles] | None = Field(
        default=None, description="voxels times spacing, in x, y, z"
    )
    contrast: dict[str, Quantiles] | None = Field(
        default=None,
        description="what does not depend on the unit of the intensities; see planning.sequence_measure.contrast",
    )
    roi_percentiles: dict[str, Quantiles] | None = Field(description="the same inside the ROI")
    roi_clipped: dict[str, Quantiles] | None = Field(
        default=None,
        description='share of the ROI "below" the lowest and "above" the highest of the foreground percentiles',
    )
    same_grid_as_roi: float = Field(description="share of its cases whose grid equals that of the ROI sequence")
    overlap_with_roi: float = Field(description="smallest share of a tumour's bounding box that this sequence covers")
    _is_older: bool = PrivateAttr(default=False)

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, content: object, read: ModelWrapValidatorHandler[Self]) -> Self:
        """With the key of older versions as well."""
        found = read(content)
        if isinstance(content, dict) and _OLDER_KEY in content:
            found._is_older = True
        return found

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """By the key that it was read by, so that the hash of an older version's still fits."""
        content: dict[str, Any] = write(self)
        return {_OLDER_KEY if self._is_older and key == _KEY else key: value for key, value in content.items()}


class TumourFingerprint(Record):
    """Size of the tumour over training cases."""

    extent_mm: dict[PlaneName, Quantiles] = Field(
        description="side of the smallest square around the tumour's largest connected part in the plane of its "
        "largest area; around all of the tumour where multifocal is null"
    )
    volume_ml: Quantiles = Field(description="of all parts")
    components: Quantiles = Field(description="connected parts of a tumour")
    multifocal: int | None = Field(
        default=None, description="training cases whose tumour has several connected parts; null from older versions"
    )
    share_beside_largest: Quantiles | None = Field(
        default=None, description="share of the tumour's volume that is not in its largest part"
    )


class LesionFingerprint(Record):
    """The lesions of the training cohort, where each is scored."""

    told_by: LesionsBy = Field(description="as dataset.json says")
    total: int = Field(description="in all training cases together")
    per_case: Quantiles = Field(description="lesions of a case")


class PatientCounts(Record):
    """Patients with several cases, by class; a patient with cases of both counts as positive in folds."""

    positive: int = Field(description="patients with a positive case")
    negative: int = Field(description="patients with a negative case")
    both: int = Field(description="patients with cases of both classes, who are in both of these numbers")
    effective_positive: float = Field(
        description="independent cases that the positive ones are worth, were those of a patient to say the same"
    )
    effective_negative: float = Field(description="the same of the negative ones")


class Fingerprint(Record):
    """The training cohort, summarised."""

    format: Literal["autodls-fingerprint/1"] = "autodls-fingerprint/1"
    dataset: str = Field(description="its name")
    roi_channel: str = Field(description="the sequence whose grid carries the ROI")
    cases: int = Field(description="of the training cohort")
    patients: int = Field(description="of the training cohort")
    positives: int = Field(description="positive cases")
    sites: dict[str, int] = Field(description="training cases by site; empty without a site column")
    cohort_sha256: str = Field(
        description="of id, patient, site and label of every training case; empty in a model folder"
    )
    inputs_sha256: str = Field(
        description="of every image and ROI file of the training cohort; empty in a model folder"
    )
    roi_labels: tuple[int, ...] = Field(default=(), description="values of an ROI image that mean tumour")
    sequences: dict[str, SequenceFingerprint] = Field(description="by name")
    tumour: TumourFingerprint = Field(description="its size")
    by_patient: PatientCounts | None = Field(
        default=None, description="left out where every case is a patient of its own"
    )
    lesions: LesionFingerprint | None = Field(default=None, description="left out where the ROI is one tumour")

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without counts that older versions did not have, so that the hash of theirs still fits."""
        content: dict[str, Any] = write(self)
        newer = ("by_patient", "lesions")
        return {name: value for name, value in content.items() if name not in newer or value is not None}

    @property
    def samples(self) -> int:
        """What is made of the training cohort: a sample a case, or a lesion."""
        return self.cases if self.lesions is None else self.lesions.total

    @property
    def counts(self) -> PatientCounts:
        """Patients by class."""
        if self.by_patient is not None:
            return self.by_patient
        positive, negative = self.positives, self.cases - self.positives
        return PatientCounts(
            positive=positive,
            negative=negative,
            both=0,
            effective_positive=positive,
            effective_negative=negative,
        )

    def travelling(self) -> "Fingerprint":
        """As it stands in a model folder: without the hashes by which whoever has ids could try out their labels."""
        return self.model_copy(update={"cohort_sha256": "", "inputs_sha256": ""})
