"""The file of --log: what goes to stderr, with times, after what earlier commands have written into it."""

import io
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from autodls import __version__
from autodls.errors import ArgumentError
from autodls.records.spelled import in_one_line
from autodls.stages.places import require_no_input

_HEADER = "# autodls-log/1\n"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # what moves the cursor of a terminal, or colours it


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


def open_log(path: Path, typed: Sequence[str], shown: TextIO) -> LoggedStream:
    """What writes to `shown` and to the end of the log `path`, which begins with the words that were `typed`.

    Raises ArgumentError where a log cannot be, or what is there is not one of ours.
    """
    _require_log(path)
    try:
        log = path.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as failure:
        raise ArgumentError(f"--log {path}: cannot be written ({failure.strerror}); give another file") from None
    if log.tell() == 0:
        log.write(_HEADER)
    log.write(_timed(in_one_line(f"autodls {__version__}: {' '.join(typed)}")))
    log.flush()
    return LoggedStream(shown, log)


def _timed(line: str) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {line}\n"


def _require_log(path: Path) -> None:
    """Raise ArgumentError where a log cannot be, or what is there is not one of ours."""
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
