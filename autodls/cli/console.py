"""What a person sees: results on stdout, progress and errors on stderr."""

import codecs
import contextlib
import io
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from autodls.records.spelled import in_one_line, spelled, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Advance = Callable[[str], None]
_STOPPED = "stopped; run the same command again to continue where it was"
_SECONDS_BETWEEN_LINES = 30.0
_WORKER_DIED = (
    "a process that worked for this one has ended (broken pipe), perhaps for want of memory; run the same command "
    "again, with fewer --workers"
)
_EXIT_STOPPED = 130  # what a shell expects after Ctrl-C


def exit_status_of(run: Callable[[], object]) -> int:
    """Run a command line to its end; an error of ours becomes one line on stderr and its exit status."""
    from autodls.errors import AutoDLSError

    spell_unknown_signs()
    try:
        run()
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else 1
        # Typer turns Ctrl-C into this status, without a word.
        return _complain(_STOPPED, status) if status == _EXIT_STOPPED else status
    except AutoDLSError as failure:
        return _complain(str(failure), failure.exit_status)
    except KeyboardInterrupt:
        return _complain(_STOPPED, _EXIT_STOPPED)
    except BrokenPipeError:
        return 1 if _reader_is_gone() else _complain(_WORKER_DIED, 1)
    except (OSError, MemoryError) as failure:
        return _complain(f"{_what_gave_out(failure)}; nothing half-written is left, repair and run again", 1)
    return 0


def _reader_is_gone() -> bool:
    """Whether nobody reads stdout or stderr any more, as after `autodls ... | head`: there is nobody to complain to."""
    for stream in (sys.stdout, sys.stderr):
        poll = select.poll()
        with contextlib.suppress(OSError, ValueError, AttributeError):
            poll.register(stream.fileno(), 0)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                return True
    return False


def _what_gave_out(failure: OSError | MemoryError) -> str:
    if isinstance(failure, MemoryError):
        return f"out of memory ({failure or 'no more could be had'})"
    where = f"{failure.filename}: " if failure.filename else ""
    return f"{where}{failure.strerror or failure}"


def _complain(message: str, status: int) -> int:
    one_line = visible(" ".join(message.split()))
    sys.stderr.write(f"autodls: {'' if status == _EXIT_STOPPED else 'error: '}{one_line}\n")
    return status


def note(text: str) -> None:
    """One line on stderr, whatever names stand in it."""
    sys.stderr.write(in_one_line(text) + "\n")
    sys.stderr.flush()


def say(text: str) -> None:
    """A result, on stdout: one line, whatever names stand in it."""
    sys.stdout.write(in_one_line(text) + "\n")


def say_json(text: str) -> None:
    """JSON that we have made, on stdout, in lines of its own."""
    sys.stdout.write(visible(text) + "\n")


def spell_unknown_signs() -> None:
    """Where stdout or stderr cannot show a sign, as in ASCII, spell it as in JSON; JSON on stdout stays JSON."""
    codecs.register_error("autodls.spelled", _spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):  # closed, or exchanged beneath: it stays as it is
                stream.reconfigure(errors="autodls.spelled")


def _spell(failure: UnicodeError) -> tuple[str, int]:
    if not isinstance(failure, UnicodeEncodeError):
        raise failure
    return "".join(map(spelled, failure.object[failure.start : failure.end])), failure.end


def stdout() -> "Console":
    """A console for results; as wide as the terminal, or wide enough for our tables where there is none."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def show_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int = 99) -> None:
    """Print a table on stdout; columns from `numbers_from` on are aligned to the right."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(in_one_line(title)), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for index, name in enumerate(header):
        table.add_column(
            escape(in_one_line(name)), justify="right" if index >= numbers_from else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(escape(in_one_line(cell)) for cell in row))
    stdout().print(table)


class Bar:
    """A progress bar; where stderr is no terminal, such as in a log file, a line is written now and then instead."""

    def __init__(self, bar: "Progress", title: str, total: int) -> None:
        self._bar, self._title, self._total = bar, title, total
        self._task = bar.add_task(title, total=total, word="")
        self._done = 0
        self._told = time.monotonic()

    def __call__(self, word: str) -> None:
        """One more step is done: `word` says which."""
        self.move(self._done + 1, word)

    def move(self, done: int, word: str) -> None:
        """`done` steps are done in all: some may have turned out not to be needed."""
        from rich.markup import escape

        self._done = done
        self._bar.update(self._task, completed=done, word=escape(in_one_line(word)))
        if not self._bar.console.is_terminal and time.monotonic() - self._told > _SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            note(f"{self._title} {done}/{self._total}: {word}")

    def finish(self) -> None:
        """All is done, or need not be."""
        self._bar.update(self._task, completed=self._total, word="")


@contextmanager
def progress(title: str, total: int) -> Iterator[Bar]:
    """A progress bar over `total` steps on stderr; call the result with a word about each step that is done."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[word]}"),
    )
    with Progress(*columns, console=Console(stderr=True, highlight=False)) as bar:
        steps = Bar(bar, title, total)
        yield steps
        steps.finish()
