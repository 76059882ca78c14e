"""Images that stand for more than one sequence or case: `check` and `plan` say the same of them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodls.records.problems import Problem, error, warning


@dataclass(frozen=True)
class CaseVoxels:
    """SHA-256 of the voxels of each sequence of a case that has any contrast, and of its ROI, if it has one."""

    case: str
    patient: str
    images: Mapping[str, str]
    roi: str | None


def voxels_sha256(array: NDArray[Any]) -> str:
    """Of the values, in whatever type they are stored."""
    digest = hashlib.sha256(str(array.shape).encode())
    for part in array:  # a copy of the whole would be four times a mask
        digest.update(np.ascontiguousarray(part, dtype=np.float32).data)
    return digest.hexdigest()


def copy_problems(cases: Iterable[CaseVoxels]) -> list[Problem]:
    """Sequences of a case that are copies of one another, and cases that share an image.

    Real cohorts fill gaps with copies. A patient who stands twice under two names leaks from training into validation,
    and is an error; several findings of one patient on the same images stay together, and are told.
    """
    known = list(cases)
    places: defaultdict[str, list[tuple[CaseVoxels, str]]] = defaultdict(list)
    for case in known:
        for sequence, digest in case.images.items():
            places[digest].append((case, sequence))
    found = list(_twice(known))
    again = {problem.case for problem in found}
    shared: defaultdict[tuple[str, str, bool], set[str]] = defaultdict(set)
    for (first, sequence), *copies in places.values():
        for other, copied in copies:
            if other is first:
                what = f"{copied} is a copy of {sequence}, voxel by voxel"
                found.append(error(other.case, what, "remove the copy: a missing sequence is allowed"))
            elif other.case not in again:
                shared[first.case, other.case, first.patient == other.patient].add(copied)
    return found + [_shared(*between, sorted(sequences)) for between, sequences in shared.items()]


def _twice(cases: Sequence[CaseVoxels]) -> Iterator[Problem]:
    """Cases whose patient, images and ROI are those of a case before them."""
    first: dict[tuple[str, frozenset[tuple[str, str]], str], str] = {}
    for case in cases:
        if case.images and case.roi is not None:
            before = first.setdefault((case.patient, frozenset(case.images.items()), case.roi), case.case)
            if before != case.case:
                yield error(case.case, f"it is case {before} again: the same images and the same ROI", "remove one row")


def _shared(first: str, other: str, one_patient: bool, sequences: Sequence[str]) -> Problem:
    what = f"its {', '.join(sequences)} has the same voxels as an image of case {first}"
    if one_patient:
        why = "nothing to repair if they are findings of their own on the same images: a patient's cases stay together"
        return warning(other, f"{what}, of the same patient", why)
    return error(
        other,
        f"{what}, of another patient",
        "remove one of the two cases, export the right images, or give both the same patient in the table",
    )
