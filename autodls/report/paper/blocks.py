"""What a paper is made of, before it is a file of any kind."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from autodls.report.artefacts import ARTEFACTS
from autodls.report.drawn import Printed

AUTHOR, RUN = "AUTHOR", "RUN"


@dataclass(frozen=True)
class Gap:
    """What is not known here: only an author can say it, or (`RUN`) a command that was not run would."""

    what: str
    who: str = AUTHOR

    @property
    def text(self) -> str:
        """As it stands in the paper, marked.

        >>> Gap("the title").text
        '[AUTHOR: the title]'
        """
        return f"[{self.who}: {self.what}]"


@dataclass(frozen=True)
class To:
    """A table or a figure of the paper, by its key: shown as "Table 2"."""

    kind: Literal["Table", "Figure"]
    key: str


@dataclass(frozen=True)
class Cite:
    """References, by their keys: shown as "[1, 2]"."""

    keys: tuple[str, ...]


Part = str | Gap | To | Cite


@dataclass(frozen=True)
class Heading:
    """Of a section, level 1, or of a part of it."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class Paragraph:
    """Running text; `label` opens it in bold, `bullet` makes it a line of a list."""

    parts: tuple[Part, ...]
    label: str = ""
    bullet: bool = False


@dataclass(frozen=True)
class TableBlock:
    """A table with its caption and notes."""

    key: str
    printed: Printed


@dataclass(frozen=True)
class FigureBlock:
    """A picture (PNG) with its caption, and a text for who does not see it."""

    key: str
    png: bytes
    alt: str
    caption: str


Block = Heading | Paragraph


@dataclass(frozen=True)
class Paper:
    """The text in order, then the references in the order of their first citation, tables and figures."""

    name: str
    text: tuple[Block, ...]
    references: tuple[str, ...]
    tables: tuple[TableBlock, ...]
    figures: tuple[FigureBlock, ...]
    appendix: tuple[Block, ...]
    checklists: tuple[TableBlock, ...]


def under(heading: str, level: int, blocks: Iterable[Block]) -> list[Block]:
    """The blocks with their heading; nothing at all where there is none, so that no heading stands alone."""
    found = list(blocks)
    return [Heading(heading, level), *found] if found else []


def not_there(name: str) -> Gap:
    """The gap where the artefact `name` is missing, with the command that makes it."""
    artefact = ARTEFACTS[name]
    return Gap(f"{artefact.path} is not there yet; '{artefact.command}' makes it", RUN)


def paragraphs(texts: Iterable[str], *more: Part) -> Iterator[Paragraph]:
    """One paragraph of all sentences, with `more` at its end; none where there are no sentences."""
    text = " ".join(texts)
    if text:
        yield Paragraph((text, *(part for one in more for part in (" ", one))))


def cited(blocks: Iterable[Block]) -> tuple[str, ...]:
    """The keys of all references, in the order of their first citation."""
    parts = (part for block in blocks if isinstance(block, Paragraph) for part in block.parts)
    return tuple(dict.fromkeys(key for part in parts if isinstance(part, Cite) for key in part.keys))
