"""Survival by score group. The only door to lifelines (and to firthmodels, for separated data).

Arrays: `times` (n,) of follow-up, `events` (n,) true where the event was seen, false where follow-up ended before it.
Times that differ by round-off are tied everywhere, as in R's survival (`tied_times`).

References
----------
.. [1] Kalbfleisch, Prentice. The Statistical Analysis of Failure Time Data. Wiley 2002, 1.4 (log-log interval).
.. [2] Efron. The efficiency of Cox's likelihood function for censored data. JASA 1977;72:557-565.
.. [3] Heinze, Schemper. A solution to the problem of monotone likelihood in Cox regression. Biometrics 2001;57:114-119.
.. [4] Grambsch, Therneau. Proportional hazards tests and diagnostics based on weighted residuals. Biometrika
       1994;81:515-526.
.. [5] Schemper, Smith. A note on quantifying follow-up in studies of failure time. Control Clin Trials 1996;17:343-346.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from firthmodels import FirthCoxPH
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.exceptions import ConvergenceError, ConvergenceWarning
from lifelines.statistics import logrank_test
from scipy.stats import norm

from autodls.errors import ArgumentError
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.results import ChiSquare, GroupSurvival, HazardRatio, PTest
from autodls.evaluation.schoenfeld import proportional_hazards_p
from autodls.evaluation.tied_times import tied

_ONE_GROUP = "all patients are in one group"
_NO_EVENTS = "no events were seen"
_GIVEN_UP = "Newton-Raphson"  # how lifelines begins to say that its iterations ended short of the maximum
_NOT_CONVERGED = "the Cox regression does not converge"


@dataclass(frozen=True)
class KaplanMeier:
    """Survival at the observed times, each (t,), with Greenwood's variance and the log-log interval [1]_.

    `low` and `high` are NaN where nobody is left: the log-log interval of 0 is undefined.
    """

    times: Floats
    survival: Floats
    low: Floats
    high: Floats
    at_risk: Floats

    def at(self, time: float) -> float | None:
        """Share that survives beyond `time`; None past the end of follow-up unless nobody is left."""
        times = tied(self.times, time)
        if time > times[-1] and self.survival[-1] > 0:
            return None
        return float(self.survival[np.searchsorted(times, time, side="right") - 1])

    @property
    def median(self) -> float | None:
        """Time at which survival falls to one half, None where it does not; see `crossing_time`."""
        return crossing_time(self.times, self.survival)


def kaplan_meier(times: Floats, events: Bools) -> KaplanMeier:
    """Kaplan-Meier estimate from time 0 on.

    >>> curve = kaplan_meier(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))
    >>> curve.survival.round(3).tolist()
    [1.0, 0.667, 0.667, 0.0]
    """
    times = _checked(times, events)
    fitted = KaplanMeierFitter().fit(times, events)
    survival = fitted.survival_function_.to_numpy(dtype=np.float64)[:, 0]
    limits = fitted.confidence_interval_survival_function_.to_numpy(dtype=np.float64)
    limits[survival == 0] = np.nan
    return KaplanMeier(
        times=fitted.survival_function_.index.to_numpy(dtype=np.float64),
        survival=survival,
        low=limits[:, 0],
        high=limits[:, 1],
        at_risk=fitted.event_table["at_risk"].to_numpy(dtype=np.float64),
    )


def crossing_time(times: Floats, survival: Floats, level: float = 0.5) -> float | None:
    """First time at which `survival` is at or below `level`; the middle of the step where it is exactly there.

    This is the convention of R's survfit. None where the curve, or a limit of it, does not come down so far.
    """
    tolerance = 1e-9
    reached = np.flatnonzero(survival <= level + tolerance)
    if not len(reached):
        return None
    below = np.flatnonzero(survival < level - tolerance)
    first = float(times[reached[0]])
    return (first + float(times[below[0]])) / 2 if len(below) and below[0] > reached[0] else first


def median_follow_up(times: Floats, events: Bools) -> float | None:
    """Median of the reverse Kaplan-Meier estimate [5]_, in which the end of follow-up is the event."""
    return kaplan_meier(times, ~events).median


def group_survival(times: Floats, events: Bools) -> GroupSurvival:
    """Number, events and median survival with its log-log interval; an empty group has no median."""
    if not len(times):
        return GroupSurvival(n=0, events=0)
    curve = kaplan_meier(times, events)
    return GroupSurvival(
        n=len(times),
        events=int(events.sum()),
        median=curve.median,
        median_low=crossing_time(curve.times, curve.low),
        median_high=crossing_time(curve.times, curve.high),
    )


def logrank(times: Floats, events: Bools, high: Bools) -> ChiSquare:
    """Two-sided log-rank test of the groups `high` (n,) and its complement."""
    times = _checked(times, events)
    if high.all() or not high.any():
        return ChiSquare(reason=_ONE_GROUP)
    if not events.any():
        return ChiSquare(reason=_NO_EVENTS)
    result = logrank_test(times[high], times[~high], events[high], events[~high])
    if not math.isfinite(result.test_statistic):
        return ChiSquare(reason="one group has no patient at risk when events occur")
    return ChiSquare(chi2=float(result.test_statistic), df=1, p=float(result.p_value))


def hazard_ratio(times: Floats, events: Bools, covariate: Floats) -> HazardRatio:
    """Cox regression on one covariate (n,), Efron's ties [2]_, hazard ratio per unit with Wald interval and p.

    Where every event falls on the highest (or lowest) covariate at risk the likelihood has no maximum: then Firth's
    penalised likelihood with profile interval [3]_ (its ties are Breslow's), and `method` says so.
    """
    times = _checked(times, events)
    if reason := _no_information(times, events, covariate):
        return HazardRatio(reason=reason)
    return (_firth if any(_monotone(times, events, covariate)) else _efron)(times, events, covariate)


def proportional_hazards(times: Floats, events: Bools, covariate: Floats) -> PTest:
    """Score test of Schoenfeld residuals against the Kaplan-Meier transform of time [4]_, as R's since survival 3.0.

    lifelines has the approximation of earlier versions, which is off by up to 0.3 where times are tied (months);
    statsmodels has residuals and no test.
    """
    times = _checked(times, events)
    if reason := _no_information(times, events, covariate):
        return PTest(reason=reason)
    if any(_monotone(times, events, covariate)):
        return PTest(reason="the data are separated, so there are no Schoenfeld residuals to test")
    if len(np.unique(times[events])) < 2:
        return PTest(reason="all events fall on one time")
    try:
        coefficient = float(_fit(_table(times, events, covariate)).params_.iloc[0])
    except ConvergenceError:
        return PTest(reason=_NOT_CONVERGED)
    curve = kaplan_meier(times, events)
    before = np.concatenate(([1.0], curve.survival))[np.searchsorted(curve.times, times, side="left")]
    p = proportional_hazards_p(times, events, covariate, coefficient, 1 - before)
    return PTest(p=p, reason=None if p is not None else "the residuals do not vary")


def _efron(times: Floats, events: Bools, covariate: Floats) -> HazardRatio:
    try:
        fitted = _fit(_table(times, events, covariate))
    except ConvergenceError:
        return HazardRatio(reason=_NOT_CONVERGED)
    coefficient, error = float(fitted.params_.iloc[0]), float(fitted.standard_errors_.iloc[0])
    low, high = norm.interval(0.95, coefficient, error)
    return _as_ratio(coefficient, float(low), float(high), float(2 * norm.sf(abs(coefficient) / error)), "cox-efron")


def _firth(times: Floats, events: Bools, covariate: Floats) -> HazardRatio:
    scale = float(covariate.std())
    standardised = (covariate[:, None] - covariate.mean()) / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bound that is not found is NaN, and is reported as such below
        model = FirthCoxPH(backend="numpy", gtol=1e-6, xtol=1e-8, max_iter=200).fit(standardised, (events, times))
        if not model.converged_:
            return HazardRatio(method="firth-profile", reason=_NOT_CONVERGED)
        low, high = model.conf_int(method="pl", tol=1e-7, max_iter=200)[0] / scale
        p = float(model.lrt().lrt_pvalues_[0])
    return _as_ratio(float(model.coef_[0]) / scale, float(low), float(high), p, "firth-profile")


def _as_ratio(coefficient: float, low: float, high: float, p: float, method: str) -> HazardRatio:
    numbers = [*(_exp(value) for value in (coefficient, low, high)), p if math.isfinite(p) else None]
    reason = (
        None
        if None not in numbers
        else "on this scale of the covariate the fit has no finite hazard ratio, limit or p value"
    )
    fields = dict(zip(("hr", "low", "high", "p"), numbers, strict=True))
    return HazardRatio.model_validate({**fields, "method": method, "reason": reason})


def _exp(value: float) -> float | None:
    return math.exp(value) if math.isfinite(value) and abs(value) < 700 else None


def _no_information(times: Floats, events: Bools, covariate: Floats) -> str | None:
    if not events.any():
        return _NO_EVENTS
    if np.ptp(covariate) == 0:
        return "the covariate is the same in all patients"
    return (
        "nobody with another value is at risk when events occur" if all(_monotone(times, events, covariate)) else None
    )


def _monotone(times: Floats, events: Bools, covariate: Floats) -> tuple[bool, bool]:
    """Whether every event falls on the lowest, on the highest covariate of those at risk."""
    order = np.argsort(-times, kind="stable")
    last = np.searchsorted(-times[order], -times, side="right") - 1
    lowest = np.minimum.accumulate(covariate[order])[last]
    highest = np.maximum.accumulate(covariate[order])[last]
    return bool((covariate == lowest)[events].all()), bool((covariate == highest)[events].all())


def _table(times: Floats, events: Bools, covariate: Floats) -> pd.DataFrame:
    return pd.DataFrame({"time": times, "event": events.astype(int), "covariate": covariate})


def _fit(table: pd.DataFrame) -> CoxPHFitter:
    """Raises ConvergenceError also where lifelines would only warn that it has given up."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        # the default precision is off in the fourth digit
        fitted = CoxPHFitter().fit(table, "time", "event", fit_options={"precision": 1e-12})
    for warning in told:
        if issubclass(warning.category, ConvergenceWarning) and str(warning.message).startswith(_GIVEN_UP):
            raise ConvergenceError(str(warning.message))
    return fitted


def _checked(times: Floats, events: Bools) -> Floats:
    """`times` with ties made equal; raises ArgumentError for times that are none."""
    if times.shape != events.shape or times.ndim != 1 or not len(times):
        raise ArgumentError(f"times of shape {times.shape}, events of shape {events.shape}: both must be (n,), n > 0")
    if not np.isfinite(times).all() or (times < 0).any():
        wrong = times[~np.isfinite(times) | (times < 0)][0]
        raise ArgumentError(f"survival time {wrong:g}: times must be finite and not negative; correct or exclude it")
    return tied(times)
