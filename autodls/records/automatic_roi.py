"""How an automatic ROI came about, as a record."""

from typing import Literal

from pydantic import Field

from autodls.records.base import Record

MaskSource = Literal["threshold", "lower-threshold", "whole-field"]


class AutomaticRoi(Record):
    """How an automatic ROI came about, and how far it can be trusted; see `autodls.segmentation.masks.Mask`."""

    source: MaskSource = Field(
        description="threshold: 0.5; lower-threshold: that of the plan, as 0.5 left nothing or something "
        "doubtful; whole-field: nothing was found"
    )
    confidence: float = Field(description="mean foreground probability inside the mask")
    disagreement: float | None = Field(description="1 - mean pairwise Dice of several networks; None for one")
    components: int = Field(description="connected parts before the policy chose")
    volume_mm3: float = Field(description="of the mask")
    flags: tuple[str, ...] = Field(description="what a person should know of it; empty where there is no doubt")
