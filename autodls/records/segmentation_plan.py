"""The part of the plan that concerns automatic ROIs."""

from typing import Annotated, Literal

from pydantic import Field

from autodls.records.base import Record
from autodls.records.number_types import Count, Share


class MaskPolicy(Record):
    """From foreground probabilities to the ROI that the classifier is given."""

    components: Literal["largest", "all"] | Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        description="which connected components are kept; numbers count them by volume, 1 is the largest"
    )
    lower_threshold: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        description="tried where 0.5 leaves nothing, or something doubtful"
    )
    least_confidence: Share = Field(description="mean foreground probability in the mask, below which it is doubtful")
    least_volume_mm3: Annotated[float, Field(ge=0)] = Field(description="volume below which a mask is doubtful")
    most_disagreement: Share = Field(description="1 - mean pairwise Dice of the folds, above which a mask is doubtful")


class SegmentationPlan(Record):
    """The optional nnU-Net stage."""

    planner: Literal["small", "default", "resenc_m", "resenc_l", "resenc_xl"] = Field(
        description="nnU-Net's planner, or small: 8 base features, for a CPU"
    )
    configuration: Literal["2d", "3d_fullres"] = Field(description="nnU-Net's configuration")
    epochs: Count = Field(description="of a network")
    iterations_per_epoch: Count = Field(description="batches an epoch")
    mask: MaskPolicy = Field(description="from probabilities to the ROI")
    noninferiority_margin_auc: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        description="AUC that automatic ROIs may cost and still count as not inferior; declared before any is scored"
    )
