"""Survival and landmark of a cohort by its first score, and which of their tests can be believed.

A cut-off that was chosen on the labels of the very patients whose follow-up is compared makes part of the difference
that the log-rank test then finds. By simulation (`benchmarks/interval_parts/survival.py`) a score without information
has P < 0.05 in 6 to 10 % at Youden's cut-off, and in 14 to 22 % where the label is itself made from the time, as
benefit beyond a landmark is. Half way between the class medians it is 4 to 7 %, but 9 to 10 % out of fold where the
label is made from the time. Then the tests are withheld; the curves stay.
"""

import numpy as np

from autodls.evaluation import survival
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.comparisons import NO_SCORE
from autodls.evaluation.landmark import landmark_benefit
from autodls.evaluation.per_sd import per_sd
from autodls.evaluation.results import ChiSquare, Cutoff, HazardRatio, Landmark, PTest, Survival
from autodls.evaluation.score_auc import CHOSEN_HERE, FOLDS_SHARE
from autodls.evaluation.subsets import followed_by
from autodls.evaluation.tied_times import tied
from autodls.evaluation.widened import widened_auc

NO_CUTOFF = "there is no cut-off: give one, or a cohort with both classes to take it from"
FEWEST_EXPECTED = 3.0
"""Events of each group, were they shared out by its size: with 1 or 2, P < 0.05 in 7 to 12 % of equal groups."""
_MADE_FROM_TIME = 0.9


def cohort_survival(cohort: CohortTable, reference: str, cutoff: Cutoff) -> Survival | None:
    """Follow-up by the score `reference`, in groups at `cutoff`; None without follow-up.

    The tests of the groups are null with a reason where the cut-off was chosen here (see above) or where a group
    expects fewer than `FEWEST_EXPECTED` events; so are P and limits of the continuous score out of fold where the
    labels are made from the follow-up.
    """
    followed = followed_by(cohort, reference)
    times, events, scores = followed.times, followed.events, followed.scores.get(reference)
    if times is None or events is None:
        return None
    made_from_time = labels_follow_time(cohort)
    if scores is None or not followed.n:
        return _untested(times, events, NO_SCORE if len(times) else "there are no cases", made_from_time)
    found = _untested(times, events, NO_CUTOFF, made_from_time)
    if cutoff.value is not None:
        found = _grouped(times, events, scores >= cutoff.value, found, chosen_here=_chosen_here(cutoff, made_from_time))
    standard = per_sd(scores)
    by_score, by_sd = (survival.hazard_ratio(times, events, values) for values in (scores, standard.values))
    if made_from_time and cohort.out_of_fold:
        by_score, by_sd = (HazardRatio(hr=one.hr, method=one.method, reason=FOLDS_SHARE) for one in (by_score, by_sd))
    scale = {"score_sd": standard.sd, "score_scale": standard.scale}
    return found.model_copy(update={"cox_continuous": by_score, "cox_per_sd": by_sd, **scale})


def cohort_landmark(cohort: CohortTable, reference: str, landmark: float | None, seed: int) -> Landmark | None:
    """Benefit beyond `landmark` by the score `reference`; None without a landmark, follow-up or the score.

    Out of fold the limits of the AUCs are widened as those of any out-of-fold AUC (`shared_folds`).
    """
    followed = followed_by(cohort, reference)
    if landmark is None or followed.times is None or followed.events is None or reference not in followed.scores:
        return None
    found = landmark_benefit(followed.times, followed.events, followed.scores[reference], landmark, seed)
    if not cohort.out_of_fold:
        return found
    widened = {"auc_excluding": widened_auc(found.auc_excluding)}
    if found.auc_ipcw_interval is not None:
        widened["auc_ipcw_interval"] = widened_auc(found.auc_ipcw_interval)
    return found.model_copy(update=widened)


def labels_follow_time(cohort: CohortTable) -> bool:
    """Whether one time parts the labels: who failed by it has one label, who was followed beyond it the other.

    So it is where the label is benefit beyond a landmark. Nine in ten of each class must agree, of those that the time
    tells of, and it must tell of half of the patients; a label that merely predicts the time does not come near.
    """
    labels, times, events = cohort.labels, cohort.times, cohort.events
    if labels is None or times is None or events is None:
        return False
    held = np.ones(cohort.n, dtype=bool)
    for mask in (cohort.labelled, cohort.followed):
        held &= mask if mask is not None else True
    return bool(held.any()) and _parted(labels[held], tied(times[held]), events[held])


def expected_events(events: Bools, high: Bools) -> float:
    """Events that the smaller of the groups `high` (n,) and its complement would have if they were alike.

    By the sizes of the groups alone: what a group has lived through must not decide whether it is tested.
    """
    share = float(high.mean())
    return min(share, 1 - share) * int(events.sum())


def _untested(times: Floats, events: Bools, reason: str, made_from_time: bool) -> Survival:
    """Follow-up alone: every test is null for `reason`."""
    return Survival(
        median_follow_up=survival.median_follow_up(times, events) if len(times) else None,
        logrank=ChiSquare(reason=reason),
        cox=HazardRatio(reason=reason),
        cox_continuous=HazardRatio(reason=reason),
        proportional_hazards=PTest(reason=reason),
        label_from_time=made_from_time,
        groups={},
    )


def _grouped(times: Floats, events: Bools, high: Bools, without: Survival, *, chosen_here: bool) -> Survival:
    """The follow-up `without` groups, with the groups `high` and its complement and, where they may be, their tests."""
    tests: dict[str, ChiSquare | HazardRatio | PTest]
    if reason := _why_untested(events, high, chosen_here=chosen_here):
        tests = {
            "logrank": ChiSquare(reason=reason),
            "cox": HazardRatio(reason=reason),
            "proportional_hazards": PTest(reason=reason),
        }
    else:
        tests = {
            "logrank": survival.logrank(times, events, high),
            "cox": survival.hazard_ratio(times, events, high.astype(float)),
            "proportional_hazards": survival.proportional_hazards(times, events, high.astype(float)),
        }
    groups = {name: survival.group_survival(times[of], events[of]) for name, of in (("high", high), ("low", ~high))}
    return without.model_copy(update={**tests, "groups": groups})


def _chosen_here(cutoff: Cutoff, made_from_time: bool) -> bool:
    return cutoff.own and (made_from_time or cutoff.source.startswith("youden"))


def _why_untested(events: Bools, high: Bools, *, chosen_here: bool) -> str | None:
    if high.all() or not high.any() or not events.any():
        return None  # the tests say so themselves
    expected = expected_events(events, high)
    if chosen_here or expected >= FEWEST_EXPECTED:
        return CHOSEN_HERE if chosen_here else None
    return f"{expected:.1f} events expected in a group, fewer than {FEWEST_EXPECTED:g}"


def _parted(labels: Bools, times: Floats, events: Bools) -> bool:
    order = np.argsort(times, kind="stable")
    ordered, positive, failed = times[order], labels[order], events[order]
    last = np.append(ordered[1:] > ordered[:-1], False)  # beyond the last time is nobody
    least, shares, told = 1 - _MADE_FROM_TIME + 1e-12, [], np.zeros(len(times))
    for of_class in (positive, ~positive):
        before, after = np.cumsum(of_class & failed), of_class.sum() - np.cumsum(of_class)
        shares.append(np.divide(after, before + after, out=np.full(len(times), np.nan), where=before + after > 0))
        told += before + after
    one, other = shares
    parted = ((one <= least) & (other >= 1 - least)) | ((other <= least) & (one >= 1 - least))
    return bool((parted & last & (2 * told >= len(times))).any())
