"""What probabilities are worth: calibration, Brier score, decision curve."""

from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from autodls.errors import ArgumentError
from autodls.stats.given import Patients, names, probabilities

if TYPE_CHECKING:
    from autodls.evaluation.calibration import CalibrationGroup
    from autodls.evaluation.results import Calibration, NetBenefit, PatientsInterval


def calibration(labels: ArrayLike, predicted: ArrayLike, patients: Patients = None) -> "Calibration":
    """Estimate slope and intercept of the logistic regression of the label on the logit of a probability.

    Parameters
    ----------
    labels : array (n,), 1 or true where positive
    predicted : array (n,), probabilities within 0..1
    patients : names (n,), optional
        Where patients have several cases, limits take the sandwich variance over patients.

    Returns
    -------
    record with `slope` (1 is perfect; below 1: too extreme), `intercept` beside it, `intercept_large`
    (calibration-in-the- large: at slope 1; 0 is perfect), 95 % Wald limits of slope and of the latter, and `reason`:
    None with one class, for probabilities of exactly 0 or 1, whose logit is infinite; without a slope for separated
    classes or a constant.

    Raises
    ------
    ArgumentError
        Values outside 0..1 or missing, labels other than 0 and 1, no cases, arrays of different length.

    References
    ----------
    Cox. Biometrika 1958;45:562-565. Van Calster et al. BMC Med 2019;17:230.

    Examples
    --------
    >>> found = calibration([0, 0, 1, 0, 1, 1], [0.1, 0.3, 0.4, 0.6, 0.7, 0.9])
    >>> round(found.slope, 3), round(found.intercept_large, 3)
    (1.505, 0.0)
    """
    from autodls.evaluation.calibration import calibration as fitted

    positive, values = probabilities(labels, predicted)
    return fitted(positive, values, names(patients, len(values)))


def calibration_groups(
    labels: ArrayLike, predicted: ArrayLike, groups: int = 10, patients: Patients = None
) -> tuple["CalibrationGroup", ...]:
    """Set the observed share of positives beside the mean probability, in groups of about equal size, lowest first.

    `labels` and `predicted` are (n,). Cases of equal probability stay in one group, so there may be fewer than
    `groups`. Each has `n`, `mean_probability` and `observed` with Wilson's 95 % limits. Raises ArgumentError as
    `calibration`, and for fewer than one group. Source: Van Calster et al. BMC Med 2019;17:230.

    >>> [(group.n, group.observed.value) for group in calibration_groups([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], groups=2)]
    [(2, 0.0), (2, 1.0)]
    """
    from autodls.evaluation.calibration import calibration_curve

    if groups < 1:
        raise ArgumentError(f"groups {groups}: expected 1 or more")
    positive, values = probabilities(labels, predicted)
    return tuple(calibration_curve(positive, values, groups, names(patients, len(values))))


def brier(labels: ArrayLike, predicted: ArrayLike, patients: Patients = None, *, seed: int = 0) -> "PatientsInterval":
    """Estimate the mean squared difference between probability and outcome, with a bootstrap interval.

    `labels` and `predicted` are (n,); `patients` (n,), where given, are drawn with all their cases, by `seed`. 0 is
    perfect; everyone given the prevalence p has p (1 - p). Raises ArgumentError as `calibration`. Source: Brier. Mon
    Weather Rev 1950;78:1-3.

    >>> round(brier([0, 1, 0, 1], [0.1, 0.6, 0.4, 0.8]).value, 4)
    0.0925
    """
    from autodls.evaluation.intervals import brier_interval

    positive, values = probabilities(labels, predicted)
    return brier_interval(positive, values, names(patients, len(values)), seed)


def net_benefit(labels: ArrayLike, predicted: ArrayLike) -> tuple["NetBenefit", ...]:
    """Compute the decision curve: what calling cases at a threshold probability is worth, in true positives a case.

    Parameters
    ----------
    labels : array (n,), 1 or true where positive
    predicted : array (n,), calibrated probabilities; of others the curve misleads

    Returns
    -------
    a record for each threshold t of 0.01, 0.02 ... 0.99: `threshold`, `model` (TP/n - FP/n * t/(1-t)), `all` (everybody
    is called) and `none` (0).

    Raises
    ------
    ArgumentError
        As `calibration`.

    References
    ----------
    Vickers, Elkin. Med Decis Making 2006;26:565-574.

    Examples
    --------
    >>> curve = net_benefit([0, 1], [0.3, 0.6])
    >>> [(point.model, point.all) for point in curve if point.threshold == 0.5]
    [(0.5, 0.0)]
    """
    from autodls.evaluation.decision_curve import net_benefit as curve

    return curve(*probabilities(labels, predicted)) or ()
