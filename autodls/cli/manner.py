"""How a command talks: -v, -q and --log, which every command takes, wherever they stand behind its name."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from autodls.stages.hints import with_place

if TYPE_CHECKING:
    from autodls.stages.log_file import LoggedStream


@dataclass
class Manner:
    """What was asked for; one a process, as there is one stderr. `given` is how the workspace was named, by option."""

    quiet: bool = False
    verbose: bool = False
    began: float = field(default_factory=time.monotonic)
    log: "LoggedStream | None" = None
    given: dict[str, str] = field(default_factory=dict)


MANNER = Manner()


@contextmanager
def as_asked() -> Iterator[None]:
    """A command from its first word to its last: what was asked of an earlier one is forgotten, its log closed."""
    vars(MANNER).update(vars(Manner()))
    before = sys.stderr
    try:
        yield
    finally:
        sys.stderr = before
        if MANNER.log is not None:
            with suppress(OSError):
                MANNER.log.end()


def shown_stream() -> TextIO:
    """The stderr that a person looks at, past the log."""
    return MANNER.log.shown if MANNER.log is not None else sys.stderr


def keep_in_log(line: str) -> None:
    """Write `line` to the log, where there is one, and nowhere else."""
    if MANNER.log is not None:
        MANNER.log.keep(line + "\n")


def remember(param: typer.CallbackParam, value: Any) -> Any:
    """Keep how the workspace was named, for `as_given`."""
    if value is not None:
        MANNER.given[param.opts[0]] = str(value)
    return value


def as_given(text: str) -> str:
    """`text` with -w and --name, as they were given, in every command that it tells a person to run."""
    return with_place(text, MANNER.given)


def _quiet(asked: bool) -> None:
    MANNER.quiet = asked or MANNER.quiet


def _verbose(asked: bool) -> None:
    MANNER.verbose = asked or MANNER.verbose


def _open_log(path: Path | None) -> None:
    if path is None:
        return
    from autodls.stages.log_file import open_log

    MANNER.log = open_log(path, sys.argv[1:], sys.stderr)
    sys.stderr = MANNER.log  # type: ignore[assignment]


def _options(
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", callback=_verbose, expose_value=False, help="Say how long each step took."),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "-q", "--quiet", callback=_quiet, expose_value=False, help="No progress, only warnings and errors."
        ),
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="FILE",
            callback=_open_log,
            expose_value=False,
            help="Append what goes to stderr to this file, with times.",
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
