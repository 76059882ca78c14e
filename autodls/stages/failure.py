"""What is said of a failure, whatever raised it: one line, and the exit status of the command."""

import errno
import re

from autodls.errors import AutoDLSError, InputError

_OF_MACHINE = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN})
_NO_MORE = re.compile(  # of PyTorch, of the loader of libraries, of Python's threads, of OpenBLAS and safetensors
    r"can't allocate memory|cannot allocate memory|failed to map segment|not enough memory|out of memory|bad_alloc|"
    r"can't start new thread|os error 12\b|too many open files",
    re.IGNORECASE,
)


def line_of(failure: Exception) -> tuple[str, int] | None:
    """What to say of `failure`, and the exit status; None where it is a fault of ours."""
    # A reader that cannot have a file blames the file; what it raises has the true cause as its context.
    blamed = isinstance(failure, InputError)
    cause = _fault_of_machine((failure.__cause__ or failure.__context__) if blamed else failure)
    if isinstance(failure, AutoDLSError) and (cause is None or not blamed):
        return str(failure), failure.exit_status
    if cause is None and not isinstance(failure, OSError):
        return None
    return f"{_what_gave_out(cause or failure)}; nothing half-written is left, repair and run again", 1


def _fault_of_machine(failure: BaseException | None) -> BaseException | None:
    """What came of too little memory or too few file handles, of `failure` and its causes; None where nothing did."""
    while failure is not None:
        gave_out = isinstance(failure, OSError) and failure.errno in _OF_MACHINE
        if gave_out or isinstance(failure, MemoryError) or _NO_MORE.search(str(failure)):
            return failure
        failure = failure.__cause__ or failure.__context__
    return None


def _what_gave_out(failure: BaseException) -> str:
    if not isinstance(failure, OSError):
        told = next((line for line in str(failure).splitlines() if _NO_MORE.search(line)), "no more could be had")
        return f"out of {'file handles' if 'open files' in told else 'memory'} ({told.strip()[:200]})"
    where = f"{failure.filename}: " if failure.filename else ""
    return f"{where}{failure.strerror or failure}"
