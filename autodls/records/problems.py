"""What is wrong with a dataset, one line for each thing to repair."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that a person has to repair (error) or to know (warning).

    `case` is empty where the problem is one of the whole dataset.
    """

    case: str
    severity: Literal["error", "warning"]
    what: str
    repair: str

    @property
    def is_error(self) -> bool:
        """Whether the problem has to be repaired before the dataset can be used."""
        return self.severity == "error"

    def __str__(self) -> str:
        """The problem as one line."""
        return f"case {self.case}: {self.what}; {self.repair}" if self.case else f"{self.what}; {self.repair}"


def error(case: str, what: str, repair: str) -> Problem:
    """A problem that has to be repaired."""
    return Problem(case, "error", what, repair)


def warning(case: str, what: str, repair: str) -> Problem:
    """A problem that does not stop anything."""
    return Problem(case, "warning", what, repair)
