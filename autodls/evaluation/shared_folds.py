"""Intervals and P values of pooled out-of-fold scores, whose cases are not independent.

A case is scored by a model that learned from the cases of the other folds, and teaches the models that score those. A
score without information that is linear in the labels shows what follows: each pair of cases stands twice in its AUC, i
scored by j and j by i, so the variance of that AUC is twice DeLong's, which takes scores for fixed. No estimator of
this variance from one cross-validation is unbiased [1]_; nested cross-validation [2]_ needs a hundred times the fits,
and influence curves [3]_ leave out that scores share their teachers. So DeLong's variance is doubled, always.

By simulation (`benchmarks/intervals.py`: cross-validations of a linear learner whose AUC on new patients is known, 24
to 267 cases, 10 to 100 features, no to strong signal) the standard deviation of the pooled AUC is 1.05 to 1.35 times
DeLong's standard error, and its 95 % interval holds the expected AUC of the procedure, that of models trained as these
are, on new patients, in 85 to 93 %; with the variance doubled in 95 to 99 %. Two models that are equally good differ
with P < .05 in 5 to 18 %, with the variance doubled in at most 6 %, given `FEWEST_FOR_TESTS` of a class. The AUC of the
ensemble of all folds is not what the interval is of: that is mostly higher. Networks may do better than the worst case:
in 24 studies of 48 phantoms each (`benchmarks/interval_networks.py`) the AUCs spread by 0.9 to 1.2 times the standard
error, known to a quarter or a third, and both intervals covered.

References
----------
.. [1] Bengio, Grandvalet. No unbiased estimator of the variance of K-fold cross-validation. J Mach Learn Res
       2004;5:1089-1105.
.. [2] Bates, Hastie, Tibshirani. Cross-validation: what does it estimate and how well does it do it? J Am Stat Assoc
       2024;119:1434-1445.
.. [3] LeDell, Petersen, van der Laan. Computationally efficient confidence intervals for cross-validated area under
       the ROC curve estimates. Electron J Stat 2015;9:1583-1607.
"""

from collections.abc import Sequence
from typing import Literal

from autodls.evaluation.clusters import is_clustered

ComparisonMethod = Literal["delong", "delong-obuchowski", "delong-cv", "delong-obuchowski-cv"]

OUT_OF_FOLD_VARIANCE = 2.0
"""Variance of a pooled out-of-fold AUC, and of a difference of two, in units of DeLong's."""

FEWEST_FOR_TESTS = 10
"""Patients of each class below which no test of two AUCs is printed, of any cohort."""

MEANING = (
    "Out of fold, an interval is of the AUC on new patients of models trained as these: its variance is twice "
    "DeLong's, as folds share their training cases. It is not of the ensemble of all folds, whose AUC is mostly higher."
)
_CONDITIONAL = (
    "Made by an earlier version: out of fold, intervals and P values are conditional on these folds, too small for "
    "anything else; run 'autodls evaluate' again."
)


def comparison_method(patients: Sequence[str] | None, *, out_of_fold: bool) -> ComparisonMethod:
    """Which variance a comparison of AUCs is made of."""
    if is_clustered(patients):
        return "delong-obuchowski-cv" if out_of_fold else "delong-obuchowski"
    return "delong-cv" if out_of_fold else "delong"


def is_of_folds(method: str) -> bool:
    """Whether an interval or test `method` is one for out-of-fold scores."""
    return method.endswith("-cv")


def meaning_of(method: str) -> str:
    """What an interval of an out-of-fold AUC is of; without the doubled variance, as once, only of these folds."""
    return MEANING if is_of_folds(method) else _CONDITIONAL
