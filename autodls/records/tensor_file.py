"""Safetensors files, opened without PyTorch being imported."""

from pathlib import Path
from typing import Any

from safetensors import safe_open

from autodls.limits import MOST_TENSOR_HEADER_BYTES


def open_tensors(path: Path, framework: str = "pt") -> Any:
    """`safe_open` of the file `path`; raises ValueError for a header that is larger than any of ours."""
    with path.open("rb") as handle:
        claimed = int.from_bytes(handle.read(8), "little")
    if claimed > MOST_TENSOR_HEADER_BYTES:
        raise ValueError(f"its header claims {claimed} bytes, the limit is {MOST_TENSOR_HEADER_BYTES}")
    return safe_open(path, framework=framework)
