"""The one door to ONNX: graphs written by PyTorch's exporter, run by onnxruntime on the CPU."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autodls.errors import ArgumentError, AutoDLSError

_OPSET = 17
_MOST_BYTES = 2**31 - 2**20  # of one protobuf message, which a file is
_PACKAGES = ("onnx", "onnxruntime")


def require_onnx() -> None:
    """Raise ArgumentError where the packages of the extra are not installed."""
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise ArgumentError(
            f"--to onnx: the Python package {missing[0]} is not installed; pip install -c constraints.txt '.[export]'"
        )


def require_size(tensors: Sequence[Tensor], what: str) -> None:
    """Raise ArgumentError where `tensors` in float32 are more than one ONNX file holds."""
    if (size := sum(4 * tensor.numel() for tensor in tensors)) > _MOST_BYTES:
        raise ArgumentError(
            f"--to onnx: {what} has {size / 2**30:.1f} GiB of weights, and one file holds 2; export --to monai"
        )


def write_graph(
    path: Path,
    graph: nn.Module,
    example: Mapping[str, Tensor],
    outputs: Sequence[str],
    case_axis: int,
    notes: Mapping[str, str],
) -> None:
    """Write `graph` to `path`, with the number of cases, axis `case_axis` of the inputs, left free.

    `example` holds its inputs by name, `notes` what is kept in the file as text. An output has its cases on axis 0.
    """
    import onnx

    free = {name: {case_axis: "case"} for name in example} | {name: {0: "case"} for name in outputs}
    with _traceable(), torch.no_grad():
        torch.onnx.export(
            graph.eval(),
            tuple(example.values()),
            os.fspath(path),
            input_names=list(example),
            output_names=list(outputs),
            dynamic_axes=free,
            opset_version=_OPSET,
            dynamo=False,  # of torch.export the same graph takes 30 s a fold, and needs another package
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(notes))
    model.producer_name, model.producer_version = "autodls", notes.get("autodls", "")
    onnx.save(model, path)
    onnx.checker.check_model(os.fspath(path))


@contextmanager
def _traceable() -> Iterator[None]:
    """Plain products instead of PyTorch's fused transformer layer, which has no ONNX form; no warnings."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


class Runtime:
    """A graph in onnxruntime, on one core of the CPU."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        except Exception as failure:  # its errors have no common class of their own
            raise AutoDLSError(f"{path.name}: onnxruntime cannot read it ({_first_line(failure)})") from None

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name."""
        names = [one.name for one in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, inputs), strict=True))


def runtime_version() -> str:
    """Name and version of what ran the graphs."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def _first_line(failure: Exception) -> str:
    return (str(failure).splitlines() or [type(failure).__name__])[0]
