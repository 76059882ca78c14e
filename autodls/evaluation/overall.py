"""Do the AUCs of several scores differ at all? DeLong's global test, where there are cases enough for it."""

from scipy.stats import f

from autodls.evaluation.clusters import patients_of_class
from autodls.evaluation.delong import Bools, Floats, Patients, delong, global_test
from autodls.evaluation.results import ChiSquare

FEWEST, FEWEST_A_DIFFERENCE = 20, 7


def aucs_differ(labels: Bools, scores: list[Floats], patients: Patients = None) -> ChiSquare:
    """Global test of the AUCs of at least two `scores`, each (n,); `patients` (n,) names those of the rows.

    The chi-square supposes a covariance that is known, not estimated: with 7 positives, four equal AUCs have P < 0.05
    in 9 to 17 %. P is of chi2 / df by the F distribution with the patients of the rarer class less one in the
    denominator, and there is none with fewer than `FEWEST` patients of a class or `FEWEST_A_DIFFERENCE` for each
    difference; then it errs in 2 to 6 % (simulated).
    """
    fewest = max(FEWEST, FEWEST_A_DIFFERENCE * (len(scores) - 1))
    members = patients_of_class(labels, patients)
    for side, count in members.items():
        if count < fewest:
            return ChiSquare(reason=f"{count} {side}, fewer than the {fewest} that a test of {len(scores)} AUCs needs")
    test = global_test(*delong(labels, scores, patients))
    if test.chi2 is None or not test.df:
        return ChiSquare(chi2=test.chi2, df=test.df, p=test.p, reason=test.reason)
    p = float(f.sf(test.chi2 / test.df, test.df, min(members.values()) - 1))
    return ChiSquare(chi2=test.chi2, df=test.df, p=p)
