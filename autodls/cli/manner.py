"""How a command talks: -v, -q and --log, which every command takes, wherever they stand behind its name."""

import io
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

_HEADER = "# autodls-log/1\n"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # what moves the cursor of a terminal, or colours it


@dataclass
class Manner:
    """What was asked for; one a process, as there is one stderr."""

    quiet: bool = False
    verbose: bool = False
    began: float = field(default_factory=time.monotonic)


class LoggedStream(io.TextIOBase):
    """Writes to `shown`, and whole lines, with the time before each, to the end of the file `log`."""

    def __init__(self, shown: TextIO, log: TextIO) -> None:
        self.shown, self._log, self._begun = shown, log, ""

    def write(self, text: str) -> int:
        """Write `text` to both."""
        self.shown.write(text)
        self.keep(text)
        return len(text)

    def keep(self, text: str) -> None:
        """Write `text` to the log alone; of a line that is drawn over itself the last state stands."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._log.write(_timed(_CONTROL.sub("", line).rpartition("\r")[2]))
        self._log.flush()

    def end(self) -> None:
        """Write what no line end has followed, and close the log."""
        if self._begun:
            self.keep("\n")
        self._log.close()

    def flush(self) -> None:
        """Let go of what `shown` holds."""
        self.shown.flush()

    def isatty(self) -> bool:
        """Whether `shown` is a terminal."""
        return self.shown.isatty()

    def fileno(self) -> int:
        """That of `shown`."""
        return self.shown.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of `shown`."""
        return self.shown.encoding or "utf-8"


MANNER = Manner()


@contextmanager
def as_asked() -> Iterator[None]:
    """A command from its first word to its last: what was asked of an earlier one is forgotten, its log closed."""
    MANNER.quiet = MANNER.verbose = False
    MANNER.began = time.monotonic()
    before = sys.stderr
    try:
        yield
    finally:
        opened, sys.stderr = sys.stderr, before
        if isinstance(opened, LoggedStream):
            with suppress(OSError):
                opened.end()


def shown_stream() -> TextIO:
    """The stderr that a person looks at, past the log."""
    return sys.stderr.shown if isinstance(sys.stderr, LoggedStream) else sys.stderr


def keep_in_log(line: str) -> None:
    """Write `line` to the log, where there is one, and nowhere else."""
    if isinstance(sys.stderr, LoggedStream):
        sys.stderr.keep(line + "\n")


def _timed(line: str) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {line}\n"


def _quiet(asked: bool) -> None:
    MANNER.quiet = asked or MANNER.quiet


def _verbose(asked: bool) -> None:
    MANNER.verbose = asked or MANNER.verbose


def _open_log(path: Path | None) -> None:
    if path is None:
        return
    from autodls import __version__
    from autodls.errors import ArgumentError
    from autodls.records.spelled import in_one_line

    _require_log(path)
    try:
        log = path.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as failure:
        raise ArgumentError(f"--log {path}: cannot be written ({failure.strerror}); give another file") from None
    if log.tell() == 0:
        log.write(_HEADER)
    log.write(_timed(in_one_line(f"autodls {__version__}: {' '.join(sys.argv[1:])}")))
    log.flush()
    sys.stderr = LoggedStream(sys.stderr, log)  # type: ignore[assignment]


def _require_log(path: Path) -> None:
    """Raise ArgumentError where a log cannot be, or what is there is not one of ours."""
    from autodls.errors import ArgumentError
    from autodls.stages.places import require_no_input

    require_no_input(path.parent, "--log")
    if not path.exists():
        return
    if not path.is_file():
        raise ArgumentError(f"--log {path}: is no plain file; give a file for the log alone")
    try:
        with path.open("rb") as handle:
            first = handle.read(len(_HEADER))
    except OSError as failure:
        raise ArgumentError(f"--log {path}: cannot be read ({failure.strerror}); give another file") from None
    if first and first != _HEADER.encode():
        raise ArgumentError(f"--log {path}: holds something else than a log of autodls; give another file")


def _options(
    verbose: Annotated[
        bool,
        typer.Option(
            "-v", "--verbose", callback=_verbose, expose_value=False, help="Say how long each step took, and more."
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("-q", "--quiet", callback=_quiet, expose_value=False, help="No progress; warnings and errors."),
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", callback=_open_log, expose_value=False, help="Append what goes to stderr to this file, with times."
        ),
    ] = None,
) -> None:
    """Options of every command."""
    del verbose, quiet, log


def with_manners(app: typer.Typer) -> Callable[[], object]:
    """The command line of `app`, whose commands all take the options above."""
    of_all = typer.Typer(add_completion=False)
    of_all.command()(_options)
    options = typer.main.get_command(of_all).params
    root: Any = typer.main.get_command(app)
    waiting = [root]
    while waiting:
        found = waiting.pop()
        inner = getattr(found, "commands", None)
        if inner is None:
            found.params.extend(options)
        else:
            waiting.extend(inner.values())
    return partial(root, prog_name="autodls")  # `python -m autodls` too: by this name shells ask for completions
