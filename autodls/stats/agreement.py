"""Whether two or more scores, or raters, say the same of the same cases."""

from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from autodls.errors import ArgumentError
from autodls.stats.given import Patients, names, numbers

if TYPE_CHECKING:
    from autodls.evaluation.agreement_records import BlandAltman
    from autodls.evaluation.results import Estimate


def icc(table: ArrayLike, patients: Patients = None) -> "Estimate":
    """Estimate the intraclass correlation ICC(2,1): two-way random, absolute agreement, single rater.

    Parameters
    ----------
    table : array (n, k), a row a case, a column a rater; two raters at least
    patients : names (n,), optional
        Where patients have several cases, the interval is of a bootstrap over patients.

    Returns
    -------
    record with `value`, `low`, `high` (95 %) and `reason`: None with fewer than three cases, or where cases do not
    differ. A rater that is always 0.1 higher disagrees. Probabilities are better compared as log-odds.

    Raises
    ------
    ArgumentError
        A table of another shape, with missing values, or of one rater.

    References
    ----------
    Shrout, Fleiss. Psychol Bull 1979;86:420-428. McGraw, Wong. Psychol Methods 1996;1:30-46.

    Examples
    --------
    The six targets and four judges of Shrout and Fleiss, table 2:

    >>> found = icc([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    >>> round(found.value, 2), round(found.low, 3), round(found.high, 3)
    (0.29, 0.019, 0.761)
    """
    from autodls.evaluation.score_agreement import icc as estimate

    given = numbers("table", table, axes="(n, k)")
    if given.shape[1] < 2:
        raise ArgumentError(f"table: shape {given.shape}, expected (n, k) with two raters at least")
    return estimate(given, names(patients, len(given)))


def bland_altman(first: ArrayLike, second: ArrayLike, patients: Patients = None) -> "BlandAltman":
    """Estimate bias and 95 % limits of agreement of `second` minus `first`.

    `first` and `second` are (n,), in one unit, which is that of the results; `patients` as in `icc`. The record has
    `cases`, `bias`, `lower_limit` and `upper_limit`, each with `value`, `low`, `high`; None with fewer than three
    cases. Raises ArgumentError for missing values and arrays of different length. Source: Bland, Altman. Lancet
    1986;327:307-310.

    >>> found = bland_altman([494, 395, 516, 434, 476], [512, 430, 520, 428, 500])
    >>> round(found.bias.value, 3), round(found.lower_limit.value, 2)
    (15.0, -16.79)
    """
    from autodls.evaluation.score_agreement import bland_altman as estimate

    one = numbers("first", first)
    other = numbers("second", second, one.shape)
    return estimate(one, other, names(patients, len(one)))
