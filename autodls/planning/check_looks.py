"""Images that do not look like those of the other cases: exchanged sequences, intensities in another unit."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from autodls.planning.check_images import CaseFindings
from autodls.planning.fingerprint import quantiles
from autodls.planning.measure import SequenceMeasure
from autodls.planning.unlike import LEAST_CASES, is_scaled, swapped
from autodls.records.fingerprint import Quantiles
from autodls.records.problems import Problem, warning

_SAY = "look at both images; exchange the files if they are"
_EXPORT = "export it again as the others were, without scaling"


def look_problems(findings: Sequence[CaseFindings]) -> list[Problem]:
    """Warnings for cases that differ from the cohort; none for sequences that fewer than `LEAST_CASES` cases have."""
    members: defaultdict[str, dict[str, SequenceMeasure]] = defaultdict(dict)
    for finding in findings:
        for sequence, measure in finding.measures.items():
            members[sequence][finding.case] = measure
    known = {sequence: measures for sequence, measures in members.items() if len(measures) >= LEAST_CASES}
    return [*_swaps(findings, known), *(one for name, measures in known.items() for one in _scaled(name, measures))]


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
