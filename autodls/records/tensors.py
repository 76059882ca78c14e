"""Named tensors on disk, as safetensors: no pickle is ever written or read."""

import errno
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from autodls.errors import ModelFolderError
from autodls.records.base import parse_json
from autodls.records.files import sha256_of_file, write_atomically
from autodls.records.tensor_file import open_tensors

Digest = Callable[[Path], str]

_NOTE = "autodls"
_UNREADABLE = (SafetensorError, OSError, ValueError, RecursionError)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, object] | None = None) -> None:
    """Write `tensors` and a JSON-able `note` to `path`, atomically; the same content gives the same bytes.

    Raises OSError where the disk does not take them.
    """
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    metadata = {_NOTE: json.dumps(note or {}, sort_keys=True)}
    try:
        write_atomically(path, lambda beside: save_file(plain, beside, metadata=metadata))
    except SafetensorError as failure:
        raise OSError(errno.EIO, f"cannot be written ({failure})", str(path)) from None


def read_note(path: Path) -> dict[str, object]:
    """The note of `path` without its tensors; raises ModelFolderError for a file that cannot be read."""
    try:
        with open_tensors(path) as handle:
            return _note(handle)
    except _UNREADABLE as failure:
        raise ModelFolderError(f"{path}: not a readable safetensors file ({failure})") from None


def load_tensors(
    path: Path, repair: str, sha256: str | None = None, digest: Digest = sha256_of_file
) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Read tensors and note from `path`; raises ModelFolderError, ending in `repair`.

    Where a `sha256` is given, nothing is made of the file unless `digest` says that it has that hash.
    """
    try:
        if sha256 is not None and (found := digest(path)) != sha256:
            raise ModelFolderError(f"{path}: altered (SHA-256 {found[:12]}, expected {sha256[:12]}); {repair}")
        with open_tensors(path) as handle:
            return {name: handle.get_tensor(name) for name in handle.keys()}, _note(handle)  # noqa: SIM118
    except FileNotFoundError:
        raise ModelFolderError(f"{path}: no such file; {repair}") from None
    except _UNREADABLE as failure:
        raise ModelFolderError(f"{path}: not a readable safetensors file ({failure}); {repair}") from None


def _note(handle: Any) -> dict[str, object]:
    note = parse_json((handle.metadata() or {}).get(_NOTE, "{}"))
    if not isinstance(note, dict):
        raise ValueError(f"its note is a {type(note).__name__}, expected an object")
    return note
