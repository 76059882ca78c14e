"""How a locked model was updated on the cases of another hospital."""

from typing import Annotated, Literal

from pydantic import Field

from autodls.records.base import Record

Method = Literal["none", "intercept", "intercept+slope"]
Count = Annotated[int, Field(ge=0)]


class Figure(Record):
    """A number with its 95 % limits, or the reason why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


class UpdateFigures(Record):
    """One model on the cases of the second site."""

    intercept_large: Figure = Field(description="calibration-in-the-large: 0 where as many are positive as predicted")
    slope: Figure = Field(description="of calibration: 1 where the log-odds spread as they should")
    brier: Figure
    sensitivity: Figure
    specificity: Figure


class ModelUpdate(Record):
    """What was fitted on which cases, and both models' figures on them.

    The new log-odds are `slope` * those of the first model + `intercept`.
    """

    model_sha256: str = Field(description="of the first model's model.json")
    dataset: str
    cases: Count
    positives: Count
    method: Method
    asked: bool = Field(description="whether a person named the method; else the tests chose it")
    p_any: float | None = Field(description="of the likelihood-ratio test that the first model needs no update")
    p_slope: float | None = Field(description="of the test that its slope needs none; null where too few for a slope")
    slope: float
    intercept: float
    cutoff: float
    cutoff_before: float
    folds: Annotated[int, Field(ge=2)]
    fold_methods: tuple[Method, ...] = Field(description="what each fold chose without the cases that it judges")
    auc: Figure = Field(description="of both models: the update keeps the order of the cases")
    before: UpdateFigures = Field(description="the first model, which saw none of these cases")
    after: UpdateFigures = Field(description="the updated model, each case by a fold that did not fit it")
    brier_gain: Figure = Field(description="Brier score of the first model less that of the updated one, paired")
