"""Who is trained on and who is scored, written once and checked on every read."""

from typing import Literal

from pydantic import Field, model_validator

from autodls.records.base import Record


class Fold(Record):
    """One fold: cases that train, cases of the inner hold-out, cases that the fold never sees."""

    index: int = Field(description="its number, from 0")
    train: tuple[str, ...] = Field(description="cases that its networks learn from")
    inner: tuple[str, ...] = Field(description="inner hold-out: cases that stop training and set the scale of scores")
    validation: tuple[str, ...] = Field(description="test cases: the fold never sees them, and scores them")

    @model_validator(mode="after")
    def _disjoint(self) -> "Fold":
        parts = {"train": set(self.train), "inner": set(self.inner), "validation": set(self.validation)}
        for name, members in parts.items():
            if not members:
                raise ValueError(f"fold {self.index}: {name} is empty")
        for first, second in (("train", "inner"), ("train", "validation"), ("inner", "validation")):
            if shared := parts[first] & parts[second]:
                raise ValueError(f"fold {self.index}: {len(shared)} cases in {first} and {second}, e.g. {min(shared)}")
        return self


class Splits(Record):
    """All folds of a training cohort."""

    format: Literal["autodls-splits/1"] = "autodls-splits/1"
    seed: int = Field(description="training.seed of the plan that they were drawn for")
    inner_holdout: float = Field(description="training.inner_holdout of that plan")
    cohort_sha256: str = Field(description="of id, patient, site and label of every training case")
    folds: tuple[Fold, ...] = Field(description="by number")
    inputs_sha256: str = Field(
        default="",
        description="of the images and ROIs planned for; model.json has the hash of all this, by which whoever has ids "
        "could try out their labels if it held nothing that only the workspace has",
    )

    @model_validator(mode="after")
    def _each_case_once(self) -> "Splits":
        validated = [case for fold in self.folds for case in fold.validation]
        if len(set(validated)) != len(validated):
            raise ValueError(f"{len(validated) - len(set(validated))} cases are validated by more than one fold")
        for position, fold in enumerate(self.folds):
            if fold.index != position:
                raise ValueError(f"fold at position {position} has index {fold.index}")
            if set(fold.train) | set(fold.inner) | set(fold.validation) != set(validated):
                raise ValueError(f"fold {fold.index} does not hold the same cases as the others")
        return self


class SubsetSplits(Splits):
    """Folds of which each learns from some of its cases alone, as for a learning curve; what they validate is whole."""

    @model_validator(mode="after")
    def _each_case_once(self) -> "SubsetSplits":
        validated = {case for fold in self.folds for case in fold.validation}
        for fold in self.folds:
            if strange := {*fold.train, *fold.inner} - validated:
                raise ValueError(f"fold {fold.index} learns from {min(strange)}, which no fold validates")
        return self
