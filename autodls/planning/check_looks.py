"""Images that do not look like those of the other cases: exchanged sequences, intensities in another unit."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from autodls.planning.check_images import CaseFindings
from autodls.planning.fingerprint import quantiles
from autodls.planning.ood import LEAST_CASES, is_scaled, swapped
from autodls.planning.rules_intensity import MOST_CLIPPED, looks_like_suv, modality
from autodls.planning.sequence_measure import PERCENTILES, SequenceMeasure
from autodls.records.fingerprint import Quantiles
from autodls.records.problems import Problem, warning

LEAST_CLIPPED = 0.25
_EDGES = {"below": f"{PERCENTILES[0]:g}th", "above": f"{PERCENTILES[-1]:g}th"}
_SAY = "look at both images; exchange the files if they are"
_EXPORT = "export it again as the others were, without scaling"


def look_problems(findings: Sequence[CaseFindings]) -> list[Problem]:
    """Warnings for cases that differ from the cohort, and for sequences whose scale does not do for their tumours.

    None of the first kind for sequences that fewer than `LEAST_CASES` cases have.
    """
    members: defaultdict[str, dict[str, SequenceMeasure]] = defaultdict(dict)
    for finding in findings:
        for sequence, measure in finding.measures.items():
            members[sequence][finding.case] = measure
    known = {sequence: measures for sequence, measures in members.items() if len(measures) >= LEAST_CASES}
    scaled = (one for name, measures in known.items() for one in _scaled(name, measures))
    return [*_swaps(findings, known), *scaled, *(one for item in members.items() for one in _of_scale(*item))]


def _of_scale(sequence: str, measures: dict[str, SequenceMeasure]) -> list[Problem]:
    """PET that is not in SUV, and percentiles that cut through tumours: one warning for all cases of a sequence."""
    kind = modality(sequence)
    if kind == "PET":
        odd = {case: seen.median for case, seen in measures.items() if not looks_like_suv(seen.median)}
        what = f"{sequence} is no SUV in {len(odd)} of {len(measures)} cases: a median of "
        say = "convert it to SUV, or give the sequence a name without PET or SUV"
        return [warning("", f"{what}{_example(odd, '.4g')} in the foreground", say)] if odd else []
    return [] if kind else [one for side, edge in _EDGES.items() for one in _clipped(sequence, side, edge, measures)]


def _clipped(sequence: str, side: str, edge: str, measures: dict[str, SequenceMeasure]) -> list[Problem]:
    shares = {case: seen.clipped[side] for case, seen in measures.items() if side in seen.clipped}
    cut = {case: share for case, share in shares.items() if share > LEAST_CLIPPED}
    if not cut or (side == "above" and quantiles(list(shares.values())).p95 > MOST_CLIPPED):
        return []  # the plan widens the percentiles of such a cohort
    what = (
        f"more than {LEAST_CLIPPED:.0%} of the tumour lies {side} the {edge} percentile of {sequence}'s foreground in "
        f"{len(cut)} of {len(measures)} cases: {_example(cut, '.0%')}"
    )
    return [warning("", what, "look at the images; the plan says by which percentiles they are clipped")]


def _example(values: dict[str, float], form: str) -> str:
    """The largest value, and whose it is."""
    case = max(values, key=lambda name: values[name])
    return f"{values[case]:{form}} in case {case}"


def _swaps(findings: Sequence[CaseFindings], known: dict[str, dict[str, SequenceMeasure]]) -> list[Problem]:
    seen = {name: _contrasts(list(measures.values())) for name, measures in known.items()}
    return [
        warning(finding.case, f"{a} and {b} look swapped, by their contrast in the other cases", _SAY)
        for finding in findings
        for a, b in swapped({name: measure.contrast for name, measure in finding.measures.items()}, seen)
    ]


def _contrasts(measures: Sequence[SequenceMeasure]) -> dict[str, Quantiles]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for measure in measures:
        for name, value in measure.contrast.items():
            found[name].append(value)
    return {name: quantiles(values) for name, values in found.items()}


def _scaled(sequence: str, measures: dict[str, SequenceMeasure]) -> list[Problem]:
    found = []
    for case, measure in measures.items():
        others = median(one.median for name, one in measures.items() if name != case)
        if is_scaled(measure.median, others, others):
            what = f"{sequence} has a median intensity of {measure.median:.4g}, the other cases {others:.4g}"
            found.append(warning(case, what, _EXPORT))
    return found
