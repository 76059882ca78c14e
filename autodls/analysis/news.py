"""What a reader must hear first: where the model lost, or where something simpler did as well.

All of it is read off the metrics; nothing is tested anew but the change of a rate between two cohorts [1]_ and that of
an AUC.

References
----------
.. [1] Newcombe. Interval estimation for the difference between independent proportions: comparison of eleven methods.
       Stat Med 1998;17:873-890, method 10 (from Wilson's limits).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autodls.evaluation.calibration import is_poorly_calibrated
from autodls.evaluation.metrics_record import CohortMetrics, Metrics
from autodls.evaluation.results import Estimate, ScoreMetrics
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.formatting import number, p_equation, with_limits

LOST = 0.1 - 1e-9  # a rate or an AUC that falls by this much is told; its interval says whether chance may explain it
_ODDS_FACTOR = 2.0  # predicted and observed odds that differ by this factor are far apart
_Z = 1.959963984540054
_RATES = ("sensitivity", "specificity")


@dataclass(frozen=True)
class Gain:
    """How far the AUC of the deep-learning score lies above that of a `baseline` without images, on the same cases.

    With `over_chance` above 0.5, as the baseline lies below it: to be worse than chance is no merit.
    """

    baseline: str
    auc: float | None
    delta: float | None
    low: float | None
    high: float | None
    over_chance: bool = False


def news(metrics: Metrics, gains: Iterable[Gain] = ()) -> list[str]:
    """A clause each, the heaviest first: performance lost, simpler scores above the model's, calibration far off."""
    seen = metrics.cohorts.get(OUT_OF_FOLD)
    unseen = {name: cohort for name, cohort in metrics.cohorts.items() if name != OUT_OF_FOLD}
    found: list[str] = []
    if seen is not None:
        for name, cohort in unseen.items():
            lost = _lost(seen.scores[metrics.reference], cohort.scores[metrics.reference])
            found += [f"cohort {name}: {text}" for text in lost]
    for name, cohort in metrics.cohorts.items():
        found += [f"cohort {name}: {text}" for text in _outdone(cohort, metrics.reference)]
    found += _not_gained(gains)
    for name, cohort in unseen.items():
        found += [f"cohort {name}: {text}" for text in _uncalibrated(cohort.scores[metrics.reference])]
    return found


def difference(before: Estimate, after: Estimate) -> tuple[float, float, float] | None:
    """`before` less `after` with its 95 % interval [1]_, None where one of them is not known.

    >>> a, b = (Estimate(value=x / n, low=l, high=h) for x, n, l, h in
    ...         ((56, 70, 0.6917, 0.8768), (48, 80, 0.4903, 0.7003)))
    >>> [round(value, 4) for value in difference(a, b)]
    [0.2, 0.0524, 0.3339]
    """
    if None in (before.value, before.low, before.high, after.value, after.low, after.high):
        return None
    p, p_low, p_high = (float(value or 0) for value in (before.value, before.low, before.high))
    q, q_low, q_high = (float(value or 0) for value in (after.value, after.low, after.high))
    return p - q, p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)


def _lost(before: ScoreMetrics, after: ScoreMetrics) -> Iterator[str]:
    """What fell from the out-of-fold scores to those of a held-out cohort."""
    for rate in _RATES:
        was, now = getattr(before, rate), getattr(after, rate)
        if (found := difference(was, now)) is not None and found[0] >= LOST:
            yield _fell(rate, was.value, now.value, found)
    was_auc, now_auc = before.auc_delong, after.auc_delong
    if None in (was_auc.value, was_auc.variance, now_auc.value, now_auc.variance):
        return
    fallen = float(was_auc.value or 0) - float(now_auc.value or 0)
    half = _Z * math.sqrt(float(was_auc.variance or 0) + float(now_auc.variance or 0))
    if fallen >= LOST:
        yield _fell("AUC", was_auc.value, now_auc.value, (fallen, fallen - half, fallen + half))


def _fell(what: str, was: float | None, now: float | None, lost: tuple[float, float, float]) -> str:
    chance = "" if lost[1] > 0 else "; chance alone may explain it"
    limits = f"95% CI {number(lost[1], 2)} to {number(lost[2], 2)}"
    return (
        f"{what} fell from {number(was, 2)} out of fold to {number(now, 2)}, by {number(lost[0], 2)} ({limits}){chance}"
    )


def _outdone(cohort: CohortMetrics, reference: str) -> Iterator[str]:
    """Scores that are compared with the reference and have a higher AUC."""
    own = cohort.scores[reference].auc.value
    tested = {pair.b: pair.p for pair in cohort.comparisons if pair.a == reference}
    for name, held in cohort.scores.items():
        if name not in tested or own is None or held.auc.value is None or held.auc.value <= own + 1e-12:
            continue
        test = f", {p_equation(tested[name])}" if tested.get(name) is not None else ""
        yield f"{name} alone reaches an AUC of {number(held.auc.value)}, {reference} {number(own)}{test}"


def _not_gained(gains: Iterable[Gain]) -> Iterator[str]:
    for gain in gains:
        if gain.delta is None or gain.low is None or gain.low > 0:
            continue
        reached = f"the baseline '{gain.baseline}' reaches an out-of-fold AUC of {number(gain.auc)} without the images"
        shown = with_limits(gain.delta, gain.low, gain.high)
        verdict = "more than the model" if gain.delta < 0 else "and the model is not shown to be better"
        over = " over chance" if gain.over_chance else ""
        yield f"{reached}, {verdict} (gain{over} {shown})"


def _uncalibrated(score: ScoreMetrics) -> Iterator[str]:
    found = score.calibration
    if found.slope is not None and is_poorly_calibrated(found):
        side = "spread too little" if found.slope > 1 else "too extreme"
        slope = with_limits(found.slope, found.slope_low, found.slope_high, 2)
        yield f"the score is poorly calibrated (slope {slope}, ideal 1): its probabilities are {side}"
    large, low, high = found.intercept_large, found.intercept_large_low, found.intercept_large_high
    known = low is not None and high is not None and not low <= 0 <= high
    if large is not None and known and abs(large) > math.log(_ODDS_FACTOR):
        side = "low" if large > 0 else "high"
        shown = with_limits(large, low, high, 2)
        yield (
            f"the score's probabilities are too {side} on the whole (calibration-in-the-large {shown}, ideal 0): do "
            "not read them as risks here"
        )
