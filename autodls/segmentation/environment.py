"""The door to nnU-Net: whether it is installed, its environment variables, and where its printing goes.

nnU-Net takes its folders from environment variables and prints to standard output, some of it from other processes.
Inside `nnunet` it finds its own folders and every word of it goes to a log; afterwards the process is as before.
"""

import contextlib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from autodls.errors import ArgumentError
from autodls.machine import usable_cores
from autodls.records.segmentation_folders import SegmentationFolder

_STDOUT = 1
_VARIABLES = "nnUNet_"


def require_nnunet() -> None:
    """Raise ArgumentError, which says how to install it, where nnU-Net cannot be imported."""
    try:
        importlib.import_module("nnunetv2")
    except ImportError as failure:
        reason = str(failure).splitlines()[0] if str(failure) else "no module"
        raise ArgumentError(
            f"automatic ROIs need nnU-Net, which is not installed ({reason}); pip install 'autodls[segmentation]'"
        ) from None


@contextlib.contextmanager
def nnunet(folder: SegmentationFolder | None, augmenters: int = 1) -> Iterator[None]:
    """Let nnU-Net work in `folder`, with `augmenters` processes for augmentation; 0 means in this process.

    Its printing goes to the folder's log, and nowhere without a folder: then it can only predict. Standard output of
    the whole process is redirected, so print nothing inside. Raises ArgumentError where nnU-Net is not installed.
    """
    with _environment(_variables(folder, augmenters)), _captured(folder.log if folder else Path(os.devnull)):
        require_nnunet()
        yield


def _variables(folder: SegmentationFolder | None, augmenters: int) -> dict[str, str]:
    folders = {"raw": folder.raw, "preprocessed": folder.preprocessed, "results": folder.results} if folder else {}
    processes = {"def_n_proc": usable_cores(), "n_proc_DA": augmenters}
    settings = {**folders, **processes, "compile": "f", "wandb_enabled": "0"}
    return {f"{_VARIABLES}{name}": str(value) for name, value in settings.items()}


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Nothing but `variables` among those that nnU-Net reads; what the user has set is put back."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}
    _exchange(kept, variables)
    try:
        yield
    finally:
        _exchange(variables, kept)


def _exchange(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    for name in old:
        os.environ.pop(name, None)
    os.environ.update(new)


@contextlib.contextmanager
def _captured(path: Path) -> Iterator[None]:
    """Standard output of this process and its children, warnings and logging, appended to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    kept = os.dup(_STDOUT)
    with path.open("a", encoding="utf-8", buffering=1) as log:
        os.dup2(log.fileno(), _STDOUT)
        try:
            with contextlib.redirect_stdout(log), _warnings_to(log), _logging_to(log):
                yield
        finally:
            os.dup2(kept, _STDOUT)
            os.close(kept)


@contextlib.contextmanager
def _warnings_to(log: IO[str]) -> Iterator[None]:
    def write(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        log.write(warnings.formatwarning(message, category, filename, lineno))

    with warnings.catch_warnings():
        warnings.showwarning = write  # type: ignore[assignment]
        yield


@contextlib.contextmanager
def _logging_to(log: IO[str]) -> Iterator[None]:
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
