"""Named tensors on disk, as safetensors: no pickle is ever written or read."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from autodls.errors import ModelFolderError
from autodls.records.files import write_atomically

_NOTE = "autodls"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, object] | None = None) -> None:
    """Write `tensors` and a JSON-able `note` to `path`, atomically; the same content gives the same bytes."""
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    metadata = {_NOTE: json.dumps(note or {}, sort_keys=True)}
    write_atomically(path, lambda beside: save_file(plain, beside, metadata=metadata))


def read_note(path: Path) -> dict[str, object]:
    """The note of `path` without its tensors; raises ModelFolderError for a file that cannot be read."""
    try:
        with safe_open(path, framework="pt") as handle:
            note: dict[str, object] = json.loads((handle.metadata() or {}).get(_NOTE, "{}"))
            return note
    except (SafetensorError, OSError, ValueError) as failure:
        raise ModelFolderError(f"{path}: not a readable safetensors file ({failure})") from None


def load_tensors(path: Path, repair: str) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Read tensors and note from `path`; raises ModelFolderError, ending in `repair`."""
    try:
        with safe_open(path, framework="pt") as handle:
            note = json.loads((handle.metadata() or {}).get(_NOTE, "{}"))
            return {name: handle.get_tensor(name) for name in handle.keys()}, note  # noqa: SIM118
    except FileNotFoundError:
        raise ModelFolderError(f"{path}: no such file; {repair}") from None
    except (SafetensorError, OSError, ValueError) as failure:
        raise ModelFolderError(f"{path}: not a readable safetensors file ({failure}); {repair}") from None
