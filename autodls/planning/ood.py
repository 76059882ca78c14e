"""What sets one case apart from a cohort: grid, unit of the intensities and contrast of its images, size of its ROI.

A quantity is unlike where it leaves the cohort's range by more than half of its width. For normal values and 10 cases
that is beyond 3 standard deviations, for 70 cases beyond 4.8; so a case of the same kind is flagged about once in 500.
Measured, each case left out in turn: 0 of 50 phantom cases are flagged, and 3 of 34 gliomas, rightly, for a field of
view of 400 mm and more where the others have 256 mm.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from autodls.planning.sequence_measure import SequenceMeasure
from autodls.records.fingerprint import Quantiles, SequenceFingerprint, TumourFingerprint

LEAST_CASES = 5  # a range of fewer says nothing
SCALE = 30.0  # times the cohort's median intensity: scanners differ by 10, a wrong unit by 1000
_BEYOND = 0.5
_GRID_SLACK = 1.25  # protocols of one kind differ so much, and resampling bridges it
_TURNED_DEG = 10.0
_SWAP_EVIDENCE = 10.0  # in squared standard deviations; see `swapped`
_MOST_DEVIATIONS, _LEAST_SPREAD = 6.0, 0.02
_VOLUME_SLACK = 2.0  # at least, as a factor

Contrast = Mapping[str, float]


def ood_flags(case: Mapping[str, SequenceMeasure], seen: Mapping[str, SequenceFingerprint]) -> list[str]:
    """What differs, one line each, between the sequences of a case and those of the training cohort.

    Sequences that fewer than `LEAST_CASES` training cases had are passed over.
    """
    known = {name: one for name, one in seen.items() if one.cases >= LEAST_CASES}
    found = [
        f"{name} is unlike the training images: {what}"
        for name, measure in case.items()
        if name in known
        for what in _differences(measure, known[name])
    ]
    contrasts = {name: one.contrast for name, one in known.items() if one.contrast is not None}
    pairs = swapped({name: measure.contrast for name, measure in case.items()}, contrasts)
    return [*found, *(f"{a} and {b} look swapped, by their contrast in training" for a, b in pairs)]


def tumour_flags(volume_ml: float, seen: TumourFingerprint, cases: int) -> list[str]:
    """What sets an ROI of `volume_ml` apart from those of the `cases` training cases; nothing for few of them.

    Volumes are told apart by ratios: one is unlike where it leaves the cohort's range by more than the root of its
    width, and by a factor of 2 at least. Measured, each case left out in turn: none of 96 phantom cases, nor of 79
    gliomas.
    """
    known = seen.volume_ml
    if cases < LEAST_CASES or known.minimum <= 0:
        return []
    factor = max((known.maximum / known.minimum) ** _BEYOND, _VOLUME_SLACK)
    if known.minimum / factor <= volume_ml <= known.maximum * factor:
        return []
    return [f"the ROI is unlike those of the training cases: {volume_ml:.3g} ml ({_span(known)})"]


def _differences(case: SequenceMeasure, seen: SequenceFingerprint) -> Iterator[str]:
    yield from _lengths("voxel spacing", case.spacing_mm, seen.spacing_mm)
    yield from _lengths("field of view", case.field_of_view_mm, seen.field_of_view_mm)
    if seen.obliqueness_deg and case.obliqueness_deg > seen.obliqueness_deg.maximum + _TURNED_DEG:
        yield f"oblique by {case.obliqueness_deg:.0f} degrees (at most {seen.obliqueness_deg.maximum:.0f})"
    medians = (seen.foreground_percentiles or {}).get("50")
    if medians and is_scaled(case.median, medians.minimum, medians.maximum):
        yield f"median intensity {case.median:.4g} ({_span(medians)})"
    for name, value in case.contrast.items():
        known = (seen.contrast or {}).get(name)
        if known and not _within(value, known):
            yield f"{name} contrast {value:.2f} ({_span(known)})"


def _lengths(what: str, case: Sequence[float], seen: Sequence[Quantiles] | None) -> Iterator[str]:
    """Lengths in mm along the axes, paired by length: files differ in the order in which they store axes."""
    if seen is None:
        return
    ordered = sorted(seen, key=lambda known: known.median)
    unlike = {
        f"{value:.3g} mm ({_span(known)})": None  # two axes of a plane mostly say the same
        for value, known in zip(sorted(case), ordered, strict=True)
        if not known.minimum / _GRID_SLACK <= _nearest(value, known) <= known.maximum * _GRID_SLACK
    }
    if unlike:
        yield f"{what} {' and '.join(unlike)}"


def _nearest(value: float, known: Quantiles) -> float:
    """`value`, brought nearer to the range by the half of its width that is allowed for."""
    slack = _BEYOND * (known.maximum - known.minimum)
    if value < known.minimum:
        return min(value + slack, known.minimum)
    return max(value - slack, known.maximum) if value > known.maximum else value


def _within(value: float, known: Quantiles) -> bool:
    slack = max(_BEYOND * (known.maximum - known.minimum), _LEAST_SPREAD)
    return known.minimum - slack <= value <= known.maximum + slack


def _span(known: Quantiles) -> str:
    return f"{known.minimum:.3g} to {known.maximum:.3g} in training"


def is_scaled(value: float, low: float, high: float) -> bool:
    """Whether an intensity is more than `SCALE` times off the range; only for positive ones, which CT does not have.

    >>> is_scaled(400_000.0, 300.0, 900.0), is_scaled(3_000.0, 300.0, 900.0)
    (True, False)
    """
    return min(value, low) > 0 and not low / SCALE <= value <= high * SCALE


def swapped(case: Mapping[str, Contrast], seen: Mapping[str, Mapping[str, Quantiles]]) -> list[tuple[str, str]]:
    """Pairs of sequences that fit each other's place better than their own.

    The misfit of an image to a sequence is the sum of squared deviations of its contrasts from the cohort's medians, in
    standard deviations of the cohort (none counted above 6). A pair is told where exchanging the two lowers the sum of
    their misfits by more than 10. Measured: no false pair in 50 phantom cases and 34 gliomas; every exchange of T1WI,
    T2WI and CE-T1WI in phantoms and of FLAIR in gliomas is told, of T1WI and CE-T1WI in gliomas 9 of 30.
    """
    names = [name for name in case if name in seen]
    return [
        (a, b)
        for a, b in itertools.combinations(names, 2)
        if _misfit(case[a], seen[a]) + _misfit(case[b], seen[b])
        > _misfit(case[a], seen[b]) + _misfit(case[b], seen[a]) + _SWAP_EVIDENCE
    ]


def _misfit(contrast: Contrast, seen: Mapping[str, Quantiles]) -> float:
    deviations = [
        abs(value - seen[name].median) / _spread(seen[name]) for name, value in contrast.items() if name in seen
    ]
    return sum(min(deviation, _MOST_DEVIATIONS) ** 2 for deviation in deviations)


def _spread(known: Quantiles) -> float:
    """Standard deviation of a normal distribution with these 5th and 95th percentiles."""
    return max((known.p95 - known.p5) / 3.29, _LEAST_SPREAD)
