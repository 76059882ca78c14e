"""What the out-of-fold cohort says of the score as a probability, and of the folds beside each other.

Recalibration is fitted on the pooled out-of-fold scores: on these very scores its slope is 1 and its intercept 0 by
construction, and their decision curve is flattered. For calibration, Brier score and net benefit of that cohort, each
fold's scores are therefore recalibrated by a map that was fitted on the other folds (cross-fitting). These are
probabilities of single folds; only held-out cohorts are scored by the ensemble.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from autodls.analysis.scored_study import ScoredStudy, cohort_table
from autodls.evaluation.arrays import Floats
from autodls.evaluation.binary import brier, scaled_brier
from autodls.evaluation.calibration import calibration, why_not_shown_calibrated
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.decision_curve import net_benefit
from autodls.evaluation.delong import auc_with_ci
from autodls.evaluation.intervals import brier_interval
from autodls.evaluation.metrics_record import CohortMetrics
from autodls.evaluation.results import Estimate, FoldMetrics
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.subsets import judged_by
from autodls.models.recalibration import cross_fitted
from autodls.records.formatting import estimate
from autodls.records.scores import FUSED, FoldScore

_APART = 2.0  # a spread by this factor from the median of the folds is no chance at ten cases a fold


def probability_table(study: ScoredStudy) -> CohortTable:
    """The labelled out-of-fold cases with their cross-fitted probabilities."""
    table = judged_by(cohort_table(study, study.cohorts[OUT_OF_FOLD]), FUSED)
    fold_of = {case: fold.index for fold in study.splits.folds for case in fold.validation}
    cases = [one.case.id for one in study.cohorts[OUT_OF_FOLD].cases if one.case.label is not None]
    if table.labels is None or not table.n or len(study.splits.folds) < 2:
        return table
    scores = cross_fitted(table.labels, table.scores[FUSED], [fold_of[case] for case in cases])
    return replace(table, scores={FUSED: scores})


def with_probabilities(table: ScoreTable, study: ScoredStudy) -> ScoreTable:
    """`table` for the figures of probability."""
    return replace(table, cohorts={**table.cohorts, OUT_OF_FOLD: probability_table(study)})


def out_of_fold_metrics(study: ScoredStudy, measured: CohortMetrics) -> CohortMetrics:
    """`measured` with the fused score judged as a probability by cross-fitting, and with every fold on its own."""
    table, score = probability_table(study), measured.scores[FUSED]
    folds = tuple(
        fold_metrics(fold.index, scores) for fold, scores in zip(study.splits.folds, study.folds, strict=True)
    )
    if table.labels is None or not table.n:
        return measured.model_copy(update={"folds": folds})
    probabilities = table.scores[FUSED]
    found = calibration(table.labels, probabilities, table.patients)
    judged = score.model_copy(
        update={
            "brier": brier(table.labels, probabilities).value,
            "brier_interval": brier_interval(table.labels, probabilities, table.patients, study.seed),
            "brier_scaled": scaled_brier(table.labels, probabilities).value,
            "calibration": found.model_copy(update={"cross_fitted": True}),
            "net_benefit": net_benefit(table.labels, probabilities),
            "net_benefit_caution": why_not_shown_calibrated(found),
        }
    )
    return measured.model_copy(update={"scores": {**measured.scores, FUSED: judged}, "folds": folds})


def fold_metrics(index: int, scores: Sequence[FoldScore]) -> FoldMetrics:
    """AUC and spread of the cases that fold `index` validates."""
    held = [score for score in scores if score.part == "validation"]
    labels = np.array([score.label for score in held], dtype=bool)
    log_odds = np.array([score.log_odds[FUSED] for score in held])
    found = auc_with_ci(labels, log_odds)
    return FoldMetrics(
        fold=index,
        n=len(held),
        positives=int(labels.sum()),
        auc=Estimate(value=found.value, low=found.low, high=found.high, reason=found.reason),
        spread=_spread(log_odds),
        spread_own=_spread(np.array([score.logits[FUSED] for score in held])),
        mean=float(log_odds.mean()) if held else None,
    )


def _spread(values: Floats) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def fold_caveats(folds: Sequence[FoldMetrics]) -> Iterator[str]:
    """A sentence for every fold that differs markedly from the others in spread, or in AUC."""
    spreads = [fold.spread for fold in folds if fold.spread is not None]
    if len(spreads) < 2:
        return
    middle = float(np.median(spreads))
    for fold in folds:
        if fold.spread is not None and middle > 0 and not middle / _APART <= fold.spread <= middle * _APART:
            yield (
                f"fold {fold.fold}: its log-odds spread by {fold.spread:.2f}, the median fold by {middle:.2f}; "
                "pooled scores and the mean of the folds weigh it accordingly"
            )
        others = [other.auc.value for other in folds if other is not fold and other.auc.value is not None]
        if fold.auc.high is not None and others and fold.auc.high < float(np.mean(others)):
            yield (
                f"fold {fold.fold}: its AUC, {estimate(fold.auc, 2)}, lies below the others' mean of "
                f"{np.mean(others):.2f}"
            )
