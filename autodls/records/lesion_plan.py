"""How the lesions of a patient are told apart, where each is scored: a part of plan.json."""

from typing import Annotated, Literal

from pydantic import Field

from autodls.records.base import Record
from autodls.records.number_types import Count

LesionsBy = Literal["components", "labels"]
MOST_LESIONS = 100  # of a patient, by any plan: each is a sample of several MB


class LesionPlan(Record):
    """One score a lesion, and for the patient the mean of their log-odds."""

    told_by: LesionsBy = Field(
        description="components: parts of the ROI that are connected, also at a corner of a voxel; labels: each value "
        "of the ROI that means tumour is one lesion"
    )
    least_mm3: Annotated[float, Field(ge=0, le=1e9)] = Field(
        description="a smaller one is no lesion of its own: it is taken to the nearest that is, and flagged"
    )
    most: Annotated[Count, Field(le=MOST_LESIONS)] = Field(
        description="a patient with more is refused: they may be noise of a mask, and cost memory"
    )
