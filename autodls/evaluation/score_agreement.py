"""Do two scores of the same cases say the same? Intraclass correlation, Bland-Altman, and calls that change.

References
----------
.. [1] Shrout, Fleiss. Intraclass correlations: uses in assessing rater reliability. Psychol Bull 1979;86:420-428.
.. [2] McGraw, Wong. Forming inferences about some intraclass correlation coefficients. Psychol Methods 1996;1:30-46.
.. [3] Bland, Altman. Statistical methods for assessing agreement between two methods of clinical measurement.
       Lancet 1986;327:307-310.
.. [4] Bland, Altman. Measuring agreement in method comparison studies. Stat Methods Med Res 1999;8:135-160.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import logit

from autodls.errors import ArgumentError
from autodls.evaluation.agreement_records import BlandAltman, ChangedCalls, ScoreAgreement
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.binary import not_probabilities
from autodls.evaluation.clustered_agreement import over_patients, resampled_icc, resampled_limits
from autodls.evaluation.clusters import is_clustered
from autodls.evaluation.delong import Patients
from autodls.evaluation.intervals import printed_rate
from autodls.evaluation.results import Estimate

_NORMAL_95 = 1.959963984540054
_FEWEST = 3  # two differences have a standard deviation, but no limits worth printing
_ROUND_OFF = 1e-12
_SATURATED = 1e-12  # a probability closer to 0 or 1 has no log-odds in double precision worth comparing


def score_agreement(
    first: ArrayLike, second: ArrayLike, cutoffs: tuple[float, float], patients: Patients = None
) -> ScoreAgreement:
    """Agreement of two probabilities (n,) of the same cases; `cutoffs` are those of the first and of the second.

    The ICC is of log-odds: its interval supposes normal values of even spread, which probabilities are not.
    Bland-Altman stays on the scale that a reader acts on. Where `patients` (n,) have several cases, every interval is
    over patients.

    Raises ArgumentError for scores that are no probabilities.
    """
    one, other = _paired(first, second)
    if (unfit := not_probabilities(np.concatenate([one, other]))) and len(one):
        raise ArgumentError(f"{unfit}; the agreement is of probabilities")
    return ScoreAgreement(
        icc=icc(log_odds(np.stack([one, other], axis=1)), patients),
        bland_altman=bland_altman(one, other, patients),
        calls=changed_calls(one, other, cutoffs, patients),
    )


def log_odds(probabilities: Floats) -> Floats:
    """Log-odds of probabilities of any shape, those too close to 0 or 1 for double precision cut off."""
    found: Floats = logit(np.clip(probabilities, _SATURATED, 1 - _SATURATED))
    return found


def icc(table: ArrayLike, patients: Patients = None) -> Estimate:
    """ICC(2,1) of a table (n cases, k scores) with its 95 % interval [1]_, [2]_.

    Absolute agreement: a score that is always 0.1 higher disagrees. From the mean squares of a two-way analysis of
    variance between cases (B), between scores (J) and of the rest (E), the ICC is
    (B - E) / (B + (k - 1) E + k (J - E) / n). Where `patients` (n,) have several cases, the interval is of a bootstrap
    over patients.

    >>> round(icc([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]).value, 2)
    0.29
    """
    scores = np.asarray(table, dtype=np.float64)
    cases, raters = scores.shape
    if cases < _FEWEST:
        return Estimate(reason=f"{cases} cases, fewer than {_FEWEST}")
    between, judges, rest = _mean_squares(scores)
    total = between + (raters - 1) * rest + raters * (judges - rest) / cases
    if between < _ROUND_OFF or total <= 0:
        return Estimate(reason="the scores do not differ between cases")
    value = (between - rest) / total
    if rest < _ROUND_OFF:
        return Estimate(value=value, reason="the scores differ by a constant or not at all, so there is no interval")
    if patients is not None and is_clustered(patients):
        return over_patients([Estimate(value=value)], resampled_icc(scores), patients)[0]
    low, high = _icc_interval(value, (between, judges, rest), cases, raters)
    return Estimate(value=value, low=low, high=high)


def bland_altman(first: ArrayLike, second: ArrayLike, patients: Patients = None) -> BlandAltman:
    """Bias and 95 % limits of agreement of `second` minus `first` [3]_, each with its interval [4]_.

    Where `patients` (n,) have several cases, the intervals are of a bootstrap over patients.
    """
    one, other = _paired(first, second)
    difference = other - one
    cases = difference.size
    if cases < _FEWEST:
        nothing = Estimate(reason=f"{cases} cases, fewer than {_FEWEST}")
        return BlandAltman(cases=cases, bias=nothing, lower_limit=nothing, upper_limit=nothing)
    bias, spread = float(difference.mean()), float(difference.std(ddof=1))
    if patients is not None and is_clustered(patients):
        values = [Estimate(value=bias + side * _NORMAL_95 * spread) for side in (0, -1, 1)]
        found = over_patients(values, resampled_limits(difference, _NORMAL_95), patients)
        return BlandAltman(cases=cases, bias=found[0], lower_limit=found[1], upper_limit=found[2])
    quantile = float(stats.t.ppf(0.975, cases - 1))
    of_bias = quantile * spread / np.sqrt(cases)
    of_limits = quantile * spread * np.sqrt(1 / cases + _NORMAL_95**2 / (2 * (cases - 1)))
    return BlandAltman(
        cases=cases,
        bias=_around(bias, of_bias),
        lower_limit=_around(bias - _NORMAL_95 * spread, of_limits),
        upper_limit=_around(bias + _NORMAL_95 * spread, of_limits),
    )


def changed_calls(
    first: ArrayLike, second: ArrayLike, cutoffs: tuple[float, float], patients: Patients = None
) -> ChangedCalls:
    """How many cases are called high by one score and low by the other, each at its own cut-off.

    Where `patients` (n,) have several cases, the interval of the share is for as many cases as these are worth.

    >>> found = changed_calls([0.2, 0.6, 0.7], [0.5, 0.6, 0.1], (0.5, 0.5))
    >>> found.to_high, found.to_low, round(found.share.value, 2)
    (1, 1, 0.67)
    """
    before, after = (scores >= cutoff for scores, cutoff in zip(_paired(first, second), cutoffs, strict=True))
    to_high, to_low = int((~before & after).sum()), int((before & ~after).sum())
    share = changed_share(before != after, patients)
    return ChangedCalls(cases=before.size, to_high=to_high, to_low=to_low, share=share)


def changed_share(changed: Bools, patients: Patients = None) -> Estimate:
    """The share of the calls (n,) that are `changed`; its interval is over `patients` where some have several."""
    found = printed_rate(changed, np.ones(len(changed), dtype=bool), patients)
    return Estimate(value=found.value, low=found.low, high=found.high, reason=found.reason)


def _paired(first: ArrayLike, second: ArrayLike) -> Floats:
    one, other = (np.asarray(scores, dtype=np.float64) for scores in (first, second))
    if one.ndim != 1 or one.shape != other.shape:
        raise ArgumentError(f"scores of shape {one.shape} and {other.shape}: both must be (n,), of the same cases")
    return np.stack([one, other])


def _mean_squares(scores: Floats) -> tuple[float, float, float]:
    """Mean squares between cases, between raters, and of the rest."""
    cases, raters = scores.shape
    of_cases, of_raters = scores.mean(axis=1), scores.mean(axis=0)
    rest = scores - of_cases[:, None] - of_raters[None, :] + scores.mean()
    return (
        raters * float(of_cases.var(ddof=1)),
        cases * float(of_raters.var(ddof=1)),
        float((rest**2).sum()) / ((cases - 1) * (raters - 1)),
    )


def _icc_interval(
    value: float, mean_squares: tuple[float, float, float], cases: int, raters: int
) -> tuple[float, float]:
    """95 % limits with Satterthwaite's degrees of freedom: table 7 of [2]_."""
    between, judges, rest = mean_squares
    ratio = judges / rest
    weight = cases * (1 + (raters - 1) * value) - raters * value
    upper = (raters - 1) * (cases - 1) * (raters * value * ratio + weight) ** 2
    freedom = upper / ((cases - 1) * (raters * value * ratio) ** 2 + weight**2)
    lowest = float(stats.f.ppf(0.975, cases - 1, freedom))
    highest = float(stats.f.ppf(0.975, freedom, cases - 1))
    common = raters * judges + (raters * cases - raters - cases) * rest
    low = cases * (between - lowest * rest) / (lowest * common + cases * between)
    high = cases * (highest * between - rest) / (common + cases * highest * between)
    return low, high


def _around(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)
