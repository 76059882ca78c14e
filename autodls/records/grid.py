"""What the readers of tables hand on: lines of stripped cells as text, before any of them is a header."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """Lines with their numbers in a spreadsheet; blank ones may be left out.

    `separator` is what stood between cells; `notes` says what reads otherwise than it looks.
    """

    lines: list[tuple[int, list[str]]]
    separator: str
    notes: tuple[str, ...] = ()
