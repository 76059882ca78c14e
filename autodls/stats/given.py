"""What callers give, as plain arrays: whatever cannot be meant is refused in one line that names the argument."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autodls.errors import ArgumentError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Patients = Sequence[Hashable] | None


def numbers(name: str, values: ArrayLike, shape: tuple[int, ...] | None = None, axes: str = "(n,)") -> Floats:
    """`values` as floats of as many axes as `axes` names, of `shape` where it is given; nothing is missing.

    Raises ArgumentError for anything else: `name` is the argument that it is about.
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}: expected numbers {axes}, got {_shown(values)}") from None
    if found.ndim != axes.count(",") + (not axes.endswith(",)")):
        raise ArgumentError(f"{name}: expected an array {axes}, got one of shape {found.shape}")
    if shape is not None and found.shape != shape:
        raise ArgumentError(f"{name}: shape {found.shape}, expected {shape}, one value for each case")
    if missing := int(np.isnan(found).sum()):
        raise ArgumentError(
            f"{name}: {missing} of {found.size} values are missing; leave those cases out of all arrays"
        )
    return found


def yes_or_no(name: str, values: ArrayLike, shape: tuple[int, ...] | None = None) -> Bools:
    """`values` (n,), each 0 or 1, true or false, as booleans; raises ArgumentError for anything else."""
    if np.asarray(values).dtype == np.bool_:
        found = np.asarray(values, dtype=np.float64)
        return numbers(name, found, shape).astype(np.bool_)
    found = numbers(name, values, shape)
    if strange := sorted(set(np.unique(found)) - {0.0, 1.0}):
        raise ArgumentError(f"{name}: expected 0 or 1, got {strange[0]:g}; code the positive class, or the event, as 1")
    return found.astype(np.bool_)


def names(patients: Patients, cases: int) -> list[str] | None:
    """The patient of each case as text, None where none are given; raises ArgumentError for another number of them."""
    if patients is None:
        return None
    found = list(patients)
    if len(found) != cases:
        raise ArgumentError(f"patients: {len(found)} names, expected {cases}, one for each case")
    if (at := next((at for at, one in enumerate(found) if _is_missing(one)), None)) is not None:
        raise ArgumentError(f"patients: the name of case {at} is missing; give every case its patient")
    return [str(one) for one in found]


def labelled(labels: ArrayLike, scores: ArrayLike, name: str = "scores") -> tuple[Bools, Floats]:
    """Labels and scores, both (n,); raises ArgumentError."""
    positive = yes_or_no("labels", labels)
    return positive, numbers(name, scores, positive.shape)


def followed(times: ArrayLike, events: ArrayLike) -> tuple[Floats, Bools]:
    """Times and events, both (n,), n > 0; raises ArgumentError for times that are infinite or negative."""
    lasting = numbers("times", times)
    happened = yes_or_no("events", events, lasting.shape)
    if not len(lasting):
        raise ArgumentError("times: there are no patients")
    if len(wrong := lasting[~np.isfinite(lasting) | (lasting < 0)]):
        raise ArgumentError(f"times: {wrong[0]:g}, expected finite times that are not negative")
    return lasting, happened


def probabilities(labels: ArrayLike, given: ArrayLike) -> tuple[Bools, Floats]:
    """Labels and probabilities, both (n,), n > 0; raises ArgumentError for scores outside 0..1."""
    positive, values = labelled(labels, given, "probabilities")
    if not len(values):
        raise ArgumentError("probabilities: there are no cases")
    if len(outside := values[(values < 0) | (values > 1)]):
        raise ArgumentError(
            f"probabilities: {outside[0]:g} lies outside 0..1; recalibrate the scores to probabilities first"
        )
    return positive, values


def _is_missing(name: Hashable) -> bool:
    return name is None or name == "" or (isinstance(name, float) and np.isnan(name).item())


def _shown(values: object) -> str:
    text = repr(values)
    return text if len(text) <= 60 else f"{text[:57]}..."
