"""What is kept of a learning curve while it is measured: scores of the test cases of a fold by fits on subsets."""

from typing import Literal

from pydantic import Field

from autodls.records.base import Record


class CurveRun(Record):
    """One fold in one repeat; nothing in it depends on the labels of its test cases."""

    format: Literal["autodls-curve-run/1"] = "autodls-curve-run/1"
    key: str = Field(description="SHA-256 of what it is derived from")
    fold: int
    repeat: int
    test: tuple[str, ...]
    scores: tuple[tuple[float, ...], ...] = Field(description="log-odds by subset, the smallest first, then test case")
    seal: str = Field(default="", description="SHA-256 of the record without this field")

    def sealed(self) -> "CurveRun":
        """The record with its seal."""
        bare = self.model_copy(update={"seal": ""})
        return bare.model_copy(update={"seal": bare.sha256()})

    @property
    def is_sealed(self) -> bool:
        """Whether nothing was changed since it was sealed."""
        return self.sealed().seal == self.seal
