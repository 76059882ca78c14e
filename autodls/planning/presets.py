"""Presets: values given by a person or by a paper. What a preset does not give, a rule derives."""

import difflib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError, field_validator

from autodls.errors import PlanError
from autodls.planning.rules import RULES
from autodls.records.base import Record, first_fault
from autodls.records.plan import FusionPlan, NetworkPlan, TrainingPlan
from autodls.records.preprocessing_plan import IntensityPlan, PreprocessingPlan
from autodls.records.segmentation_plan import MaskPolicy, SegmentationPlan

DERIVE = "derive"
_RECORDS: dict[str, type[Record]] = {
    "preprocessing": PreprocessingPlan,
    "network": NetworkPlan,
    "network.fusion": FusionPlan,
    "training": TrainingPlan,
    "segmentation": SegmentationPlan,
    "segmentation.mask": MaskPolicy,
}


class Preset(Record):
    """Given values by dotted name of the plan's field; "derive" and a field left out mean the same.

    "preprocessing.intensity" is given once, for every sequence.

    >>> Preset(name="mine", given={"training.epochs": 30}).values
    {'training.epochs': 30}
    """

    format: Literal["autodls-preset/1"] = "autodls-preset/1"
    name: str = Field(min_length=1, description="what plans call it")
    about: str = Field(default="", description="in words")
    given: dict[str, JsonValue] = Field(
        description='values by dotted name of a key of plan.json; "derive" is the same as leaving it out'
    )
    notes: dict[str, str] = Field(default={}, description="by dotted name: a sentence that is added to its reason")

    @field_validator("given", "notes")
    @classmethod
    def _known(cls, entries: dict[str, Any]) -> dict[str, Any]:
        for name in entries:
            if name not in RULES:
                raise ValueError(f"no field '{name}' can be given{_nearest(name, list(RULES))}")
        return entries

    @field_validator("given")
    @classmethod
    def _valid(cls, given: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name, value in given.items():
            if value == DERIVE:
                continue
            try:
                _field_type(name).validate_json(json.dumps(value), strict=True)
            except ValidationError as failure:
                raise ValueError(f"'{name}': {first_fault(failure)}") from None
        return given

    @property
    def values(self) -> dict[str, JsonValue]:
        """What is given, without what is to be derived."""
        return {name: value for name, value in self.given.items() if value != DERIVE}


def _field_type(name: str) -> TypeAdapter[Any]:
    if name == "preprocessing.intensity":
        return TypeAdapter(IntensityPlan)
    record, _, field = name.rpartition(".")
    info = _RECORDS[record].model_fields[field]
    field_type: Any = Annotated[info.annotation, info]
    return TypeAdapter(field_type)


def _nearest(name: str, valid: list[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.4)
    return f"; did you mean '{close[0]}'?" if close else ""


def presets_folder() -> Path:
    """Folder of the presets that come with the package: inside it where installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "plans"
    return installed if installed.is_dir() else package.parent / "plans"


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    return sorted(path.stem for path in presets_folder().glob("*.json"))


def load_preset(preset: str) -> Preset:
    """The preset of that name, or else the one in that file; raises PlanError."""
    names = preset_names()
    path = presets_folder() / f"{preset}.json" if preset in names else Path(preset)
    if not path.is_file():
        raise PlanError(
            f"preset '{preset}': neither one of {names} nor a file{_nearest(preset, names)}; give a name or a JSON file"
        )
    return Preset.load(path, "correct the preset")
