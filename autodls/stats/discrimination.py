"""How well a score parts two classes: AUC, comparison of AUCs, cut-offs and the rates at them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from autodls.errors import ArgumentError
from autodls.stats.given import Floats, Patients, labelled, names, numbers, yes_or_no

if TYPE_CHECKING:
    from autodls.evaluation.delong import AucComparison, GlobalTest
    from autodls.evaluation.results import Auc, Confusion, Estimate, Rate


@dataclass(frozen=True)
class DeLong:
    """AUCs (k,) of k scores of the same cases, their covariance (k, k), and the test that all are equal."""

    aucs: Floats
    covariance: Floats
    equal: "GlobalTest"


@dataclass(frozen=True)
class Rates:
    """What calls at or above `cutoff` are worth: counts, and shares with their 95 % intervals."""

    cutoff: float
    confusion: "Confusion"
    sensitivity: "Rate"
    specificity: "Rate"
    ppv: "Rate"
    npv: "Rate"
    accuracy: "Rate"
    youden: "Estimate"


def auc(
    labels: ArrayLike, scores: ArrayLike, patients: Patients = None, *, out_of_fold: bool = False, seed: int = 0
) -> "Auc":
    """Estimate the area under the ROC curve, with its 95 % interval.

    It is the probability that a positive case scores higher than a negative one, ties counting one half. A score is
    never turned round: an AUC below one half stays there.

    Parameters
    ----------
    labels : array (n,), 1 or true where positive
    scores : array (n,), on any scale; higher means positive
    patients : names (n,), optional
        The patient of each case. Where some have several, the interval is that of a bootstrap over patients.
    out_of_fold : bool
        Whether a cross-validation made the scores: folds share cases, so the variance is doubled.
    seed : int
        Draws the resamples of patients.

    Returns
    -------
    record with `value`, `low`, `high`, `method`, and `reason`, which says why one of them is None: one class only,
    fewer than two cases of a class, or an AUC of 0 or 1, which has no logit.

    Raises
    ------
    ArgumentError
        Missing scores, labels other than 0 and 1, arrays of different length.

    References
    ----------
    DeLong et al. Biometrics 1988;44:837-845; the interval on the logit scale: Pepe 2003, 5.2.5.

    Examples
    --------
    >>> found = auc([0, 0, 0, 1, 1, 1], [0.1, 0.4, 0.6, 0.35, 0.8, 0.9])
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.778, 0.173, 0.983)
    """
    from autodls.evaluation.delong import auc_with_ci
    from autodls.evaluation.intervals import printed_auc

    positive, values = labelled(labels, scores)
    named = names(patients, len(values))
    estimate = auc_with_ci(positive, values, patients=named, out_of_fold=out_of_fold)
    return printed_auc(positive, values, estimate, named, seed)


def delong(labels: ArrayLike, scores: ArrayLike, patients: Patients = None) -> DeLong:
    """Estimate the AUCs of several scores of the same cases with their covariance, and test that all are equal.

    Parameters
    ----------
    labels : array (n,), 1 or true where positive
    scores : array (k, n), a row for each of k scores
    patients : names (n,), optional
        Where patients have several cases, the covariance is Obuchowski's.

    Returns
    -------
    DeLong
        `aucs` (k,), `covariance` (k, k), and the Wald test `equal` with `chi2`, `df`, `p` (None with a `reason` where a
        difference has no variance).

    Raises
    ------
    ArgumentError
        As `auc`, and with fewer than two cases (patients) of a class, which have no variance.

    References
    ----------
    DeLong et al. Biometrics 1988;44:837-845. Sun, Xu. IEEE Signal Process Lett 2014;21:1389-1393. Obuchowski.
    Biometrics 1997;53:567-578.

    Examples
    --------
    >>> found = delong([0, 0, 0, 1, 1, 1], [[1, 4, 6, 3, 8, 9], [1, 2, 5, 3, 4, 6]])
    >>> found.aucs.round(3).tolist(), round(found.equal.p, 3)
    ([0.778, 0.778], 1.0)
    """
    from autodls.evaluation.delong import delong as aucs_and_covariance
    from autodls.evaluation.delong import global_test

    positive = yes_or_no("labels", labels)
    table = numbers("scores", scores, axes="(k, n)")
    if table.shape[1] != len(positive):
        raise ArgumentError(f"scores: shape {table.shape}, expected (k, {len(positive)}), a row for each score")
    aucs, covariance = aucs_and_covariance(positive, table, names(patients, len(positive)))
    return DeLong(aucs, covariance, global_test(aucs, covariance))


def compare_aucs(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, patients: Patients = None, *, out_of_fold: bool = False
) -> "AucComparison":
    """Test whether two scores of the same cases have the same AUC (paired, two-sided).

    Parameters
    ----------
    labels : array (n,), 1 or true where positive
    first, second : arrays (n,)
        The scores; each may have a scale of its own.
    patients : names (n,), optional
        Where patients have several cases, the variance is Obuchowski's.
    out_of_fold : bool
        Whether cross-validations made the scores; then the variance is doubled, and ten patients of each class needed.

    Returns
    -------
    record with `delta` (first minus second), its 95 % limits `low` and `high`, `z`, `p`, and `reason`, which says why
    there is no test. Scores that rank alike: `delta` 0, `p` 1. With fewer than ten patients of a class P is too small:
    of 5 positives and 50 negatives, equal AUCs of 0.6 have P < .05 in 9 % (simulated); `evaluate` prints none there.

    Raises
    ------
    ArgumentError
        As `auc`.

    References
    ----------
    DeLong et al. Biometrics 1988;44:837-845.

    Examples
    --------
    >>> labels = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> found = compare_aucs(labels, [1, 2, 3, 5, 4, 6, 7, 8], [2, 5, 1, 6, 4, 3, 8, 7])
    >>> round(found.delta, 4), round(found.p, 3)
    (0.1875, 0.268)
    """
    from autodls.evaluation.delong import compare_aucs as compared

    positive, one = labelled(labels, first, "first")
    other = numbers("second", second, positive.shape)
    return compared(positive, one, other, patients=names(patients, len(one)), out_of_fold=out_of_fold)


def holm(p_values: ArrayLike) -> list[float]:
    """Adjust p values (k,) for k tests by Holm's step-down method.

    Raises ArgumentError for values outside 0..1. Source: Holm. Scand J Stat 1979;6:65-70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    from autodls.evaluation.delong import holm as adjusted

    given = numbers("p_values", p_values)
    if len(wrong := given[(given < 0) | (given > 1)]):
        raise ArgumentError(f"p_values: {wrong[0]:g} is no p value, expected 0..1")
    return [one for one in adjusted(given.tolist()) if one is not None]


def youden_cutoff(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Choose the observed score with the largest sensitivity + specificity - 1; the lowest of ties.

    `labels` and `scores` are (n,); a case is called positive at or above the cut-off. None with one class. Raises
    ArgumentError as `auc`. Rates on the cases that chose it flatter: see `rates_at_cutoff`, `chosen_here`. Source:
    Youden. Cancer 1950;3:32-35.

    >>> youden_cutoff([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
    0.4
    """
    from autodls.evaluation.binary import youden_cutoff as chosen

    return chosen(*labelled(labels, scores))


def rates_at_cutoff(
    labels: ArrayLike,
    scores: ArrayLike,
    cutoff: float,
    patients: Patients = None,
    *,
    chosen_here: bool = False,
    seed: int = 0,
) -> Rates:
    """Estimate sensitivity, specificity, PPV, NPV and accuracy of calls at or above a cut-off.

    Parameters
    ----------
    labels : array (n,), 1 or true where positive
    scores : array (n,)
    cutoff : float, on the scale of the scores
    patients : names (n,), optional
        Where patients have several cases, an interval is for as many independent cases as these are worth.
    chosen_here : bool
        Whether the cut-off is Youden's of these very cases: the limits then know of the choice (bootstrap, by `seed`).

    Returns
    -------
    Rates
        Each rate has `value`, `low`, `high` (Wilson, 95 %), `method`, `reason`; a rate without a case to divide by is
        None.

    Raises
    ------
    ArgumentError
        As `auc`, for a cut-off that is no finite number, and with no cases.

    References
    ----------
    Wilson. JASA 1927;22:209-212. Korn, Graubard. Surv Methodol 1998;24:193-201 (patients with several cases).

    Examples
    --------
    >>> found = rates_at_cutoff([0, 0, 0, 1, 1], [0.1, 0.2, 0.7, 0.6, 0.9], cutoff=0.5)
    >>> found.sensitivity.value, round(found.specificity.low, 3)
    (1.0, 0.208)
    """
    from autodls.evaluation.binary import confusion_at, youden_index
    from autodls.evaluation.intervals import printed_rates
    from autodls.evaluation.own_cutoff import rates_at_own_cutoff

    positive, values = labelled(labels, scores)
    if not np.isfinite(cutoff) or not len(values):
        raise ArgumentError(
            f"cutoff {cutoff:g} for {len(values)} scores: expected a finite number, and a case at least"
        )
    named = names(patients, len(values))
    rates = printed_rates(positive, values, cutoff, named)
    if chosen_here:
        rates = rates_at_own_cutoff(rates, positive, values, named, seed)
    confusion = confusion_at(positive, values, cutoff)
    return Rates(cutoff, confusion, **rates, youden=youden_index(confusion))
