"""Do the AUCs of several scores differ at all? DeLong's global test, where there are cases enough for it."""

from scipy.stats import f

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.clusters import patients_of_class
from autodls.evaluation.delong import Patients, delong, global_test
from autodls.evaluation.results import ChiSquare
from autodls.evaluation.shared_folds import OUT_OF_FOLD_VARIANCE

FEWEST, FEWEST_A_DIFFERENCE = 20, 7


def aucs_differ(
    labels: Bools, scores: list[Floats], patients: Patients = None, *, out_of_fold: bool = False
) -> ChiSquare:
    """Global test of the AUCs of at least two `scores`, each (n,); `patients` (n,) names those of the rows.

    The chi-square supposes a covariance that is known, not estimated: with 7 positives, four equal AUCs have P < 0.05
    in 9 to 17 %. P is of chi2 / df by the F distribution with the patients of the rarer class less one in the
    denominator, and there is none with fewer than `FEWEST` patients of a class or `FEWEST_A_DIFFERENCE` for each
    difference; then it errs in 2 to 6 % (simulated). Of `out_of_fold` scores the covariance is doubled, as
    `shared_folds` says.
    """
    fewest = max(FEWEST, FEWEST_A_DIFFERENCE * (len(scores) - 1))
    members = patients_of_class(labels, patients)
    for side, count in members.items():
        if count < fewest:
            return ChiSquare(reason=f"{count} {side}, fewer than the {fewest} that a test of {len(scores)} AUCs needs")
    aucs, covariance = delong(labels, scores, patients)
    test = global_test(aucs, covariance * (OUT_OF_FOLD_VARIANCE if out_of_fold else 1.0))
    if test.chi2 is None or not test.df:
        return ChiSquare(chi2=test.chi2, df=test.df, p=test.p, reason=test.reason)
    p = float(f.sf(test.chi2 / test.df, test.df, min(members.values()) - 1))
    return ChiSquare(chi2=test.chi2, df=test.df, p=p)
