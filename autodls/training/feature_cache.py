"""Features of an encoder that is not trained: computed once of each picture, and kept as files by what they come from.

The name of a file is the SHA-256 of the encoder's weights, of the very pixels that it was given, and of what computed
them. So a file is of one picture and one network, whoever asks, and nothing that is looked up can be of another.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from autodls.errors import ModelFolderError
from autodls.models.folded import FoldedEncoder
from autodls.records.files import sha256_of_bytes
from autodls.records.plan import Plan
from autodls.records.tensors import load_tensors, save_tensors, tensors_sha256

_FORMAT = "autodls-features/1"


@dataclass(frozen=True)
class RememberingEncoder(FoldedEncoder):
    """An encoder that scores, whose feature maps lie in the folder `kept`; `weights` is the hash of its convolutions.

    Every picture is computed on its own, so that its features do not depend on what else was asked for.
    """

    kept: Path = Path()
    weights: str = ""

    def features(self, inputs: Tensor) -> Tensor:
        """As `FoldedEncoder.features`."""
        return torch.cat([self._features_of(one) for one in torch.split(inputs, 1)])

    def _features_of(self, case: Tensor) -> Tensor:
        key = self._key(case)
        path = self.kept / key[:2] / f"{key}.safetensors"
        maps = _read(path, key)
        if maps is None:
            maps = super().features(case)
            save_tensors(path, {"maps": maps}, _note(key, maps))
        return maps.to(case.device)

    def _key(self, case: Tensor) -> str:
        pixels = sha256_of_bytes(case.contiguous().cpu().numpy().tobytes())
        computed_in = f"{case.device.type} {self.dtype} torch {torch.__version__}"
        content = [_FORMAT, self.weights, list(case.shape), str(case.dtype), pixels, computed_in]
        return sha256_of_bytes(json.dumps(content).encode())


def remembering(encoder: FoldedEncoder, kept: Path) -> RememberingEncoder:
    """The same `encoder`, whose features are looked up in `kept`, and put there."""
    weights = tensors_sha256({name: t for name, t in encoder.tensors().items() if not name.startswith("fc.")})
    return RememberingEncoder(encoder.convolutions, encoder.fc, kept, weights)


def as_scored(encoder: FoldedEncoder, plan: Plan, kept: Path | None) -> FoldedEncoder:
    """The encoder as the stages of a fold use it: one that is not trained looks up its features where they are kept."""
    return remembering(encoder, kept) if plan.network.encoder_frozen and kept is not None else encoder


def _note(key: str, maps: Tensor) -> dict[str, object]:
    return {"key": key, "sha256": sha256_of_bytes(maps.contiguous().cpu().numpy().tobytes())}


def _read(path: Path, key: str) -> Tensor | None:
    """What was kept; None where there is nothing, or what is there is not what was written: it is then made anew."""
    if not path.is_file():
        return None
    try:
        tensors, note = load_tensors(path, "")
    except ModelFolderError:
        return None
    return tensors["maps"] if _is_whole(tensors, note, key) else None


def _is_whole(tensors: Mapping[str, Tensor], note: Mapping[str, object], key: str) -> bool:
    return set(tensors) == {"maps"} and tensors["maps"].dtype == torch.float32 and note == _note(key, tensors["maps"])
