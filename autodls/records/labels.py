"""labels.json: what a reader shall see in place of the names that data and files use."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from autodls.errors import ArgumentError
from autodls.records.base import Record, some_of
from autodls.records.formatting import plain

MOST_SIGNS = 80
_REPAIR = "correct the file of --labels"


def _one_line(text: str) -> str:
    if not text.strip() or plain(text) != text:
        raise ValueError("must be one line of text without spaces around it")
    if len(text) > MOST_SIGNS:
        raise ValueError(f"has {len(text)} signs, expected at most {MOST_SIGNS}")
    return text


Label = Annotated[str, AfterValidator(_one_line)]


class ClassLabels(Record):
    """What the two classes are called."""

    positive: Label | None = Field(default=None, description="label of the positive class")
    negative: Label | None = Field(default=None, description="label of the negative class")


class Labels(Record):
    """Labels by the names of scores, cohorts and sequences; what is not named keeps its name.

    `endpoint` is what is survived, `survival_unit` the unit of time. Of each kind all labels differ, and none is
    another name of its kind.
    """

    scores: Mapping[str, Label] = Field(default_factory=dict, description="labels by score")
    cohorts: Mapping[str, Label] = Field(default_factory=dict, description="labels by cohort")
    sequences: Mapping[str, Label] = Field(default_factory=dict, description="labels by sequence")
    endpoint: Label | None = Field(default=None, description="what is survived")
    classes: ClassLabels = Field(default=ClassLabels(), description="labels of the two classes")
    survival_unit: Label | None = Field(default=None, description="unit of time")

    @model_validator(mode="after")
    def _are_told_apart(self) -> Self:
        kinds = {"scores": {**self.sequences, **self.scores}, "cohorts": self.cohorts, "sequences": self.sequences}
        for kind, labels in kinds.items():
            if twice := [label for label, count in Counter(labels.values()).items() if count > 1]:
                raise ValueError(f"{kind}: the label '{twice[0]}' stands for two names; give each its own")
        other = {"positive": self.classes.negative, "negative": self.classes.positive}
        if taken := [label for name, label in other.items() if label is not None and label.casefold() == name]:
            raise ValueError(f"classes: '{taken[0]}' is the name of the other class; choose another label")
        if self.classes.positive is not None and self.classes.positive == self.classes.negative:
            raise ValueError(f"classes: both are '{self.classes.positive}'; give each its own")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """The labels in the file `path`; raises ArgumentError with one line of what is wrong."""
        return cls.load(path, _REPAIR, ArgumentError)

    def require_known(
        self, *, scores: Iterable[str], cohorts: Iterable[str], sequences: Iterable[str], followed: bool
    ) -> None:
        """Raise ArgumentError where a label is for a name that is not there, or is itself the name of another."""
        known = {"scores": tuple(scores), "cohorts": tuple(cohorts), "sequences": tuple(sequences)}
        for kind, labels in (("scores", self.scores), ("cohorts", self.cohorts), ("sequences", self.sequences)):
            there = known[kind]
            if unknown := [name for name in labels if name not in there]:
                names = f"there are {some_of(there, 30)}" if there else "there are none here"
                raise ArgumentError(f"--labels: {kind}: no '{some_of(unknown[:1])}'; {names}")
            named = there if kind == "cohorts" else (*known["scores"], *known["sequences"])
            if taken := [label for name, label in labels.items() if label != name and label in named]:
                raise ArgumentError(f"--labels: {kind}: '{taken[0]}' is the name of another one; choose another label")
        if not followed and (word := "endpoint" if self.endpoint else "survival_unit" if self.survival_unit else None):
            raise ArgumentError(f"--labels: {word}: nothing is known of follow-up here; leave it out")
