"""Shortcut baselines: what is to be had without looking at the images.

A logistic regression on tumour volume alone, on the clinical variables alone, on the site alone, on the same folds as
the deep-learning score. Imputation, scaling and coding are learned inside the fold, from the cases that the fold's
networks may see (training part and inner hold-out); the validation cases are only scored.

Two traps of out-of-fold scores. Pooled over folds, a baseline that knows nothing has an AUC below 0.5, since a fold
with more positives is scored by a model that saw fewer: the gain is taken over 0.5 there. And folds teach each other: a
case is scored by models that learned from the cases which it teaches in turn. Of a score without information that
doubles the variance of what it seems to add (`added_value`), and often enough its sign is negative.

References
----------
.. [1] Pencina, D'Agostino, Steyerberg. Extensions of net reclassification improvement calculations. Stat Med
       2011;30:11-21 (likelihood-ratio test as the test of added value).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import orth
from scipy.special import expit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from autodls.analysis.comparison_results import AddedValue
from autodls.candidates.covariates import Covariates, frame, preparation
from autodls.errors import ArgumentError
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.clusters import is_clustered
from autodls.evaluation.delong import AucComparison, auc_with_ci, compare_aucs
from autodls.evaluation.intervals import printed_auc
from autodls.evaluation.logistic import log_likelihood
from autodls.evaluation.results import Auc
from autodls.records.splits import Splits

_FOLDS_SHARE_CASES = 2.0  # variance of what an out-of-fold score without information seems to add, to that of its own
_NOT_INDEPENDENT = "some patients have several cases, which the likelihood-ratio test takes for independent"
_MOST_STEPS = 1000
_NO_PENALTY, _SEPARATED = 1e9, -1e-4


@dataclass(frozen=True)
class Shortcut:
    """What a baseline reaches, and what the deep-learning score gains over it.

    `delta` is the AUC of the deep-learning score less that of the baseline, paired, or less 0.5 where the baseline's is
    below; `added` the likelihood-ratio test of adding the deep-learning log-odds to the regression.
    """

    name: str
    columns: tuple[str, ...]
    n: int
    positives: int
    auc: Auc
    delta: AucComparison
    added: AddedValue

    @property
    def delta_over(self) -> str:
        """What `delta` is a gain over."""
        return "0.5" if _is_below_half(self.auc.value) else "baseline"


def shortcut_scores(splits: Splits, labels: Mapping[str, bool], covariates: Covariates) -> dict[str, float]:
    """Out-of-fold log-odds by case of a ridge logistic regression of the label on `covariates`.

    Each case is scored by the fold that validates it, whose regression, imputation, scaling and coding come from the
    fold's other cases alone. Raises ArgumentError without covariates, without a label, or with one class in a fold.
    """
    if not covariates:
        raise ArgumentError("no covariates: name at least one column to regress on")
    scores: dict[str, float] = {}
    for fold in splits.folds:
        seen = [*fold.train, *fold.inner]
        if lacking := [case for case in (*seen, *fold.validation) if case not in labels]:
            raise ArgumentError(f"case {lacking[0]} of fold {fold.index} has no label; run 'autodls plan' again")
        truth = np.array([labels[case] for case in seen], dtype=bool)
        if truth.all() or not truth.any():
            raise ArgumentError(f"fold {fold.index}: all {len(truth)} training cases are of one class; use fewer folds")
        model = _regression(covariates).fit(frame(covariates, seen), truth)
        if model[-1].n_iter_.max() >= _MOST_STEPS:
            raise ArgumentError(f"fold {fold.index}: the regression does not converge in {_MOST_STEPS} steps")
        log_odds = model.decision_function(frame(covariates, fold.validation))
        scores |= dict(zip(fold.validation, log_odds.tolist(), strict=True))
    return dict(sorted(scores.items()))


def shortcut(
    name: str,
    splits: Splits,
    labels: Mapping[str, bool],
    covariates: Covariates,
    dls: Mapping[str, float],
    patients: Mapping[str, str] | None = None,
) -> Shortcut:
    """Judge the baseline `name` beside `dls`, the out-of-fold log-odds of the deep-learning score by case.

    `patients` gives the patient of each case: where some have several, intervals and P are over patients, and there is
    no likelihood-ratio test.

    Raises ArgumentError for a case without an out-of-fold score.
    """
    scores = shortcut_scores(splits, labels, covariates)
    if lacking := [case for case in scores if case not in dls]:
        raise ArgumentError(f"case {lacking[0]} has no out-of-fold score; run 'autodls train fold all'")
    truth = np.array([labels[case] for case in scores], dtype=bool)
    baseline, deep = np.array(list(scores.values())), np.array([dls[case] for case in scores])
    members = None if patients is None else [patients.get(case, case) for case in scores]
    several = is_clustered(members)
    found = auc_with_ci(truth, baseline, patients=members, out_of_fold=True)
    compared = np.zeros(len(truth)) if _is_below_half(found.value) else baseline  # the AUC of a constant is 0.5
    return Shortcut(
        name=name,
        columns=tuple(covariates),
        n=len(truth),
        positives=int(truth.sum()),
        auc=printed_auc(truth, baseline, found, members),
        delta=compare_aucs(truth, deep, compared, patients=members, out_of_fold=True),
        added=AddedValue(reason=_NOT_INDEPENDENT) if several else added_value(truth, deep, covariates, list(scores)),
    )


def added_value(labels: Bools, dls: Floats, covariates: Covariates, cases: Sequence[str]) -> AddedValue:
    """Likelihood-ratio test [1]_ of adding `dls` (n,) to the unpenalised logistic regression on `covariates`.

    Both models are fitted on the same n `cases`. `dls` must be out of fold, or it brings its over-fitting with it. P is
    one-sided, for a coefficient above 0, from the signed root of the statistic over the square root of 2. Without
    information, a score that is linear in the labels of the other folds goes with the label by a sum over pairs of
    cases in which each pair stands twice (i scored by j, j by i): its variance is twice that of independent cases.
    """
    design = preparation(covariates).fit_transform(frame(covariates, cases))
    plain = np.column_stack([np.ones(len(labels)), np.asarray(design, dtype=np.float64)])
    full = np.column_stack([plain, dls])
    gained = int(np.linalg.matrix_rank(full) - np.linalg.matrix_rank(plain))
    if labels.all() or not labels.any():
        return AddedValue(reason=f"all {len(labels)} cases are {'positive' if labels.any() else 'negative'}")
    if not gained:
        return AddedValue(reason="the covariates determine the deep-learning score, so nothing is added")
    without, beside = _maximum(labels, plain), _maximum(labels, full)
    if beside is None or without is None:
        return AddedValue(reason="the classes are fully separated, so the likelihood has no maximum")
    statistic = max(2 * (beside.log_likelihood - without.log_likelihood), 0.0)
    # the likelihood is concave: its slope at 0 points to where the coefficient of the score lies
    sign: Literal[-1, 1] = 1 if float(dls @ (labels - expit(without.log_odds))) > 0 else -1
    p = float(norm.sf(sign * np.sqrt(statistic / _FOLDS_SHARE_CASES)))
    return AddedValue(chi2=statistic, df=gained, p=p, sign=sign)


def _is_below_half(auc: float | None) -> bool:
    return auc is not None and auc < 0.5


def _regression(covariates: Covariates) -> Pipeline:
    return make_pipeline(preparation(covariates), LogisticRegression(max_iter=_MOST_STEPS))


@dataclass(frozen=True)
class _Maximum:
    """Where a log-likelihood is largest, with the log-odds (n,) there."""

    log_likelihood: float
    log_odds: Floats


def _maximum(labels: Bools, design: Floats) -> _Maximum | None:
    """Supremum of the likelihood, None where it is that of a certainty: the classes are separated.

    One-hot columns and the intercept depend on each other; an orthonormal basis of them has the same supremum. A level
    or a gap of cases that are all of one class has no finite coefficient, and yet a supremum: a vanishing penalty stops
    there.
    """
    basis = orth(design) * np.sqrt(len(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps near the end of the penalty
        model = LogisticRegression(C=_NO_PENALTY, fit_intercept=False, solver="newton-cholesky", tol=1e-9)
        log_odds = basis @ model.set_params(max_iter=_MOST_STEPS).fit(basis, labels).coef_[0]
    likelihood = log_likelihood(labels, log_odds)
    return _Maximum(likelihood, log_odds) if likelihood < _SEPARATED else None
