"""What the readers of tables hand on: lines of stripped cells as text, before any of them is a header."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Grid:
    """Lines with their numbers in a spreadsheet; blank ones may be left out.

    `separator` is what stood between cells; `notes` says what reads otherwise than it looks, `doubts` the same of a
    column, by its place from 0.
    """

    lines: list[tuple[int, list[str]]]
    separator: str
    notes: tuple[str, ...] = ()
    doubts: Mapping[int, str] = field(default_factory=dict)
