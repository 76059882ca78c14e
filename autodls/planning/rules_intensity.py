"""Rules for intensities: a fixed window where they have a unit, percentiles and z-score where they have none.

What a clip takes from tumours is measured in the fingerprint. MR: of eight sarcomas and 79 gliomas in three sequences,
0 to 2 % of a tumour lies above the 99.5th percentile of the foreground; FDG-PET: 2 to 8 %, its maximum in seven of the
eight sarcomas.
"""

import math
import re
from typing import Literal

from autodls.planning.decision import Decision, Situation
from autodls.records.fingerprint import Quantiles, SequenceFingerprint
from autodls.records.preprocessing_plan import IntensityPlan

CT_WINDOW_HU = (-160.0, 240.0)
CLIP_PERCENTILES = (0.5, 99.5)
LARGEST_PERCENTILE = 100.0
MOST_CLIPPED = 0.05
SUV_UP_TO, SUV_STEP, MOST_SUV = 20.0, 5.0, 50.0
SUV_MEDIANS = (0.1, 15.0)
_NAMES: dict[Literal["CT", "PET"], frozenset[str]] = {
    "CT": frozenset({"ct", "hu", "cect", "ncct", "ldct", "cbct"}),
    "PET": frozenset({"pet", "suv", "fdgpet", "petfdg", "psmapet", "fdopapet", "fetpet"}),
}


def modality(sequence: str) -> Literal["CT", "PET"] | None:
    """What a sequence is by its name, where its intensities have a unit.

    >>> modality("PET_SUV"), modality("CT portal venous"), modality("CE-T1WI")
    ('PET', 'CT', None)
    """
    words = set(re.split(r"[^a-z]+", sequence.lower()))
    found = [kind for kind, names in _NAMES.items() if words & names]
    return found[0] if len(found) == 1 else None  # of "PET/CT" nobody knows which of the two it is


def looks_like_suv(foreground_median: float) -> bool:
    """Whether the median of a PET image's foreground can be one of SUV, which are 1 on average over the body.

    Bq/ml are thousands of it. What happens to lie in the same range (kBq/ml, percent of the dose) cannot be told.
    """
    low, high = SUV_MEDIANS
    return low <= foreground_median <= high


def intensity(situation: Situation) -> Decision:
    """A fixed window for CT and PET, known by name and values; percentiles and z-score for everything else."""
    chosen = {name: _of(name, seen) for name, seen in situation.fingerprint.sequences.items()}
    named: dict[str, list[str]] = {}
    for name, decision in chosen.items():
        named.setdefault(decision.reason, []).append(name)
    reason = " ".join(f"{', '.join(names)}: {why}." for why, names in named.items())
    return Decision({name: decision.value for name, decision in chosen.items()}, reason)


def _of(name: str, seen: SequenceFingerprint) -> Decision:
    kind = modality(name)
    if kind == "CT":
        return _ct(seen)
    return _pet(seen) if kind == "PET" else _zscore(seen, "no CT or PET by its name, so without a unit: ")


def _ct(seen: SequenceFingerprint) -> Decision:
    low, high = CT_WINDOW_HU
    inside = seen.roi_percentiles
    if inside and not low <= inside["50"].median <= high:
        return _zscore(
            seen,
            f"CT by its name, but the median of the tumours is {inside['50'].median:.4g}, outside {low:g} to {high:g}, "
            f"so its unit is not HU: ",
        )
    window = IntensityPlan(scheme="window", window_hu=CT_WINDOW_HU).model_dump(mode="json")
    return Decision(window, f"CT by its name: soft-tissue window of {low:g} to {high:g} HU")


def _pet(seen: SequenceFingerprint) -> Decision:
    medians, inside = (seen.foreground_percentiles or {}).get("50"), (seen.roi_percentiles or {}).get("99.5")
    if medians is not None and not looks_like_suv(medians.median):
        return _zscore(
            seen,
            f"PET by its name, but the foreground's median is {medians.median:.4g} ({medians.minimum:.3g} to "
            f"{medians.maximum:.3g}), no SUV (expected {SUV_MEDIANS[0]:g} to {SUV_MEDIANS[1]:g}; convert the images): ",
        )
    high, why = _suv_up_to(inside)
    window = IntensityPlan(scheme="window", window_suv=(0.0, high)).model_dump(mode="json")
    return Decision(
        window, f"PET by its name, in SUV by its values: window of 0 to {high:g} SUV, as z-score erases uptake; {why}"
    )


def _suv_up_to(inside: Quantiles | None) -> tuple[float, str]:
    """Upper bound: 20, which few tumours exceed, or the next multiple of 5 above what these do; 50 at most."""
    highest = 0.0 if inside is None else inside.maximum
    if highest <= SUV_UP_TO:
        return SUV_UP_TO, f"the 99.5th percentile of a tumour is at most {highest:.3g} here"
    bound = min(MOST_SUV, math.ceil(highest / SUV_STEP) * SUV_STEP)
    return bound, f"wider than the usual {SUV_UP_TO:g}, as the 99.5th percentile of a tumour reaches {highest:.3g}"


def _zscore(seen: SequenceFingerprint, why: str) -> Decision:
    """Percentiles of the foreground; where they cut through tumours above, only the largest value bounds."""
    clipped = seen.roi_clipped or {}
    low, high = CLIP_PERCENTILES
    above, below = clipped.get("above"), clipped.get("below")
    notes = []
    if above is not None and above.p95 > MOST_CLIPPED:
        notes.append(
            f"{LARGEST_PERCENTILE:g} for {high:g}, above which lie {above.median:.1%} of the tumour in the median case "
            f"and {above.p95:.1%} at the 95th percentile of cases"
        )
        high = LARGEST_PERCENTILE
    if below is not None and below.p95 > MOST_CLIPPED:
        notes.append(
            f"{below.median:.1%} of the tumour in the median case and {below.p95:.1%} at the 95th percentile of cases "
            f"lie below the lower one, and look like air"
        )
    told = f" ({'; '.join(notes)})" if notes else ""
    chosen = IntensityPlan(scheme="zscore", clip_percentiles=(low, high)).model_dump(mode="json")
    reason = f"{why}clipped to percentiles {low:g} and {high:g} of the foreground{told}, then z-score"
    return Decision(chosen, reason)
