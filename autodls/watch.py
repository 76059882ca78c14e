"""What a long piece of work tells whoever waits for it: lines, and how far it is. Only the command line prints."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

WARNING = "warning: "


class Bar(Protocol):
    """How far a piece of work is."""

    def __call__(self, word: str) -> None:
        """One more step is done: `word` says which."""

    def move(self, done: int, word: str) -> None:
        """`done` steps are done in all: some may have turned out not to be needed."""


class Watch(Protocol):
    """Whoever waits: a terminal, a notebook, or nobody."""

    @property
    def command(self) -> Sequence[str]:
        """The words by which the work was asked for, as provenance keeps them."""

    def note(self, line: str) -> None:
        """A line that a person should read, such as a warning; no result."""

    def progress(self, title: str, total: int) -> AbstractContextManager[Bar]:
        """A bar over `total` steps, which ends with the context."""


class Silent:
    """Nobody waits. Whatever must be known stands in the records that a stage returns."""

    command: Sequence[str] = ("python",)

    def note(self, line: str) -> None:
        """Say nothing."""

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Bar]:
        """Show nothing."""
        yield _NoBar()


class _NoBar:
    def __call__(self, word: str) -> None: ...

    def move(self, done: int, word: str) -> None: ...


class KeepingWatch:
    """Passes everything on to `watch`, and keeps the lines: warnings belong into what a stage returns."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self.lines = watch, list[str]()

    @property
    def command(self) -> Sequence[str]:
        """As the watch has it."""
        return self._watch.command

    @property
    def warnings(self) -> tuple[str, ...]:
        """The lines that were warnings, without that word."""
        return tuple(line.removeprefix(WARNING) for line in self.lines if line.startswith(WARNING))

    def note(self, line: str) -> None:
        """Keep `line` and pass it on."""
        self.lines.append(line)
        self._watch.note(line)

    def progress(self, title: str, total: int) -> AbstractContextManager[Bar]:
        """That of the watch."""
        return self._watch.progress(title, total)


SILENT = Silent()
