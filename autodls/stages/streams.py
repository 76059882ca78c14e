"""stdin, stdout and stderr as a shell may hand them over: closed, of another alphabet, or read by nobody any more."""

import codecs
import contextlib
import io
import os
import select
import sys

from autodls.records.spelled import spelled


def open_closed_streams() -> None:
    """Open on nothing what a caller has closed (`>&-`): else the next file would be what libraries print into."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115 (stays open)


def reader_is_gone() -> bool:
    """Whether nobody reads stdout or stderr any more, as after `autodls ... | head`: there is nobody to complain to."""
    for stream in (sys.stdout, sys.stderr):
        poll = select.poll()
        with contextlib.suppress(OSError, ValueError, AttributeError):
            poll.register(stream.fileno(), 0)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                return True
    return False


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
