"""Follow-up: Kaplan-Meier, log-rank, Cox, proportional hazards, benefit beyond a landmark. Every row is a patient."""

from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from autodls.stats.given import followed, numbers, yes_or_no

if TYPE_CHECKING:
    from autodls.evaluation.results import ChiSquare, HazardRatio, Landmark, PTest
    from autodls.evaluation.survival import KaplanMeier


def kaplan_meier(times: ArrayLike, events: ArrayLike) -> "KaplanMeier":
    """Estimate survival, with Greenwood's variance and the log-log 95 % interval.

    Parameters
    ----------
    times : array (n,), follow-up in any one unit, not negative
    events : array (n,), 1 or true where the event was seen, 0 where follow-up ended before it

    Returns
    -------
    record of arrays (t,) from time 0 on: `times`, `survival`, `low`, `high` (NaN where nobody is left), `at_risk`;
    `median` (None where it is not reached), and `at(time)`.

    Raises
    ------
    ArgumentError
        Missing, infinite or negative times, events other than 0 and 1, no patients, arrays of different length.

    References
    ----------
    Kalbfleisch, Prentice. The Statistical Analysis of Failure Time Data. Wiley 2002, 1.4.

    Examples
    --------
    >>> curve = kaplan_meier([1, 2, 3, 4], [1, 0, 1, 1])
    >>> curve.survival.round(3).tolist(), curve.median
    ([1.0, 0.75, 0.75, 0.375, 0.0], 3.0)
    """
    from autodls.evaluation.survival import kaplan_meier as estimate

    return estimate(*followed(times, events))


def median_follow_up(times: ArrayLike, events: ArrayLike) -> float | None:
    """Estimate the median follow-up by the reverse Kaplan-Meier method, in the unit of `times`; None if not reached.

    `times` and `events` are (n,). Raises ArgumentError as `kaplan_meier`. Source: Schemper, Smith. Control Clin Trials
    1996;17:343-346.

    >>> median_follow_up([1, 2, 3, 4], [1, 0, 1, 0])
    4.0
    """
    from autodls.evaluation.survival import median_follow_up as estimate

    return estimate(*followed(times, events))


def logrank(times: ArrayLike, events: ArrayLike, group: ArrayLike) -> "ChiSquare":
    """Test whether two groups have the same hazard (two-sided log-rank test).

    `times`, `events` and `group`, 0 or 1, are (n,). The record has `chi2`, `df`, `p`, and `reason`: None with one group
    or no events. A group that was cut where it parts these very patients best has no p value worth printing. Raises
    ArgumentError as `kaplan_meier`. Source: Kalbfleisch, Prentice 2002, 1.5.

    >>> found = logrank([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 0, 1], [1, 1, 1, 0, 0, 0])
    >>> round(found.chi2, 3), round(found.p, 4)
    (5.052, 0.0246)
    """
    from autodls.evaluation.survival import logrank as tested

    lasting, happened = followed(times, events)
    return tested(lasting, happened, yes_or_no("group", group, lasting.shape))


def cox(times: ArrayLike, events: ArrayLike, covariate: ArrayLike) -> "HazardRatio":
    """Estimate the hazard ratio per unit of one covariate, by Cox regression with Efron's ties.

    Parameters
    ----------
    times, events : arrays (n,), as `kaplan_meier`
    covariate : array (n,), a number for each patient, such as 1 for high and 0 for low

    Returns
    -------
    record with `hr`, `low`, `high` (95 %), `p`, `method`, `reason`. `cox-efron`: Wald's interval and test. Where each
    event falls on the highest (or lowest) covariate at risk the likelihood has no maximum: then Firth's penalised
    likelihood with profile limits (`firth-profile`). None without events or for a constant covariate.

    Raises
    ------
    ArgumentError
        As `kaplan_meier`, and for a covariate that is missing.

    References
    ----------
    Efron. JASA 1977;72:557-565. Heinze, Schemper. Biometrics 2001;57:114-119.

    Examples
    --------
    >>> found = cox([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 0, 1], [1, 0, 1, 0, 1, 0])
    >>> round(found.hr, 3), found.method
    (1.315, 'cox-efron')
    """
    from autodls.evaluation.survival import hazard_ratio

    lasting, happened = followed(times, events)
    return hazard_ratio(lasting, happened, numbers("covariate", covariate, lasting.shape))


def proportional_hazards(times: ArrayLike, events: ArrayLike, covariate: ArrayLike) -> "PTest":
    """Test whether the hazard ratio of a covariate stays the same over time, by Schoenfeld residuals.

    `times`, `events`, `covariate` are (n,). The record has `p`, as R's cox.zph(transform = "km") since survival 3.0, or
    a `reason`. Raises ArgumentError as `cox`. Source: Grambsch, Therneau. Biometrika 1994;81:515-526.

    >>> round(proportional_hazards([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 0, 1], [1, 0, 1, 0, 1, 0]).p, 3)
    0.471
    """
    from autodls.evaluation.survival import proportional_hazards as tested

    lasting, happened = followed(times, events)
    return tested(lasting, happened, numbers("covariate", covariate, lasting.shape))


def landmark_benefit(
    times: ArrayLike, events: ArrayLike, scores: ArrayLike, landmark: float, *, seed: int = 0
) -> "Landmark":
    """Estimate how well a score tells who is free of the event beyond a landmark time (time-dependent AUC).

    Parameters
    ----------
    times, events : arrays (n,), as `kaplan_meier`
    scores : array (n,); higher means benefit, which is a time beyond the landmark
    landmark : float above 0, in the unit of `times`
    seed : int, draws the resamples

    Returns
    -------
    record with `auc_ipcw` (weighted by the inverse probability of censoring) and its bootstrap interval,
    `auc_excluding` (without the undetermined), the bounds over all that the undetermined could be, `rate_km`, and
    `reason`.

    Raises
    ------
    ArgumentError
        As `kaplan_meier`, and for a landmark that is not above 0.

    References
    ----------
    Uno et al. JASA 2007;102:527-537. Blanche et al. Stat Med 2013;32:5381-5397.

    Examples
    --------
    >>> found = landmark_benefit([1, 2, 3, 7, 8, 9], [1, 1, 0, 1, 0, 1], [1, 4, 2, 3, 5, 6], landmark=6)
    >>> round(found.auc_ipcw, 3), found.undetermined
    (0.833, 1)
    """
    from autodls.evaluation.landmark import landmark_benefit as judged

    lasting, happened = followed(times, events)
    return judged(lasting, happened, numbers("scores", scores, lasting.shape), landmark, seed)
