"""dataset.json: nnU-Net's keys and one of ours."""

import operator
import re
from collections.abc import Callable, Sized
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from autodls.errors import DatasetError
from autodls.limits import MOST_LISTED, MOST_NAME_SIGNS
from autodls.records.base import Record
from autodls.records.case_id import case_id_fault
from autodls.records.columns import number_in
from autodls.records.roi_labels import LesionsBy, RoiLabels, roi_labels, tumour_names, values_of

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_RULE = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*([+-]?\d+(?:\.\d+)?)\s*", re.ASCII)
_RESERVED = frozenset(
    {
        "case",
        "fold",
        "label",
        "dls",
        "dls_raw",
        "present",
        "rois",
        "fusion",
        "fine-tuning",
        "call",
        "cutoff",
        "spread",
        "flags",
        "failed",
    }
)
FILE_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")


def _named_channels(channels: dict[str, str]) -> dict[str, str]:
    _require_few(channels)
    if sorted(channels, key=lambda key: (len(key), key)) != [str(index) for index in range(len(channels))]:
        raise ValueError(f"keys must be '0', '1', ... without gaps, got {list(channels)}")
    if not channels or len({name.lower() for name in channels.values()}) != len(channels):
        raise ValueError(f"names must be given and differ, also in lower case, got {list(channels.values())}")
    for name in channels.values():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", name):
            raise ValueError(f"'{name}' must be made of letters, digits, '_', '.', '+' and '-'")
        if fault := case_id_fault(name.replace("+", "_")):
            raise ValueError(f"'{name[:20]}' {fault}; it is to be the name of a file, so choose another channel name")
        if name.lower() in _RESERVED:
            raise ValueError(f"'{name}' is the name of a column or file of ours; choose another channel name")
    return {str(index): channels[str(index)] for index in range(len(channels))}


def _known_ending(ending: str) -> str:
    if ending not in FILE_ENDINGS:
        raise ValueError(f"must be one of {list(FILE_ENDINGS)}, got '{ending}'")
    return ending


def _require_few(names: Sized) -> None:
    if len(names) > MOST_LISTED:
        raise ValueError(f"names {len(names)}, expected at most {MOST_LISTED}")


def _few(names: tuple[str, ...]) -> tuple[str, ...]:
    _require_few(names)
    return names


def _class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    _require_few(names)
    if not names or not all(name.strip() for name in names) or len(set(names)) < len(names):
        raise ValueError(f"must name one class or more, each once and none of them empty, got {list(names)}")
    return tuple(name.strip() for name in names)


Name = Annotated[str, Field(max_length=MOST_NAME_SIGNS)]  # one that stands in lines and tables
Text = Annotated[str, Field(coerce_numbers_to_str=True)]  # a number in JSON is the text of its cell
FewNames = Annotated[tuple[str, ...], AfterValidator(_few)]
ChannelNames = Annotated[dict[str, str], AfterValidator(_named_channels)]
FileEnding = Annotated[str, AfterValidator(_known_ending)]


class Target(Record):
    """The question: which cases are positive.

    >>> Target(name="PD-L1 high", column="cps", positive=">= 20").is_positive(20.0)
    True
    """

    name: Name = Field(description="what a positive case is called, as figures say it")
    column: Name = Field(description="column of the table that decides")
    positive: str | tuple[Text, ...] = Field(description="a comparison with a number, as '>= 20', or names of classes")

    @field_validator("positive")
    @classmethod
    def _readable(cls, rule: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(rule, tuple):
            return _class_names(rule)
        if not _RULE.fullmatch(rule):
            raise ValueError(
                f"must be one of {list(_COMPARISONS)} and a number, such as '>= 20', or a list of the classes that are "
                f"positive, got '{rule}'"
            )
        return rule

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that are positive; none where a number decides."""
        return self.positive if isinstance(self.positive, tuple) else ()

    @property
    def rule(self) -> str:
        """Column and rule in words.

        >>> Target(name="PD-L1 high", column="pdl1", positive=("high", "1")).rule
        "pdl1 is 'high' or '1'"
        """
        return f"{self.column} {self.condition}"

    @property
    def condition(self) -> str:
        """The rule without its column: ">= 20", or "is 'high' or '1'"."""
        if isinstance(self.positive, str):
            return self.positive
        return f"is {' or '.join(repr(name) for name in self.positive)}"

    def is_positive(self, value: float) -> bool:
        """Whether a case with `value` in the target column is positive."""
        matched = None if isinstance(self.positive, tuple) else _RULE.fullmatch(self.positive)
        if matched is None:
            raise DatasetError(f"target rule '{self.positive}' is not a comparison with a number")
        return _COMPARISONS[matched[1]](value, float(matched[2]))

    def is_positive_class(self, cell: str) -> bool:
        """Whether a case of the class `cell` is positive; 1 and 1.0 are one class.

        >>> Target(name="high", column="pdl1", positive=("high", "1")).is_positive_class("1.0")
        True
        """
        number = number_in(cell)
        return cell in self.classes or (number is not None and number in map(number_in, self.classes))


class CohortColumn(Record):
    """Which column says where a case belongs, and which of its values are trained on."""

    column: str = Field(description="column of the table that says where a case belongs")
    training: FewNames = Field(
        min_length=1, description="its values that are trained on; cases of all others are held out"
    )


class SurvivalColumns(Record):
    """Follow-up time and event."""

    time: str = Field(description="column of the follow-up time")
    event: str = Field(description="column of the event: 1 where it was seen, 0 where follow-up ended before")
    unit: Literal["days", "weeks", "months", "years"] = Field(description="of time and landmark")
    name: str | None = Field(default=None, description="what is survived, as figures say it")
    landmark: float | None = Field(default=None, gt=0, description="time after which benefit is durable")


class StudySettings(Record):
    """The key "autodls" of dataset.json."""

    target: Target = Field(description="the question: which cases are positive")
    roi_channel: str | None = Field(
        default=None, description="the sequence whose grid carries the ROI; the last channel where it is left out"
    )
    case: str = Field(default="case", description="column of case ids")
    patient: str | None = Field(default=None, description="column of patients; left out: every case is a patient")
    site: str | None = Field(
        default=None, description="column of hospitals or scanners, over which folds are stratified"
    )
    cohort: CohortColumn | None = Field(default=None, description="left out: every case is trained on")
    survival: SurvivalColumns | None = Field(default=None, description="follow-up, for curves and hazard ratios")
    clinical: tuple[str, ...] = Field(
        default=(), description="columns that were known beforehand, for tables, shortcut baselines and candidates"
    )
    missing: dict[str, Annotated[tuple[Text, ...], AfterValidator(_few)]] = Field(
        default_factory=dict, description="by column, the codes that mean a missing value"
    )
    tumor: tuple[str, ...] | None = Field(
        default=None, description="the labels that are tumour, where there are others"
    )
    lesions: LesionsBy | None = Field(
        default=None,
        description="how the lesions of a patient are told apart, each of which is then scored: components, connected "
        "parts of the ROI; labels, a value of the ROI each. Left out: one ROI, one tumour",
    )

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without lesions where there are none, as by versions that did not know them."""
        content: dict[str, Any] = write(self)
        return {name: value for name, value in content.items() if name != "lesions" or value is not None}

    @field_validator("clinical")
    @classmethod
    def _named_once(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        _require_few(columns)
        if twice := [column for column in dict.fromkeys(columns) if columns.count(column) > 1]:
            raise ValueError(f"'{twice[0]}' stands there twice")
        return columns


class DatasetDescription(Record):
    """dataset.json; keys of nnU-Net that we do not use are kept out of our way."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    name: Name = Field(default="dataset", description="what the dataset is called in plan and report")
    channel_names: ChannelNames = Field(
        description="sequences by the number in the names of their files: 0 is CASE_0000"
    )
    labels: dict[str, int | tuple[int, ...]] = Field(description="values of an ROI image by name; background is 0")
    numTraining: int | None = Field(default=None, description="of nnU-Net; not used")  # noqa: N815
    file_ending: FileEnding = Field(
        default=".nii.gz", description="of all images and ROIs: .nii.gz, .nii, .nrrd or .mha"
    )
    autodls: StudySettings = Field(description="our settings")

    @field_validator("labels")
    @classmethod
    def _tumour_named(cls, labels: dict[str, int | tuple[int, ...]]) -> dict[str, int | tuple[int, ...]]:
        _require_few(labels)
        if "ignore" in labels:
            raise ValueError("nnU-Net's label 'ignore' is not supported; every voxel is tumour or background")
        if labels.get("background", 0) != 0:
            raise ValueError(f"background must be 0, got {labels['background']}: as in nnU-Net, 0 is what is not drawn")
        values = values_of(labels, [name for name in labels if name != "background"])
        if not values or min(values) < 1:
            raise ValueError(f"must hold background 0 and a positive value that means tumour, got {labels}")
        return labels

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the sequences, in the order of the channels."""
        return tuple(self.channel_names.values())

    @property
    def roi_channel(self) -> str:
        """The sequence that the ROI was drawn on: as given, else the last channel."""
        return self.autodls.roi_channel or self.sequences[-1]

    @property
    def roi_labels(self) -> RoiLabels:
        """Values of an ROI image that mean tumour, and the others; raises DatasetError where they cannot be told."""
        return roi_labels(self.labels, self.autodls.tumor)

    @property
    def not_tumour(self) -> tuple[str, ...]:
        """Labels that are not counted as tumour though `autodls.tumor` does not say so: by their names they are not."""
        if self.autodls.tumor is not None:
            return ()
        tumour = tumour_names(self.labels)
        return tuple(name for name in self.labels if name not in ("background", *tumour))
