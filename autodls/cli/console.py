"""What a person sees: results on stdout, progress and errors on stderr."""

import codecs
import contextlib
import errno
import io
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from autodls.cli.manner import MANNER, keep_in_log, shown_stream
from autodls.records.spelled import in_one_line, spelled, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_STOPPED = "stopped; run the same command again to continue where it was"
_SECONDS_BETWEEN_LINES = 30.0
_WORKER_DIED = (
    "a process that worked for this one has ended (broken pipe), perhaps for want of memory; run the same command "
    "again, with fewer --workers"
)
_OF_MACHINE = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN})
_NO_MORE = re.compile(  # of PyTorch, of the loader of libraries, of Python's threads, of OpenBLAS and safetensors
    r"can't allocate memory|cannot allocate memory|failed to map segment|not enough memory|out of memory|bad_alloc|"
    r"can't start new thread|os error 12\b|too many open files",
    re.IGNORECASE,
)
_EXIT_STOPPED = 130  # what a shell expects after Ctrl-C


def exit_status_of(run: Callable[[], object]) -> int:
    """Run a command line to its end; an error of ours becomes one line on stderr and its exit status."""
    _open_closed_streams()
    spell_unknown_signs()
    try:
        _to_its_end(run)
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else 1
        # Typer turns Ctrl-C into this status, without a word.
        return _complain(_STOPPED, status) if status == _EXIT_STOPPED else status
    except KeyboardInterrupt:
        return _complain(_STOPPED, _EXIT_STOPPED)
    except BrokenPipeError:
        return 1 if _reader_is_gone() else _complain(_WORKER_DIED, 1)
    except Exception as failure:
        if (line := _line_of(failure)) is None:
            raise
        return _complain(*line)
    return 0


def _to_its_end(run: Callable[[], object]) -> None:
    """Run, and write out what stdout still holds: at Python's own end it would be too late to say that it cannot."""
    try:
        run()
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python flushes once more
            raise


def _line_of(failure: Exception) -> tuple[str, int] | None:
    """What to say of `failure`, and the exit status; None where it is a fault of ours."""
    from autodls.errors import AutoDLSError, InputError

    # A reader that cannot have a file blames the file; what it raises has the true cause as its context.
    blamed = isinstance(failure, InputError)
    cause = _fault_of_machine((failure.__cause__ or failure.__context__) if blamed else failure)
    if isinstance(failure, AutoDLSError) and (cause is None or not blamed):
        return str(failure), failure.exit_status
    if cause is None and not isinstance(failure, OSError):
        return None
    return f"{_what_gave_out(cause or failure)}; nothing half-written is left, repair and run again", 1


def _open_closed_streams() -> None:
    """Open on nothing what a caller has closed (`>&-`): else the next file would be what libraries print into."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115 (stays open)


def _fault_of_machine(failure: BaseException | None) -> BaseException | None:
    """What came of too little memory or too few file handles, of `failure` and its causes; None where nothing did."""
    while failure is not None:
        gave_out = isinstance(failure, OSError) and failure.errno in _OF_MACHINE
        if gave_out or isinstance(failure, MemoryError) or _NO_MORE.search(str(failure)):
            return failure
        failure = failure.__cause__ or failure.__context__
    return None


def _reader_is_gone() -> bool:
    """Whether nobody reads stdout or stderr any more, as after `autodls ... | head`: there is nobody to complain to."""
    for stream in (sys.stdout, sys.stderr):
        poll = select.poll()
        with contextlib.suppress(OSError, ValueError, AttributeError):
            poll.register(stream.fileno(), 0)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                return True
    return False


def _what_gave_out(failure: BaseException) -> str:
    if not isinstance(failure, OSError):
        told = next((line for line in str(failure).splitlines() if _NO_MORE.search(line)), "no more could be had")
        return f"out of {'file handles' if 'open files' in told else 'memory'} ({told.strip()[:200]})"
    where = f"{failure.filename}: " if failure.filename else ""
    return f"{where}{failure.strerror or failure}"


def _complain(message: str, status: int) -> int:
    one_line = visible(" ".join(message.split()))
    sys.stderr.write(f"autodls: {'' if status == _EXIT_STOPPED else 'error: '}{one_line}\n")
    return status


def note(text: str) -> None:
    """One line on stderr, whatever names stand in it; with -q, what is news of the work alone is not shown."""
    line = in_one_line(text)
    if MANNER.quiet and (line.startswith("next: ") or line.endswith(" ...")):
        keep_in_log(line)
        return
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def say(text: str) -> None:
    """A result, on stdout: one line, whatever names stand in it."""
    sys.stdout.write(in_one_line(text) + "\n")


def say_json(text: str) -> None:
    """JSON that we have made, on stdout, in lines of its own."""
    sys.stdout.write(visible(text) + "\n")


class Terminal:
    """The person at the terminal, as stages see it: see `autodls.watch.Watch`."""

    @property
    def command(self) -> Sequence[str]:
        """The words that were typed."""
        return sys.argv

    def note(self, line: str) -> None:
        """One line on stderr."""
        note(line)

    def progress(self, title: str, total: int) -> AbstractContextManager["ProgressBar"]:
        """A bar on stderr."""
        return progress(title, total)


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


class ProgressBar:
    """A progress bar; where stderr is no terminal, such as in a log file, a line is written now and then instead."""

    def __init__(self, bar: "Progress", title: str, total: int) -> None:
        self._bar, self._title, self._total, self._began = bar, title, total, time.monotonic()
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
        if time.monotonic() - self._told > _SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            line = f"{self._title} {done}/{self._total}: {word}"
            shown = not (self._bar.console.is_terminal or MANNER.quiet)
            (note if shown else keep_in_log)(in_one_line(line))

    def finish(self) -> None:
        """All is done, or need not be."""
        self._bar.update(self._task, completed=self._total, word="")

    def tell_time(self) -> None:
        """With -v: how long it took, in a line that stays."""
        line = f"{self._title}: {self._total} steps in {time.monotonic() - self._began:.1f} s"
        (note if MANNER.verbose else keep_in_log)(line)


@contextmanager
def progress(title: str, total: int) -> Iterator[ProgressBar]:
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
    with Progress(*columns, console=Console(file=shown_stream(), highlight=False), disable=MANNER.quiet) as bar:
        steps = ProgressBar(bar, title, total)
        yield steps
        steps.finish()
    steps.tell_time()
