"""Safetensors files, opened without PyTorch, and held against their limits before anything is allocated."""

from pathlib import Path
from typing import Any

from safetensors import safe_open

from autodls.limits import MOST_FILE_BYTES, MOST_TENSOR_HEADER_BYTES
from autodls.records.files import open_bounded, read_bounded

_LENGTH_BYTES = 8  # of the number before the header


def open_tensors(path: Path, framework: str = "pt") -> Any:
    """`safe_open` of the file `path`; raises ValueError for a header that is larger than any of ours."""
    with open_bounded(path, MOST_FILE_BYTES) as handle:
        _require_header(handle.read(_LENGTH_BYTES))
    return safe_open(path, framework=framework)


def read_content(path: Path) -> bytes:
    """All bytes of the file `path`, read once; raises ValueError for a header that is larger than any of ours."""
    content = read_bounded(path, MOST_FILE_BYTES)
    _require_header(content[:_LENGTH_BYTES])
    return content


def _require_header(length: bytes) -> None:
    if (claimed := int.from_bytes(length, "little")) > MOST_TENSOR_HEADER_BYTES:
        raise ValueError(f"its header claims {claimed} bytes, the limit is {MOST_TENSOR_HEADER_BYTES}")
