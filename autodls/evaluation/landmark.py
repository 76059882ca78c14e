"""Durable benefit: who is still free of the event after a landmark time?

Benefit means T > landmark. A patient whose follow-up ended before the landmark without an event is undetermined; one
whose follow-up ended exactly there had no event by then and counts as benefit. The primary AUC weights each patient by
the inverse probability of still being followed, from the Kaplan-Meier estimate of the censoring times [1]_, [2]_.

References
----------
.. [1] Uno, Cai, Tian, Wei. Evaluating prediction rules for t-year survivors with censored regression models. JASA
       2007;102:527-537.
.. [2] Blanche, Dartigues, Jacqmin-Gadda. Estimating and comparing time-dependent areas under ROC curves for censored
       event times with competing risks. Stat Med 2013;32:5381-5397.
"""

import numpy as np

from autodls.errors import ArgumentError
from autodls.evaluation.bootstrap import bootstrap_aucs
from autodls.evaluation.delong import Bools, Floats, auc, auc_with_ci
from autodls.evaluation.results import Landmark, Proportion
from autodls.evaluation.survival import kaplan_meier


def landmark_benefit(times: Floats, events: Bools, scores: Floats, landmark: float) -> Landmark:
    """How well `scores` (n,) predict benefit, a higher score meaning benefit."""
    if not landmark > 0 or not np.isfinite(landmark):
        raise ArgumentError(f"landmark {landmark:g}: expected a time above 0, in the unit of the follow-up times")
    failed = events & (times <= landmark)
    benefit = (times >= landmark) & ~failed
    known = failed | benefit
    estimate = auc_with_ci(benefit[known], scores[known])
    return Landmark(
        time=landmark,
        auc_ipcw=auc_ipcw(times, events, scores, landmark),
        auc_excluding=Proportion(value=estimate.value, low=estimate.low, high=estimate.high, reason=estimate.reason),
        auc_undetermined_benefit=auc(benefit | ~known, scores) if len(scores) else None,
        auc_undetermined_no_benefit=auc(benefit, scores) if len(scores) else None,
        undetermined=int((~known).sum()),
        rate_km=kaplan_meier(times, events).at(landmark) if len(times) else None,
        reason=_reason(failed, benefit),
    )


def auc_ipcw(times: Floats, events: Bools, scores: Floats, landmark: float) -> float | None:
    """AUC for T > `landmark` weighted by the inverse probability of not being censored; None with one class.

    A patient who failed at t weighs 1 / G(t-), one beyond the landmark 1 / G(landmark-), an undetermined one nothing.
    """
    failed = events & (times <= landmark)
    benefit = (times >= landmark) & ~failed
    if not failed.any() or not benefit.any():
        return None
    followed = censoring_survival(times, events, np.minimum(times, landmark))
    weights = (failed | benefit) / followed
    return float(bootstrap_aucs(benefit, scores, weights[None])[0, 0])


def censoring_survival(times: Floats, events: Bools, before: Floats) -> Floats:
    """G(t-), the probability of being followed up to just before each t of `before` (n,).

    At tied times events come first, so those who failed at t are no longer at risk of being censored at t.

    >>> times, events = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, True, False, True])
    >>> censoring_survival(times, events, times).tolist()
    [1.0, 0.75, 0.75, 0.375]
    """
    unique, member = np.unique(times, return_inverse=True)
    censored = np.bincount(member, weights=~events)
    failed = np.bincount(member, weights=events)
    at_risk = (censored + failed)[::-1].cumsum()[::-1] - failed
    kept = 1 - np.divide(censored, at_risk, out=np.zeros_like(censored), where=at_risk > 0)
    survival = np.concatenate(([1.0], kept.cumprod()))
    return np.asarray(survival[np.searchsorted(unique, before, side="left")])


def _reason(failed: Bools, benefit: Bools) -> str | None:
    if not failed.any():
        return "no patient is known to have failed by the landmark"
    return None if benefit.any() else "no patient is known to have been free of the event at the landmark"
