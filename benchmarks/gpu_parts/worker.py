"""Parts run in a process of their own: what fails on a GPU may leave it unusable for whoever goes on in that process.

The process serves one part after the other, so that libraries are loaded once. After a failure, or when a part takes
too long, it is ended with all that it has started, and the next part begins in a new one.
"""

import contextlib
import gc
import importlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Literal

from autodls.parallel import begin_worker
from gpu_parts import Figures, LeftOutError, Setting

_MOST_WARNINGS = 5
Kind = Literal["done", "left out", "failed"]


@dataclass(frozen=True)
class End:
    """How a part ended, in one line, and where, as Python tells it."""

    kind: Kind
    why: str = ""
    traceback: str = ""


class Worker:
    """Runs parts, "module:function", and hands their figures on as they come."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None

    def run(self, part: str, setting: Setting, limit_s: float, keep: Callable[[Figures], None]) -> End:
        """Run `part` for at most `limit_s`; figures go to `keep`, also those of a part that fails later."""
        process = self._start() if self._process is None else self._process
        until = time.monotonic() + limit_s
        try:
            self._pipe.send((part, setting))
            while self._pipe.poll(max(0.0, until - time.monotonic())):
                told = self._pipe.recv()
                if not isinstance(told, End):
                    keep(told)
                    continue
                if told.kind == "failed":
                    self.close()
                return told
        except (EOFError, OSError):
            process.join(1)
            status = process.exitcode
            self.close()
            return End("failed", f"its process ended with status {status}")
        self.close()
        return End("failed", f"stopped after {limit_s:.0f} s, the most that it may take")

    def close(self) -> None:
        """End the process and all that it has started."""
        if self._process is None or self._process.pid is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._process = None

    def _start(self) -> multiprocessing.process.BaseProcess:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = process = context.Process(target=_serve, args=(theirs,))
        process.start()
        theirs.close()
        return process


def _serve(pipe: Connection) -> None:
    """Run what is asked for, until nobody asks any more."""
    os.setsid()  # so that all that is started here can be ended together
    begin_worker()
    with contextlib.suppress(EOFError):
        while True:
            part, setting = pipe.recv()
            pipe.send(_run(part, setting, pipe.send))


def _run(part: str, setting: Setting, keep: Callable[[Figures], None]) -> End:
    told = _Warnings()
    logging.getLogger("autodls").addHandler(told)
    try:
        module, _, function = part.partition(":")
        with warnings.catch_warnings(record=True) as caught:
            for figures in getattr(importlib.import_module(module), function)(setting):
                keep(json.loads(json.dumps(figures, default=str)))  # plain values: who reads them imports no library
        lines = list(dict.fromkeys([*told.lines, *(str(one.message).splitlines()[0] for one in caught)]))
        if lines:
            keep({"warnings": lines[:_MOST_WARNINGS]})
        _release_memory()
    except LeftOutError as reason:
        return End("left out", str(reason))
    except BaseException as failure:  # Ctrl-C and SystemExit too: whoever waits is to be told
        place = traceback.extract_tb(failure.__traceback__)[-1]
        first = next(iter(str(failure).splitlines()), "")
        why = f"{type(failure).__name__}: {first} ({os.path.basename(place.filename)}:{place.lineno})"  # noqa: PTH119
        return End("failed", why, "".join(traceback.format_exception(failure)))
    finally:
        logging.getLogger("autodls").removeHandler(told)
    return End("done")


def _release_memory() -> None:
    """Give back what PyTorch keeps of a GPU: the next part may be a process of its own."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class _Warnings(logging.Handler):
    """What autodls warns of, such as a step that could not be recorded."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.lines.append(record.getMessage())
