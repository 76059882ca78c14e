"""What an artefact of a run says to an item of a reporting checklist: a sentence, and the files it is from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from autodls.errors import ArgumentError
from autodls.report.artefacts import Artefacts

T = TypeVar("T")


@dataclass(frozen=True)
class Evidence:
    """Names of the artefacts that are needed, and what they say.

    Nothing may be said that these artefacts do not hold, or that the program does not enforce.
    """

    needs: tuple[str, ...]
    tell: Callable[[Artefacts], str]


def known(record: T | None) -> T:
    """`record`, which the caller has found to be there; raises ArgumentError otherwise."""
    if record is None:
        raise ArgumentError("evidence was asked for of an artefact that is missing; check `Evidence.needs` first")
    return record


def says(text: str) -> Callable[[Artefacts], str]:
    """A sentence that is the same for every run that has the artefact."""
    return lambda _study: text
