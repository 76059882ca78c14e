"""The 2.5D sample of a case on disk: safetensors, read without SimpleITK."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save

from autodls.errors import ArgumentError, StaleRecordError
from autodls.imaging.geometry import as_triple
from autodls.imaging.lesions import LesionPlace
from autodls.preprocessing.planes import PLANES, Plane
from autodls.preprocessing.shown import Shown
from autodls.records.base import parse_json
from autodls.records.files import sha256_of_bytes, write_bytes
from autodls.records.tensor_file import open_tensors

FORMAT = "autodls-sample/4"
_SEAL = "note_sha256"
_TENSORS = ("pixels", "present", "roi")  # of a lesion
_METADATA = "autodls"  # one key: safetensors writes several in no fixed order


@dataclass(frozen=True)
class Sample:
    """One case as the networks see it.

    `pixels` float32 [sequence, plane, row, column], planes axial, sagittal, coronal, zeros where a sequence is missing;
    `present` bool [sequence]; `roi` bool [plane, row, column], all tumour that lies in each picture, also of other
    parts than the one that planes were chosen for; `planes` says where the pictures lie in the patient; `flags` what a
    person should know; `key` is the SHA-256 of everything that the sample was derived from; `shown` says how much of
    the tumour the pictures show, None where nobody looked. Where lesions are told apart, this is the sample of the
    largest, `lesion` says which that is, `roi` is that lesion alone, and `others` are the samples of the others.
    """

    case: str
    pixels: NDArray[np.float32]
    present: NDArray[np.bool_]
    roi: NDArray[np.bool_]
    planes: tuple[Plane, ...]
    flags: tuple[str, ...]
    key: str
    shown: Shown | None = None
    lesion: LesionPlace | None = None
    others: tuple["Sample", ...] = ()

    @property
    def lesions(self) -> tuple["Sample", ...]:
        """The samples of all lesions, this one first; itself alone where they are not told apart."""
        return (self, *self.others)

    def __post_init__(self) -> None:
        """Refuse pixels, sequences and planes that do not fit together, and pixels that are not finite."""
        expected = (len(self.present), len(PLANES), *(self.planes[0].size if self.planes else ()))
        if self.pixels.shape != expected or tuple(plane.name for plane in self.planes) != PLANES:
            raise ArgumentError(
                f"sample of case {self.case}: pixels {self.pixels.shape} for sequences, planes and size {expected}"
            )
        if self.roi.shape != expected[1:]:
            raise ArgumentError(f"sample of case {self.case}: ROI {self.roi.shape} for planes and size {expected[1:]}")
        if self.pixels.dtype != np.float32 or not np.isfinite(self.pixels).all():
            raise ArgumentError(f"sample of case {self.case}: pixels must be finite float32, are {self.pixels.dtype}")

    def network_input(self, *, roi_guided: bool) -> NDArray[np.float32]:
        """What an encoder takes of each sequence, [sequence, channel, row, column]: the planes, then, if `roi_guided`,
        the ROI in each of them, 1 inside.
        """
        if not roi_guided:
            return self.pixels
        roi = np.broadcast_to(self.roi.astype(np.float32), self.pixels.shape)
        return np.concatenate([self.pixels, roi], axis=1)


def save_sample(path: Path, sample: Sample) -> None:
    """Write `sample` to `path` atomically; the same sample gives the same bytes."""
    tensors = {
        f"{prefix}{name}": np.ascontiguousarray(getattr(one, name))
        for prefix, one in zip(_prefixes(len(sample.lesions)), sample.lesions, strict=True)
        for name in _TENSORS
    }
    record = {
        "format": FORMAT,
        "case": sample.case,
        "key": sample.key,
        "sha256": _content_sha256(tensors),
        "flags": list(sample.flags),
        "planes": [asdict(plane) for plane in sample.planes],
        "shown": None if sample.shown is None else asdict(sample.shown),
        **({} if sample.lesion is None else {"lesions": [_lesion_note(one) for one in sample.lesions]}),
    }
    sealed = record | {_SEAL: _note_sha256(record)}
    write_bytes(path, save(tensors, metadata={_METADATA: json.dumps(sealed)}))


def load_sample(path: Path) -> Sample:
    """Read the sample `path`; raises StaleRecordError for a missing, damaged or foreign file."""
    record, tensors = _read(path, with_tensors=True)
    if record.get("sha256") != _content_sha256(tensors):
        raise _damaged(path, "its pixels are not those that were written")
    try:
        lesions = record.get("lesions", [{}])
        samples = [
            _sample({**record, **note}, tensors, prefix)
            for prefix, note in zip(_prefixes(len(lesions)), lesions, strict=True)
        ]
        return replace(samples[0], flags=tuple(record["flags"]), others=tuple(samples[1:]))
    except (KeyError, IndexError, TypeError, ValueError, ArgumentError) as failure:
        raise _damaged(path, str(failure)) from None


def _sample(note: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], prefix: str) -> Sample:
    place = note.get("lesion")
    return Sample(
        note["case"],
        tensors[f"{prefix}pixels"],
        tensors[f"{prefix}present"],
        tensors[f"{prefix}roi"],
        tuple(_plane(fields) for fields in note["planes"]),
        (),
        note["key"],
        _shown(note["shown"]),
        None if place is None else _place(place),
    )


def _lesion_note(sample: Sample) -> dict[str, Any]:
    return {
        "lesion": None if sample.lesion is None else asdict(sample.lesion),
        "planes": [asdict(plane) for plane in sample.planes],
        "shown": None if sample.shown is None else asdict(sample.shown),
    }


def _place(fields: Mapping[str, Any]) -> LesionPlace:
    return LesionPlace(int(fields["number"]), float(fields["volume_ml"]), as_triple(fields["centre_mm"]))


def _prefixes(lesions: int) -> list[str]:
    """What the names of the tensors of each lesion begin with; those of the first are those of a sample of one."""
    return ["", *(f"lesion_{number}." for number in range(2, lesions + 1))]


def _content_sha256(tensors: dict[str, NDArray[Any]]) -> str:
    """Of all tensors, in the order of the lesions."""
    names = [f"{prefix}{name}" for prefix in _prefixes(len(tensors) // len(_TENSORS)) for name in _TENSORS]
    return sha256_of_bytes(b"".join(tensors[name].tobytes() for name in names if name in tensors))


def _note_sha256(record: Mapping[str, Any]) -> str:
    """SHA-256 of what stands beside the pixels: planes, flags and all else."""
    told = {name: value for name, value in record.items() if name != _SEAL}
    return sha256_of_bytes(json.dumps(told, sort_keys=True).encode())


def is_note_sealed(path: Path) -> bool:
    """Whether planes and flags of the sample `path` have a hash, which older versions kept of its pixels alone.

    Raises StaleRecordError for a file that cannot be read, or whose planes and flags are not those of their hash.
    """
    return _SEAL in _read(path)[0]


def load_summary(path: Path) -> tuple[str, tuple[str, ...]] | None:
    """Key and flags of the sample `path` without its pixels; None when there is none that can be read."""
    try:
        record, _ = _read(path)
        return str(record["key"]), tuple(record["flags"])
    except (StaleRecordError, KeyError, TypeError):
        return None


def _read(path: Path, *, with_tensors: bool = False) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    if not path.is_file():
        raise StaleRecordError(f"{path}: no such sample; run 'autodls preprocess'")
    try:
        with open_tensors(path, "numpy") as opened:
            record = parse_json((opened.metadata() or {})[_METADATA])
            tensors = {name: opened.get_tensor(name) for name in (opened.keys() if with_tensors else ())}
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as failure:
        raise _damaged(path, str(failure)) from None
    found = record.get("format") if isinstance(record, dict) else record
    if found != FORMAT:
        raise _damaged(path, f"format {found!r}, expected '{FORMAT}'")
    if record.get(_SEAL, found := _note_sha256(record)) != found:
        raise _damaged(path, "its planes or flags are not those that were written")
    return record, tensors


def _plane(fields: dict[str, Any]) -> Plane:
    rows, columns = fields["size"]
    return Plane(
        fields["name"],
        int(fields["index"]),
        as_triple(fields["origin_mm"]),
        as_triple(fields["row_step_mm"]),
        as_triple(fields["column_step_mm"]),
        (int(rows), int(columns)),
        float(fields["area_mm2"]),
    )


def _shown(fields: dict[str, Any] | None) -> Shown | None:
    if fields is None:
        return None
    axial, sagittal, coronal = (float(share) for share in fields["in_plane"])
    parts, unseen = int(fields["parts"]), int(fields["unseen"])
    return Shown((axial, sagittal, coronal), parts, unseen, float(fields["volume_ml"]), float(fields["unseen_ml"]))


def _damaged(path: Path, found: str) -> StaleRecordError:
    return StaleRecordError(f"{path}: not a usable sample ({found}); delete it and run 'autodls preprocess'")
