"""Named tensors on disk, as safetensors: no pickle is ever written or read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from autodls.errors import ModelFolderError
from autodls.records.base import parse_json
from autodls.records.files import sha256_of_bytes, write_bytes
from autodls.records.tensor_file import open_tensors, read_content

_NOTE = "autodls"
_UNREADABLE = (SafetensorError, OSError, KeyError, ValueError, RecursionError)
_LENGTH_BYTES = 8  # of the number before the header, which is JSON


class ReadTensors(NamedTuple):
    """Named tensors, the note beside them, and the SHA-256 of the very bytes that both were read from."""

    tensors: dict[str, Tensor]
    note: dict[str, object]
    sha256: str


def save_tensors(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, object] | None = None) -> None:
    """Write `tensors` and a JSON-able `note` to `path`, atomically; the same content gives the same bytes.

    Raises OSError where the disk does not take them. The library's own writer would leave, killed, a file whose name
    nobody knows to be ours.
    """
    write_bytes(path, save(*_as_written(tensors, note)))


def tensors_sha256(tensors: Mapping[str, Tensor], note: Mapping[str, object] | None = None) -> str:
    """SHA-256 of the file that `save_tensors` would write."""
    plain, metadata = _as_written(tensors, note)
    return sha256_of_bytes(save(plain, metadata))


def _as_written(
    tensors: Mapping[str, Tensor], note: Mapping[str, object] | None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    return plain, {_NOTE: json.dumps(note or {}, sort_keys=True)}


def read_note(path: Path) -> dict[str, object]:
    """The note of `path` without its tensors; raises ModelFolderError for a file that cannot be read."""
    try:
        with open_tensors(path) as handle:
            return _note(handle.metadata())
    except _UNREADABLE as failure:
        raise ModelFolderError(f"{path}: not a readable safetensors file ({failure})") from None


def load_tensors(path: Path, repair: str, sha256: str | None = None) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Tensors and note of `path`, without their hash; see `read_tensors`."""
    return read_tensors(path, repair, sha256)[:2]


def read_tensors(path: Path, repair: str, sha256: str | None = None) -> ReadTensors:
    """Read tensors and note from `path`; raises ModelFolderError, ending in `repair`.

    The file is read once: what is hashed is what is used, whatever happens to the file meanwhile. Where a `sha256` is
    given, nothing is made of other bytes.
    """
    try:
        content = read_content(path)
        found = sha256_of_bytes(content)
        if sha256 is not None and found != sha256:
            raise ModelFolderError(f"{path}: altered (SHA-256 {found[:12]}, expected {sha256[:12]}); {repair}")
        return ReadTensors(load(content), _note(_metadata(content)), found)
    except FileNotFoundError:
        raise ModelFolderError(f"{path}: no such file; {repair}") from None
    except PermissionError:
        raise ModelFolderError(f"{path}: this user may not read it; allow it (chmod a+r), or {repair}") from None
    except _UNREADABLE as failure:
        raise ModelFolderError(f"{path}: not a readable safetensors file ({failure}); {repair}") from None


def _metadata(content: bytes) -> dict[str, str]:
    """What stands beside the tensors in `content`, which safetensors has read."""
    end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES:end])
    return header.get("__metadata__") or {}


def _note(metadata: Mapping[str, str] | None) -> dict[str, object]:
    note = parse_json((metadata or {}).get(_NOTE, "{}"))
    if not isinstance(note, dict):
        raise ValueError(f"its note is a {type(note).__name__}, expected an object")
    return note
