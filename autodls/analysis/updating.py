"""A locked score recalibrated on the cases of a second site.

The closed test of Vergouwe et al. [1]_ chooses how much is updated: nothing, unless slope and intercept together fit
better than the score as it is (2 degrees of freedom); the intercept alone, unless a slope fits better than that (1);
else both. Whatever is chosen is a rising map, so the order of the cases, and the AUC, stay. Of few cases nothing is
learnt that would hold (`LEAST_OF_A_CLASS`), and of twice as few a slope neither (`LEAST_FOR_SLOPE`): ten of the rarer
class a fitted parameter [2]_. Updating can be worse than not updating in small samples [3]_, which the tests guard
against; `benchmarks/update.py` shows what they let through.

References
----------
.. [1] Vergouwe et al. A closed testing procedure to select an appropriate method for updating prediction models. Stat
       Med 2017;36:4529-4539.
.. [2] Peduzzi et al. A simulation study of the number of events per variable in logistic regression analysis. J Clin
       Epidemiol 1996;49:1373-1379.
.. [3] Steyerberg et al. Validation and updating of predictive logistic regression models: a study on sample size and
       shrinkage. Stat Med 2004;23:2567-2586.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import chi2

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.binary import class_medians_cutoff, youden_cutoff
from autodls.evaluation.logistic import intercept_at_slope_one, log_likelihood
from autodls.models.recalibration import WEAK_PRIOR_SD, fit_scale
from autodls.records.scale import LogisticScale
from autodls.records.update import Method

LEAST_OF_A_CLASS = 10
LEAST_FOR_SLOPE = 20
_ALPHA = 0.05
_LEAST = 1e-9  # a score of 0 or 1 to the last digit has no log-odds
_ROUND_OFF = 1e-9
_IDENTITY = LogisticScale(slope=1.0, intercept=0.0)


@dataclass(frozen=True)
class Choice:
    """How much is updated, and the P values that say so; `p_slope` is None where there are too few for a slope."""

    method: Method
    p_any: float
    p_slope: float | None


@dataclass(frozen=True)
class Update:
    """The map from the first model's log-odds to the new ones, and the cut-offs of the new probability by rule."""

    method: Method
    scale: LogisticScale
    cutoffs: dict[str, float]


@dataclass(frozen=True)
class CrossFitted:
    """Cases as an update scores and calls them that was fitted without their fold, each (n,); `methods` by fold."""

    probabilities: Floats
    called: Bools
    methods: tuple[Method, ...]


def log_odds_of(scores: Floats) -> Floats:
    """Log-odds (n,) of probabilities (n,), finite ones."""
    return np.asarray(logit(np.clip(scores, _LEAST, 1 - _LEAST)))


def has_enough_for_slope(labels: Bools) -> bool:
    """Whether the rarer class is large enough for a slope beside the intercept."""
    return min(int(labels.sum()), int((~labels).sum())) >= LEAST_FOR_SLOPE


def choose_method(labels: Bools, log_odds: Floats, *, slope: bool) -> Choice:
    """The closed test on cases of both classes (n,); without `slope` the intercept alone is tried."""
    as_it_is = log_likelihood(labels, log_odds)
    shifted = log_likelihood(labels, log_odds + intercept_at_slope_one(labels, log_odds))
    if not slope:
        p_any = _p(shifted - as_it_is, 1)
        return Choice("intercept" if p_any < _ALPHA else "none", p_any, None)
    mapped = log_likelihood(labels, fit_scale(log_odds, labels, WEAK_PRIOR_SD).log_odds(log_odds))
    p_any, p_slope = _p(mapped - as_it_is, 2), _p(mapped - shifted, 1)
    if p_any >= _ALPHA:
        return Choice("none", p_any, p_slope)
    return Choice("intercept+slope" if p_slope < _ALPHA else "intercept", p_any, p_slope)


def fit_update(labels: Bools, log_odds: Floats, method: Method, cutoff_before: float) -> Update:
    """Fit `method` on cases of both classes (n,); the cut-offs are chosen on these cases, or stay with "none"."""
    scale = _fit_scale(labels, log_odds, method)
    if method == "none":
        return Update(method, scale, {"youden": cutoff_before, "class_medians": cutoff_before})
    new = scale.log_odds(log_odds)
    youden, middle = youden_cutoff(labels, np.asarray(expit(new))), class_medians_cutoff(labels, new)
    # Youden's is a score that a case has: just below it, so that this case is called so however its score is rounded.
    youden = None if youden is None else youden * (1 - _ROUND_OFF)
    chosen = {"youden": youden, "class_medians": None if middle is None else float(expit(middle))}
    return Update(method, scale, {rule: value for rule, value in chosen.items() if value is not None})


def cross_fit(
    labels: Bools, log_odds: Floats, folds: Sequence[int], rule: str, cutoff_before: float, asked: Method | None = None
) -> CrossFitted:
    """Every case by an update whose method, map and cut-off come from the other `folds` (n,) alone.

    Whether a slope may be tried goes by the classes of all cases, as for the update that is delivered. The cut-off goes
    by `rule` ("youden", "class_medians"); a method that is `asked` for is not chosen.
    """
    fold_of, slope = np.asarray(folds), has_enough_for_slope(labels)
    probabilities, called = np.empty(len(labels)), np.empty(len(labels), dtype=np.bool_)
    methods: list[Method] = []
    for fold in np.unique(fold_of):
        held = fold_of == fold
        fitted, seen = labels[~held], log_odds[~held]
        update = fit_update(fitted, seen, asked or choose_method(fitted, seen, slope=slope).method, cutoff_before)
        probabilities[held] = update.scale.probability(log_odds[held])
        called[held] = probabilities[held] >= update.cutoffs[rule]
        methods.append(update.method)
    return CrossFitted(probabilities, called, tuple(methods))


def _fit_scale(labels: Bools, log_odds: Floats, method: Method) -> LogisticScale:
    if method == "none":
        return _IDENTITY
    if method == "intercept":
        return LogisticScale(slope=1.0, intercept=intercept_at_slope_one(labels, log_odds))
    return fit_scale(log_odds, labels, WEAK_PRIOR_SD)


def _p(gain: float, freedom: int) -> float:
    """Of the likelihood-ratio test of a `gain` in log-likelihood."""
    return float(chi2.sf(2 * max(gain, 0.0), freedom))
