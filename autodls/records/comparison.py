"""What is kept of candidates: radiomic features of a case, a fold of the comparison, and results/compare.json."""

from typing import Literal

from pydantic import Field

from autodls.records.base import Record


class RadiomicFeatures(Record):
    """The radiomic features of one case; a sequence that it lacks has none."""

    format: Literal["autodls-radiomics/1"] = "autodls-radiomics/1"
    case: str
    key: str = Field(description="SHA-256 of what they are derived from: images, ROI, settings, library")
    features: dict[str, float] = Field(description="by 'shape:NAME' or 'SEQUENCE:NAME'")
    flags: tuple[str, ...] = ()
    seal: str = Field(default="", description="SHA-256 of the record without this field")

    def sealed(self) -> "RadiomicFeatures":
        """The record with its seal."""
        bare = self.model_copy(update={"seal": ""})
        return bare.model_copy(update={"seal": bare.sha256()})

    @property
    def is_sealed(self) -> bool:
        """Whether nothing was changed since it was sealed."""
        return self.sealed().seal == self.seal


class FoldComparison(Record):
    """What one fold says of every candidate; nothing in it depends on the labels of its test cases."""

    format: Literal["autodls-compare-fold/1"] = "autodls-compare-fold/1"
    key: str = Field(description="SHA-256 of what it is derived from")
    fold: int
    scores: dict[str, dict[str, float]] = Field(description="log-odds of the test cases, by candidate and case")
    early: dict[str, dict[str, float]] = Field(
        default={},
        description="the same of the early-stopping cases, by models that were fitted without them (integrated ones "
        "are cross-fitted there): what puts the folds on one scale",
    )
    settings: dict[str, str] = Field(description="what was chosen inside the training part, by candidate")
    inner: dict[str, float | None] = Field(description="AUC by cross-validation within the training part")
    stopping: dict[str, float | None] = Field(description="AUC on the early-stopping set, by models fitted without it")
    chosen: str
    seal: str = Field(default="", description="SHA-256 of the record without this field")

    def sealed(self) -> "FoldComparison":
        """The record with its seal."""
        bare = self.model_copy(update={"seal": ""})
        return bare.model_copy(update={"seal": bare.sha256()})

    @property
    def is_sealed(self) -> bool:
        """Whether nothing was changed since it was sealed."""
        return self.sealed().seal == self.seal
