"""Durable benefit: who is still free of the event after a landmark time?

Benefit means T > landmark. A patient whose follow-up ended at or before the landmark without an event is undetermined
(at the landmark too: nobody saw what came after it), as in riskRegression. The primary AUC weights each patient by the
inverse probability of still being followed, from the Kaplan-Meier estimate of the censoring times [1]_, [2]_; its
interval is that of a bootstrap over patients in which that estimate is made anew in every resample. The weights suppose
that who is censored depends neither on the score nor on the outcome; where it depends on the score the weighted AUC is
off (by -0.07 in a simulation). So the hazard of censoring by the score stands beside it, and the least and greatest AUC
that any outcomes of the undetermined could give, which suppose nothing.

References
----------
.. [1] Uno, Cai, Tian, Wei. Evaluating prediction rules for t-year survivors with censored regression models. JASA
       2007;102:527-537.
.. [2] Blanche, Dartigues, Jacqmin-Gadda. Estimating and comparing time-dependent areas under ROC curves for censored
       event times with competing risks. Stat Med 2013;32:5381-5397.
"""

import numpy as np
from numpy.typing import NDArray

from autodls.errors import ArgumentError
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.bootstrap import bootstrap, bootstrap_aucs, percentile_interval
from autodls.evaluation.delong import auc, auc_with_ci
from autodls.evaluation.per_sd import per_sd
from autodls.evaluation.results import Estimate, HazardRatio, Landmark, PatientsInterval
from autodls.evaluation.survival import hazard_ratio, kaplan_meier
from autodls.evaluation.tied_times import tied
from autodls.evaluation.undetermined import auc_bounds
from autodls.seeding import generator

_LOST = "hold nobody who failed by the landmark, or nobody free of the event after it"


def landmark_benefit(times: Floats, events: Bools, scores: Floats, landmark: float, seed: int = 0) -> Landmark:
    """How well `scores` (n,) predict benefit, a higher score meaning benefit; `seed` draws the resamples.

    Every row is a patient. Times that differ by round-off, also from the landmark, are equal.

    Raises ArgumentError for a `landmark` that is not above 0, in the unit of `times`.
    """
    if not landmark > 0 or not np.isfinite(landmark):
        raise ArgumentError(f"landmark {landmark:g}: expected a time above 0, in the unit of the follow-up times")
    times = tied(times, landmark)
    failed, benefit = events & (times <= landmark), times > landmark
    known = failed | benefit
    estimate = auc_with_ci(benefit[known], scores[known])
    lowest, highest = auc_bounds(benefit, known, scores) or (None, None)
    rate = _rate(times, events, landmark)
    return Landmark(
        time=landmark,
        auc_ipcw=auc_ipcw(times, events, scores, landmark),
        auc_ipcw_interval=auc_ipcw_interval(times, events, scores, landmark, seed),
        auc_excluding=Estimate(value=estimate.value, low=estimate.low, high=estimate.high, reason=estimate.reason),
        auc_undetermined_benefit=auc(benefit | ~known, scores) if len(scores) else None,
        auc_undetermined_no_benefit=auc(benefit, scores) if len(scores) else None,
        auc_undetermined_lowest=lowest,
        auc_undetermined_highest=highest,
        undetermined=int((~known).sum()),
        rate_km=rate.value,
        rate_km_interval=rate,
        censoring=_censoring(times, events, scores, landmark),
        reason=_reason(failed, benefit),
    )


def auc_ipcw(times: Floats, events: Bools, scores: Floats, landmark: float) -> float | None:
    """AUC for T > `landmark` weighted by the inverse probability of not being censored; None with one class.

    A patient who failed at t weighs 1 / G(t-), one beyond the landmark 1 / G(landmark), an undetermined one nothing.
    """
    times = tied(times, landmark)
    benefit = times > landmark
    if not (events & ~benefit).any() or not benefit.any():
        return None
    weights = ipcw_weights(times, events, landmark, np.ones((1, len(times))))
    return float(bootstrap_aucs(benefit, scores, weights)[0, 0])


def auc_ipcw_interval(times: Floats, events: Bools, scores: Floats, landmark: float, seed: int = 0) -> PatientsInterval:
    """`auc_ipcw` with the percentile limits of a bootstrap over the n patients.

    The censoring is estimated anew in every resample. The rows are sorted first, so that their order in a table moves
    no limit. None with a reason where there is no AUC, where it is 0 or 1 (so is that of every resample), or where
    more than one resample in twenty has none.
    """
    order = np.lexsort((scores, events, times))
    times, events, scores = tied(times, landmark)[order], events[order], scores[order]
    estimate = auc_ipcw(times, events, scores, landmark)
    if estimate is None:
        return PatientsInterval(reason="there is no weighted AUC")
    if estimate in (0.0, 1.0):
        return PatientsInterval(value=estimate, reason=f"the weighted AUC is {estimate:g}, and so in every resample")
    resampled = bootstrap(
        lambda counts: bootstrap_aucs(times > landmark, scores, ipcw_weights(times, events, landmark, counts))[0],
        len(times),
        generator(seed, "evaluate", "landmark"),
    )
    found = percentile_interval(estimate, resampled, lost_because=_LOST)
    return PatientsInterval.model_validate(found.model_dump())


def ipcw_weights(times: Floats, events: Bools, landmark: float, counts: Floats) -> Floats:
    """Weights (resamples, n) of the patients in resamples that hold each of them `counts` (resamples, n) times."""
    benefit = times > landmark
    known = (events & (times <= landmark)) | benefit
    unique, member = np.unique(times, return_inverse=True)
    followed = _followed(member, events, counts)
    until = np.where(benefit, np.searchsorted(unique, landmark, side="right"), member)
    weights = np.where(known, counts, 0.0)
    return np.divide(weights, followed[:, until], out=np.zeros_like(weights), where=weights > 0)


def censoring_survival(times: Floats, events: Bools, before: Floats) -> Floats:
    """G(t-), the probability of being followed up to just before each t of `before` (n,).

    At tied times events come first, so those who failed at t are no longer at risk of being censored at t.

    >>> times, events = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, True, False, True])
    >>> censoring_survival(times, events, times).tolist()
    [1.0, 0.75, 0.75, 0.375]
    """
    unique, member = np.unique(tied(times), return_inverse=True)
    survival = _followed(member, events, np.ones((1, len(times))))[0]
    return np.asarray(survival[np.searchsorted(unique, before, side="left")])


def _followed(member: NDArray[np.intp], events: Bools, counts: Floats) -> Floats:
    """G before the first distinct time, before the second, ..., and after the last, (resamples, distinct times + 1).

    `member` (n,) says which of the distinct times each patient has.
    """
    order = np.argsort(member, kind="stable")
    starts = np.flatnonzero(np.diff(member[order], prepend=-1))
    censored, failed = (
        np.add.reduceat(np.where(held, counts, 0.0)[:, order], starts, axis=1) for held in (~events, events)
    )
    at_risk = (censored + failed)[:, ::-1].cumsum(axis=1)[:, ::-1] - failed
    kept = 1 - np.divide(censored, at_risk, out=np.zeros_like(censored), where=at_risk > 0)
    return np.concatenate([np.ones((len(counts), 1)), kept.cumprod(axis=1)], axis=1)


def _rate(times: Floats, events: Bools, landmark: float) -> Estimate:
    """The share that benefits, with its log-log interval; none where nobody, or everybody, has failed by then."""
    if not len(times):
        return Estimate(reason="there are no cases")
    curve = kaplan_meier(times, events)
    value = curve.at(landmark)
    if value is None:
        return Estimate(reason=f"nobody is followed up to {landmark:g}")
    if value in (0.0, 1.0):
        return Estimate(value=value, reason=f"a rate of {value:g} has no log-log interval")
    at = np.searchsorted(curve.times, landmark, side="right") - 1
    return Estimate(value=value, low=float(curve.low[at]), high=float(curve.high[at]))


def _censoring(times: Floats, events: Bools, scores: Floats, landmark: float) -> HazardRatio:
    """Cox regression of being censored by `landmark` on the score in standard deviations."""
    lost = ~events & (times <= landmark)
    if not lost.any():
        return HazardRatio(reason="nobody was censored by the landmark")
    return hazard_ratio(np.minimum(times, landmark), lost, per_sd(scores).values)


def _reason(failed: Bools, benefit: Bools) -> str | None:
    if not failed.any():
        return "no patient is known to have failed by the landmark"
    return None if benefit.any() else "no patient is known to have been free of the event after the landmark"
