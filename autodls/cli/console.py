"""What a person sees: results on stdout, progress and errors on stderr."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from autodls.cli.manner import MANNER, as_given, keep_in_log, shown_stream
from autodls.records.spelled import in_one_line, visible
from autodls.stages.failure import line_of  # now, as afterwards there may be no file handle to read it by
from autodls.stages.streams import open_closed_streams, reader_is_gone, spell_unknown_signs

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_STOPPED = "stopped; run the same command again to continue where it was"
_SECONDS_BETWEEN_LINES = 30.0
_WORKER_DIED = (
    "a process that worked for this one has ended (broken pipe), perhaps for want of memory; run the same command "
    "again, with fewer --workers"
)
_EXIT_STOPPED = 130  # what a shell expects after Ctrl-C


def exit_status_of(run: Callable[[], object]) -> int:
    """Run a command line to its end; an error of ours becomes one line on stderr and its exit status."""
    open_closed_streams()
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
        return 1 if reader_is_gone() else _complain(_WORKER_DIED, 1)
    except Exception as failure:
        if (line := line_of(failure)) is None:
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


def _complain(message: str, status: int) -> int:
    one_line = visible(as_given(" ".join(message.split())))
    sys.stderr.write(f"autodls: {'' if status == _EXIT_STOPPED else 'error: '}{one_line}\n")
    return status


def note(text: str) -> None:
    """One line on stderr, whatever names stand in it; with -q, what is news of the work alone is not shown."""
    line = in_one_line(as_given(text))
    if MANNER.quiet and (line.startswith("next: ") or line.endswith(" ...")):
        keep_in_log(line)
        return
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def say(text: str) -> None:
    """A result, on stdout: one line, whatever names stand in it."""
    sys.stdout.write(in_one_line(as_given(text)) + "\n")


def say_json(content: object) -> None:
    """JSON on stdout, in lines of its own: text that we have made, or what is to become such."""
    text = content if isinstance(content, str) else json.dumps(content, default=str, indent=1)
    sys.stdout.write(visible(text.rstrip()) + "\n")


def tell(lines: Iterable[str]) -> None:
    """Several results."""
    for line in lines:
        say(line)


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

    def __init__(self, bar: "Progress", title: str, total: int, task: "TaskID | None" = None) -> None:
        self._bar, self._title, self._total, self._began = bar, title, total, time.monotonic()
        self._own = task is None
        self._task = bar.add_task(title, total=total, word="") if task is None else task
        if not self._own:
            bar.update(self._task, total=total, completed=0, word=title)
        self._done = 0
        self._told = time.monotonic()

    def __call__(self, word: str) -> None:
        """One more step is done: `word` says which."""
        self.move(self._done + 1, word)

    def move(self, done: int, word: str) -> None:
        """`done` steps are done in all: some may have turned out not to be needed."""
        from rich.markup import escape

        self._done = done
        beside = word if self._own else f"{self._title}: {word}"
        self._bar.update(self._task, completed=done, word=escape(in_one_line(beside)))
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
