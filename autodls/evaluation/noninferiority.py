"""What a change costs in AUC, held against a margin that was declared before anything was scored.

The two-sided 95 % interval of the difference is set beside 0 and beside the margin, as the CONSORT extension for
noninferiority trials draws it [1]_. The AUCs are those of the same cases, so the test is DeLong's paired one; where a
patient has several cases, the interval of a bootstrap over patients decides, as the cases are not independent.

References
----------
.. [1] Piaggio, Elbourne, Pocock, Evans, Altman. Reporting of noninferiority and equivalence randomized trials.
       JAMA 2012;308:2594-2604.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from autodls.errors import ArgumentError
from autodls.evaluation.bootstrap import bootstrap_aucs, percentile_interval, resample_counts
from autodls.evaluation.delong import compare_aucs
from autodls.evaluation.results import Comparison, Proportion
from autodls.records.base import Record

Verdict = Literal["better", "worse", "not inferior", "not answerable"]


class NonInferiority(Record):
    """A difference of AUCs, and what may be said of it."""

    cases: int
    margin: float = Field(description="AUC that may be lost and still count as not inferior")
    delong: Comparison = Field(description="new (a) minus reference (b)")
    bootstrap: Proportion = Field(description="the same difference, over resampled patients")
    decided_by: Literal["delong", "bootstrap"]
    verdict: Verdict
    sentence: str


def noninferiority(
    labels: ArrayLike,
    scores: tuple[ArrayLike, ArrayLike],
    names: tuple[str, str],
    patients: Sequence[str],
    margin: float,
    rng: np.random.Generator,
) -> NonInferiority:
    """The AUC of the first of `scores`, the new way, minus that of the second, the reference, against `margin`.

    `names` are those of the scores, `patients` names the patient of each case; `rng` draws patients. Raises
    ArgumentError for a margin that is not above 0.
    """
    if not 0 < margin < 1:
        raise ArgumentError(f"margin of {margin:g}: must be an AUC difference between 0 and 1")
    test = compare_aucs(labels, *scores)
    delong = Comparison(
        a=names[0], b=names[1], delta=test.delta, low=test.low, high=test.high, z=test.z, p=test.p, reason=test.reason
    )
    bootstrap = _resampled(labels, scores, patients, test.delta, test.reason, rng)
    clustered = len(set(patients)) < len(patients)
    found = bootstrap if clustered else Proportion(value=test.delta, low=test.low, high=test.high, reason=test.reason)
    answer = verdict(found, margin)
    return NonInferiority(
        cases=len(patients),
        margin=margin,
        delong=delong,
        bootstrap=bootstrap,
        decided_by="bootstrap" if clustered else "delong",
        verdict=answer,
        sentence=_sentence(answer, found, margin, len(patients)),
    )


def verdict(delta: Proportion, margin: float) -> Verdict:
    """What the interval of a difference, new minus reference, says.

    Better where it lies above 0, worse where it lies below 0 (even if by less than the margin), not inferior where it
    lies above -margin, else the cohort has no answer.

    >>> verdict(Proportion(value=0.01, low=-0.02, high=0.04), 0.05)
    'not inferior'
    >>> verdict(Proportion(value=0.01, low=-0.08, high=0.10), 0.05)
    'not answerable'
    """
    if delta.low is None or delta.high is None:
        return "not answerable"
    if delta.low > 0:
        return "better"
    if delta.high < 0:
        return "worse"
    return "not inferior" if delta.low > -margin else "not answerable"


def cases_needed(delta: Proportion, margin: float, cases: int) -> int | None:
    """About how many cases two AUCs that are alike need for an interval above -margin; None without an interval.

    The half-width falls with the root of the number of cases.

    >>> cases_needed(Proportion(value=0.01, low=-0.09, high=0.11), 0.05, 72)
    288
    """
    if delta.low is None or delta.high is None:
        return None
    half = (delta.high - delta.low) / 2
    return math.ceil(round(cases * (half / margin) ** 2, 6))


def _resampled(
    labels: ArrayLike,
    scores: tuple[ArrayLike, ArrayLike],
    patients: Sequence[str],
    delta: float | None,
    reason: str | None,
    rng: np.random.Generator,
) -> Proportion:
    if delta is None:
        return Proportion(reason=reason)
    new, reference = bootstrap_aucs(labels, np.stack(scores), resample_counts(patients, rng))
    return percentile_interval(delta, new - reference)


def _sentence(answer: Verdict, delta: Proportion, margin: float, cases: int) -> str:
    if delta.value is None or delta.low is None or delta.high is None:
        return f"Not answerable with {cases} cases: {delta.reason}."
    found = f"an AUC difference of {delta.value:+.3f} (95% CI {delta.low:+.3f} to {delta.high:+.3f})"
    if answer == "better":
        return f"Better: {found} lies above 0."
    if answer == "worse":
        degree = "though by less than" if delta.low > -margin else "and it may be by more than"
        return f"Worse: {found} lies below 0, {degree} the declared margin of {margin:g}."
    if answer == "not inferior":
        return f"Not inferior: {found} lies above the declared margin of -{margin:g}."
    needed = cases_needed(delta, margin, cases) or 0
    more = f"; were both alike, about {needed} cases would be needed" if needed > cases else ""
    return f"Not answerable with {cases} cases: {found} reaches below the declared margin of -{margin:g}{more}."
