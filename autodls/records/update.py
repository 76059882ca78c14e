"""How a locked model was updated on the cases of another hospital."""

from typing import Annotated, Literal

from pydantic import Field

from autodls.records.base import Record

Method = Literal["none", "intercept", "intercept+slope"]
Count = Annotated[int, Field(ge=0)]


class Figure(Record):
    """A number with its 95 % limits, or the reason why there is none."""

    value: float | None = Field(default=None, description="the estimate")
    low: float | None = Field(default=None, description="lower limit of the 95 % interval")
    high: float | None = Field(default=None, description="upper limit of the 95 % interval")
    reason: str | None = Field(default=None, description="why there is no number")


class UpdateFigures(Record):
    """One model on the cases of the second site."""

    intercept_large: Figure = Field(description="calibration-in-the-large: 0 where as many are positive as predicted")
    slope: Figure = Field(description="of calibration: 1 where the log-odds spread as they should")
    brier: Figure = Field(description="Brier score")
    sensitivity: Figure = Field(description="at the cut-off")
    specificity: Figure = Field(description="at the cut-off")


class ModelUpdate(Record):
    """What was fitted on which cases, and both models' figures on them.

    The new log-odds are `slope` * those of the first model + `intercept`.
    """

    model_sha256: str = Field(description="of the first model's model.json")
    dataset: str = Field(description="that it was updated on, by name")
    cases: Count = Field(description="that it was fitted to")
    positives: Count = Field(description="positive cases among them")
    method: Method = Field(description="what was fitted")
    asked: bool = Field(description="whether a person named the method; else the tests chose it")
    p_any: float | None = Field(description="of the likelihood-ratio test that the first model needs no update")
    p_slope: float | None = Field(description="of the test that its slope needs none; null where too few for a slope")
    slope: float = Field(description="factor of the first log-odds")
    intercept: float = Field(description="added to them")
    cutoff: float = Field(description="the new one")
    cutoff_before: float = Field(description="the first model's")
    folds: Annotated[int, Field(ge=2)] = Field(description="of the cross-fitting of its figures")
    fold_methods: tuple[Method, ...] = Field(description="what each fold chose without the cases that it judges")
    auc: Figure = Field(description="of both models: the update keeps the order of the cases")
    before: UpdateFigures = Field(description="the first model, which saw none of these cases")
    after: UpdateFigures = Field(description="the updated model, each case by a fold that did not fit it")
    brier_gain: Figure = Field(description="Brier score of the first model less that of the updated one, paired")
