"""segmenter.json: the networks that draw automatic ROIs."""

from typing import Literal

from pydantic import Field, model_validator

from autodls.records.base import Record
from autodls.records.segmentation_plan import MaskPolicy


class SegmenterRecord(Record):
    """segmenter.json: what the networks expect and how their output becomes a mask."""

    format: Literal["autodls-segmenter/1"] = "autodls-segmenter/1"
    sequences: tuple[str, ...] = Field(description="in the order of the input channels")
    roi_channel: str = Field(description="the sequence on whose grid the mask lies")
    registration: Literal["none", "geometry", "rigid", "auto"]
    configuration: Literal["2d", "3d_fullres"]
    mirror_axes: tuple[int, ...] = Field(description="axes over whose mirror images a prediction is averaged")
    mask: MaskPolicy
    folds: int = Field(ge=1, le=100)
    training_key: str = Field(description="of plan, splits and images that the networks were trained on")
    files: dict[str, str] = Field(description="SHA-256 of every other file of the folder, by its name")
    versions: dict[str, str] = Field(description="that the networks were trained with")

    @model_validator(mode="after")
    def _consistent(self) -> "SegmenterRecord":
        if self.roi_channel not in self.sequences or len(set(self.sequences)) < len(self.sequences):
            raise ValueError(f"roi_channel '{self.roi_channel}' is not one of {list(self.sequences)}, each once")
        return self
