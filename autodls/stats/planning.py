"""How many patients: for an AUC to be known, for a way to score to learn more; and how far labels let it go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autodls.errors import ArgumentError
from autodls.seeding import generator
from autodls.stats.given import Patients, names, numbers, yes_or_no

if TYPE_CHECKING:
    from autodls.evaluation.learning_curve import CurvePoint
    from autodls.evaluation.results import Estimate

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Expected:
    """`points` as they were measured, and by the number of cases that were asked for the AUC that may be expected."""

    points: "tuple[CurvePoint, ...]"
    at: "dict[int, Estimate]"


def cases_for_auc(auc: float, prevalence: float, half_width: float) -> int:
    """Count the new cases that an AUC of about `auc` takes for a 95 % interval of plus or minus `half_width`.

    For a cohort that nothing was fitted to, one case a patient, of which the share `prevalence` is positive. Raises
    ArgumentError for values that cannot be. Source: Hanley, McNeil. Radiology 1982;143:29-36; the interval is that on
    the logit scale.

    >>> cases_for_auc(0.8, 0.4, 0.05)
    344
    """
    from autodls.evaluation.sample_size import cases_for_auc as counted

    return counted(auc, prevalence, half_width)


def auc_ceiling(kappa: float, prevalence: float, auc: float = 1.0) -> float:
    """Estimate the AUC against one reader's labels of a score that has `auc` against the truth.

    `kappa` is the published agreement of two readers on the cut of the target, `prevalence` the share that one calls
    positive. Supposes that readers err independently of each other and of the score. Raises ArgumentError for values
    that cannot be. Source: Kraemer. Psychometrika 1979;44:461-472.

    >>> round(auc_ceiling(0.7, 0.4), 3)
    0.915
    """
    from autodls.evaluation.sample_size import auc_ceiling as reached

    return reached(kappa, prevalence, auc)


def learning_curve(
    labels: ArrayLike,
    refit: Callable[[Indices, Indices], Any],
    at: Sequence[int],
    patients: Patients = None,
    *,
    repeats: int = 5,
    ceiling: float = 1.0,
    seed: int = 0,
) -> Expected:
    """Refit on subsets of a cohort, and extrapolate the AUC to more cases by an inverse power law, with a band.

    Parameters
    ----------
    labels : array (n,), 1 or true where positive
    refit : function of two arrays of row numbers, those to fit on and those to score; returns the scores of the latter
        Everything that looks at labels must happen within it, on the first of the two alone.
    at : numbers of cases to fit on
    patients : names (n,), optional
        The cases of a patient stay together.
    repeats : divisions into folds and subsets, at least 2
    ceiling : what no AUC can pass, such as `auc_ceiling`
    seed : draws folds and subsets

    Returns
    -------
    record with `points` (`n`, `auc`, `scatter`) and `at`: by number of cases the AUC that fits on so many may have on
    average, with a 95 % band. It is no promise: it supposes that new cases come from the same population.

    Raises
    ------
    ArgumentError
        Fewer than twenty patients of a class, or values that cannot be meant.

    References
    ----------
    Figueroa et al. BMC Med Inform Decis Mak 2012;12:8.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=60) + np.repeat([0, 1], 30)
    >>> found = learning_curve(np.repeat([0, 1], 30), lambda fitted, scored: values[scored], [100, 200])
    >>> [point.n for point in found.points], found.at[200].low < found.at[200].value < found.at[200].high
    ([12, 20, 30, 40, 48], True)
    """
    from autodls.evaluation.learning_curve import extrapolate, measure_curve

    positive = yes_or_no("labels", labels)
    if repeats < 2 or any(n < 2 for n in at) or not 0.5 < ceiling <= 1:
        raise ArgumentError(
            f"repeats {repeats}, at {list(at)}, ceiling {ceiling:g}: expected 2 or more, 2 or more, above 0.5 up to 1"
        )
    rows = len(positive)
    who = names(patients, rows) or [str(row) for row in range(rows)]

    def scored(fitted: Indices, wanted: Indices) -> NDArray[np.float64]:
        return numbers("refit", refit(fitted, wanted), wanted.shape)

    curve = measure_curve(positive, who, scored, generator(seed, "learning curve"), repeats)
    return Expected(curve.points, {n: extrapolate(curve, n, generator(seed, "learning curve", n), ceiling) for n in at})
