"""What a change costs in AUC, held against a margin that was declared before anything was scored.

The two-sided 95 % interval of the difference is set beside 0 and beside the margin, as the CONSORT extension for
noninferiority trials draws it [1]_. The AUCs are those of the same cases, so the test is DeLong's paired one; where a
patient has several cases, the interval of a bootstrap over patients decides, as the cases are not independent, and the
variance of the test is Obuchowski's. Between out-of-fold scores either is of twice the variance (`shared_folds`).

Two scores that are both worthless do not differ either. So there is no answer where a score is constant or a class has
few cases, and "not inferior" is said only of a reference that is itself shown to be better than chance [1]_ (assay
sensitivity).

References
----------
.. [1] Piaggio, Elbourne, Pocock, Evans, Altman. Reporting of noninferiority and equivalence randomized trials.
       JAMA 2012;308:2594-2604.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from autodls.errors import ArgumentError
from autodls.evaluation.agreement_records import NonInferiority, Verdict
from autodls.evaluation.arrays import Floats
from autodls.evaluation.bootstrap import bootstrap_aucs, percentile_interval, resample_counts
from autodls.evaluation.clusters import few_of_a_class, is_clustered
from autodls.evaluation.delong import auc_with_ci, compare_aucs
from autodls.evaluation.results import Comparison, Estimate
from autodls.evaluation.shared_folds import comparison_method
from autodls.evaluation.widened import widened_auc, widened_difference

FEWEST_FOR_NONINFERIORITY = 20  # below, DeLong's normal approximation does not hold in the tail that decides
_CHANCE = 0.5
_POWER = 0.8
_FOR_POWER = float(1 + ndtri(_POWER) / ndtri(0.975))


def noninferiority(
    labels: ArrayLike,
    scores: tuple[ArrayLike, ArrayLike],
    names: tuple[str, str],
    patients: Sequence[str],
    margin: float,
    rng: np.random.Generator,
    *,
    out_of_fold: bool = False,
) -> NonInferiority:
    """The AUC of the first of `scores`, the new way, minus that of the second, the reference, against `margin`.

    `names` are those of the scores, `patients` names the patient of each case; `rng` draws patients; `out_of_fold` says
    that cross-validations made the scores. Raises ArgumentError for a margin that is not above 0.
    """
    if not 0 < margin < 1:
        raise ArgumentError(f"margin of {margin:g}: must be an AUC difference between 0 and 1")
    test = compare_aucs(labels, *scores, patients=patients, out_of_fold=out_of_fold)
    delong = Comparison(
        a=names[0], b=names[1], n=len(patients), delta=test.delta, low=test.low, high=test.high, z=test.z, p=test.p,
        method=comparison_method(patients, out_of_fold=out_of_fold), reason=test.reason,
    )  # fmt: skip
    aucs = bootstrap_aucs(labels, np.stack(scores), resample_counts(patients, rng)) if test.delta is not None else None
    clustered = is_clustered(patients)
    bootstrap = Estimate(reason=test.reason)
    if aucs is not None:
        bootstrap = percentile_interval(test.delta, aucs[0] - aucs[1])
        bootstrap = widened_difference(bootstrap) if out_of_fold else bootstrap
    found = NonInferiority(
        cases=len(patients),
        margin=margin,
        delong=delong,
        bootstrap=bootstrap,
        decided_by="bootstrap" if clustered else "delong",
        reference=_reference(labels, scores[1], aucs[1] if clustered and aucs is not None else None, out_of_fold),
        reason=_unanswerable(labels, scores, names, patients),
        verdict="not answerable",
        sentence="",
    )
    answer = _answer(found)
    return found.model_copy(update={"verdict": answer, "sentence": _sentence(answer, found, names[1])})


def _answer(found: NonInferiority) -> Verdict:
    """The verdict of the interval, unless there are reasons not to rely on it."""
    if found.reason is not None:
        return "not answerable"
    answer = verdict(found.decisive, found.margin)
    return "not answerable" if answer == "not inferior" and not _beats_chance(found.reference) else answer


def _unanswerable(
    labels: ArrayLike, scores: tuple[ArrayLike, ArrayLike], names: tuple[str, str], patients: Sequence[str]
) -> str | None:
    """Why no interval of these scores could be relied on; None where one can. Several cases of a patient are one."""
    if few := few_of_a_class(np.asarray(labels, dtype=bool), patients, FEWEST_FOR_NONINFERIORITY):
        who = f"{few} patients" if is_clustered(patients) else few
        return f"{who}, fewer than the {FEWEST_FOR_NONINFERIORITY} of a class that an interval can be relied on for"
    for name, values in zip(names, scores, strict=True):
        if np.ptp(np.asarray(values, dtype=np.float64)) == 0:
            return f"the score of {name} is the same for all cases"
    return None


def _reference(labels: ArrayLike, scores: ArrayLike, resampled: Floats | None, out_of_fold: bool) -> Estimate:
    """AUC of the reference with its interval: DeLong's on the logit scale, or that of the `resampled` AUCs."""
    found = auc_with_ci(labels, scores, out_of_fold=out_of_fold)
    if resampled is not None:
        interval = percentile_interval(found.value, resampled)
        return widened_auc(interval) if out_of_fold else interval
    return Estimate(value=found.value, low=found.low, high=found.high, reason=found.reason)


def _beats_chance(reference: Estimate) -> bool:
    """Whether the interval of an AUC lies above one half; full separation, which has no interval, does."""
    if reference.low is None:
        return reference.value == 1
    return reference.low > _CHANCE


def verdict(delta: Estimate, margin: float) -> Verdict:
    """What the interval of a difference, new minus reference, says.

    Better where it lies above 0, worse where it lies below 0 (even if by less than the margin), not inferior where it
    lies above -margin, else the cohort has no answer.

    >>> verdict(Estimate(value=0.01, low=-0.02, high=0.04), 0.05)
    'not inferior'
    >>> verdict(Estimate(value=0.01, low=-0.08, high=0.10), 0.05)
    'not answerable'
    """
    if delta.low is None or delta.high is None:
        return "not answerable"
    if delta.low > 0:
        return "better"
    if delta.high < 0:
        return "worse"
    return "not inferior" if delta.low > -margin else "not answerable"


def cases_needed(delta: Estimate, margin: float, cases: int) -> int | None:
    """About how many cases two AUCs that are alike need to be found not inferior in four cohorts of five.

    None without an interval. The half-width falls with the root of the number of cases; at the number at which it is
    the margin, half of the cohorts would answer. For a power of 80 % it must be smaller by 1.96 / (1.96 + 0.84), which
    takes 2.04 times as many cases.

    >>> cases_needed(Estimate(value=0.01, low=-0.09, high=0.11), 0.05, 72)
    589
    """
    if delta.low is None or delta.high is None:
        return None
    half = (delta.high - delta.low) / 2
    return math.ceil(round(cases * (half / margin * _FOR_POWER) ** 2, 6))


def _sentence(answer: Verdict, held: NonInferiority, reference: str) -> str:
    delta, margin = held.decisive, held.margin
    if delta.value is None or delta.low is None or delta.high is None:
        return f"Not answerable with {held.cases} cases: {delta.reason or held.reason}."
    found = f"an AUC difference of {delta.value:+.3f} (95% CI {delta.low:+.3f} to {delta.high:+.3f})"
    if held.reason is not None:
        return f"Not answerable with {held.cases} cases: {held.reason} ({found})."
    above = f"{found} lies above the declared margin of -{margin:g}"
    degree = "though by less than" if delta.low > -margin else "and it may be by more than"
    said = {
        "better": f"Better: {found} lies above 0",
        "worse": f"Worse: {found} lies below 0, {degree} the declared margin of {margin:g}",
        "not inferior": f"Not inferior: {above}",
        "not answerable": f"Not answerable with {held.cases} cases"
        + (f", though {above}" if delta.low > -margin else f": {found} {_too_few(held)}"),
    }
    return f"{said[answer]}.{'' if _beats_chance(held.reference) else _no_better(held.reference, reference)}"


def _too_few(held: NonInferiority) -> str:
    needed = cases_needed(held.decisive, held.margin, held.cases) or 0
    more = f"; were both alike, about {needed} cases would be needed for a power of {_POWER:.0%}"
    more = more if needed > held.cases else ""
    return f"reaches below the declared margin of -{held.margin:g}{more}"


def _no_better(found: Estimate, name: str) -> str:
    limits = "" if found.low is None or found.high is None else f" (95% CI {found.low:.3f} to {found.high:.3f})"
    value = "unknown" if found.value is None else f"{found.value:.3f}"
    return (
        f" The reference, {name}, is itself not shown to be better than chance, with an AUC of {value}{limits}: there "
        "is nothing to lose."
    )
