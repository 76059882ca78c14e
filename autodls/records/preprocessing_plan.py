"""The part of plan.json that says how images become samples."""

from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from autodls.errors import ArgumentError
from autodls.limits import MOST_INPUT_PX, MOST_SAMPLE_NUMBERS
from autodls.records.base import Record
from autodls.records.number_types import Count, Positive
from autodls.records.roi_labels import LesionsBy

MOST_SAMPLES = 2048  # along the side of a plane: more than any MR image has
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


def require_one_value(plan: LesionPlan | None, what: str, repair: str) -> None:
    """Raise ArgumentError where lesions are told apart by values of the ROI, of which `what` have one alone."""
    if plan is not None and plan.told_by == "labels":
        raise ArgumentError(f"lesions are told apart by the labels of the ROI, and {what} have one; {repair}")


class IntensityPlan(Record):
    """How the intensities of one sequence become network input."""

    scheme: Literal["zscore", "minmax_zscore", "window"] = Field(
        description="zscore: clip to percentiles of the field of view, then z-score; minmax_zscore: the paper's 0-1 "
        "scaling, then z-score; window: a fixed window in HU for CT, in SUV for PET"
    )
    clip_percentiles: tuple[float, float] | None = Field(default=None, description="percent, for scheme zscore")
    window_hu: tuple[float, float] | None = Field(default=None, description="lower and upper bound, for scheme window")
    window_suv: tuple[float, float] | None = Field(default=None, description="the same in SUV; one of the two is given")

    @property
    def window(self) -> tuple[float, float] | None:
        """Lower and upper bound in the unit of the images."""
        return self.window_hu if self.window_suv is None else self.window_suv

    @model_serializer(mode="wrap")
    def _without_suv(self, as_ever: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Plans that were written before PET had a window keep their bytes, and so their hash."""
        content: dict[str, object] = as_ever(self)
        return {name: value for name, value in content.items() if name != "window_suv" or value is not None}

    @model_validator(mode="after")
    def _complete(self) -> "IntensityPlan":
        if self.window_hu is not None and self.window_suv is not None:
            raise ValueError(f"a window is in HU or in SUV, got {self.window_hu} and {self.window_suv}")
        needed = {"zscore": self.clip_percentiles, "window": self.window}.get(self.scheme, ())
        if needed is None:
            raise ValueError(f"scheme {self.scheme} needs its bounds")
        for bounds in (self.clip_percentiles, self.window):
            if bounds is not None and bounds[0] >= bounds[1]:
                raise ValueError(f"bounds must be increasing, got {bounds}")
        if self.clip_percentiles is not None and not 0 <= self.clip_percentiles[0] < self.clip_percentiles[1] <= 100:
            raise ValueError(f"clip_percentiles must lie within 0 to 100, got {self.clip_percentiles}")
        return self


class PreprocessingPlan(Record):
    """From volumes to one 2.5D sample a case, or one a lesion."""

    roi_channel: str = Field(description="the sequence whose grid carries the ROI")
    registration: Literal["none", "geometry", "rigid", "auto"] = Field(
        description="none: all grids equal; geometry: through spacing, direction and origin; auto: likewise, but a "
        "sequence that lies beside the tumour by its header is searched by mutual information, or is missing; rigid: "
        "every sequence of every case by mutual information"
    )
    spacing_mm: Positive = Field(description="isotropic grid on which planes are chosen and sampled")
    crop_mm: Annotated[float, Field(gt=0, le=1000)] = Field(
        description="side of the square around the tumour's largest part"
    )
    slice_size_px: Annotated[int, Field(ge=32, le=MOST_SAMPLES)] = Field(description="side of a stored plane")
    input_size_px: Annotated[int, Field(ge=32, le=MOST_INPUT_PX)] = Field(
        description="side of the network input, cropped from the plane"
    )
    intensity: dict[str, IntensityPlan] = Field(description="by sequence, in the order of the channels")
    lesions: LesionPlan | None = Field(
        default=None, description="how the lesions of a patient are told apart; left out: the ROI is one tumour"
    )

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Without lesions where they are not told apart, so that the hashes of older plans and samples still fit."""
        content: dict[str, object] = write(self)
        return {name: value for name, value in content.items() if name != "lesions" or value is not None}

    @property
    def seen_mm(self) -> float:
        """Side of the middle of the square that the network sees when it scores."""
        return self.crop_mm * self.input_size_px / self.slice_size_px

    @model_validator(mode="after")
    def _consistent(self) -> "PreprocessingPlan":
        if self.roi_channel not in self.intensity:
            raise ValueError(f"roi_channel '{self.roi_channel}' is not one of {list(self.intensity)}")
        if self.input_size_px > self.slice_size_px:
            raise ValueError(f"input_size_px {self.input_size_px} exceeds slice_size_px {self.slice_size_px}")
        if (
            numbers := 6 * len(self.intensity) * self.slice_size_px**2
        ) > MOST_SAMPLE_NUMBERS:  # three planes, with ROIs
            raise ValueError(
                f"slice_size_px {self.slice_size_px} for {len(self.intensity)} sequences makes samples of {numbers} "
                f"numbers, expected at most {MOST_SAMPLE_NUMBERS}"
            )
        if self.crop_mm > MOST_SAMPLES * self.spacing_mm:
            raise ValueError(
                f"crop_mm {self.crop_mm:g} at spacing_mm {self.spacing_mm:g} is a plane of "
                f"{self.crop_mm / self.spacing_mm:.0f} samples a side, expected at most {MOST_SAMPLES}"
            )
        if self.crop_mm < self.spacing_mm:
            raise ValueError(f"crop_mm {self.crop_mm:g} is less than one sample of spacing_mm {self.spacing_mm:g}")
        return self
