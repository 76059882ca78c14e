"""What a locked model takes from the scores of its folds: common scale, recalibration, cut-off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logit

from autodls.errors import ArgumentError, StaleRecordError, TrainingError
from autodls.evaluation.binary import class_medians_cutoff, youden_cutoff
from autodls.models.averaged import scale_of_mean
from autodls.models.recalibration import WEAK_PRIOR_SD, fit_scale
from autodls.records.case import Case
from autodls.records.plan import Plan
from autodls.records.scale import LogisticScale
from autodls.records.scores import FUSED, FoldScore, load_fold_scores
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.training.common_scale import common_scales, correlation_between_folds, on_common_scale

_OLDER_FIT = 1e-3


@dataclass(frozen=True)
class Derived:
    """What the scores of the folds give; `pooled` are (fold, score) on the common scale, in the order of cases."""

    pooled: Sequence[tuple[int, FoldScore]]
    fold_scales: tuple[dict[str, LogisticScale], ...]
    recalibration: LogisticScale
    correlation: float | None
    cutoffs: Mapping[str, float]

    def locked(self, plan: Plan) -> dict[str, Any]:
        """The fields of the model's record that hang on it, by name."""
        cutoff = self.cutoffs[plan.training.cutoff]
        of_mean = None
        if self.correlation is not None:
            crossing = float(logit(cutoff) - self.recalibration.intercept) / self.recalibration.slope
            of_mean = scale_of_mean(self.recalibration, self.correlation, len(self.fold_scales), crossing)
        return {
            "fold_scales": self.fold_scales,
            "recalibration": self.recalibration,
            "fold_correlation": self.correlation,
            "ensemble_recalibration": of_mean,
            "cutoff": cutoff,
            "youden_cutoff": self.cutoffs["youden"],
        }

    def as_locked_before(self, recalibration: LogisticScale) -> "Derived":
        """The same with the `recalibration` of an older version, whose fit ended a little short of its maximum.

        As it is where that is another recalibration.
        """
        found, expected = ([one.slope, one.intercept] for one in (recalibration, self.recalibration))
        if not np.allclose(found, expected, rtol=_OLDER_FIT, atol=_OLDER_FIT):
            return self
        return replace(self, recalibration=recalibration, cutoffs=choose_cutoffs(self.pooled, recalibration))


def derive(
    workspace: Workspace, plan: Plan, splits: Splits, cases: Sequence[Case], *, common_scale: bool = True
) -> Derived:
    """Put the folds on one scale, pool their out-of-fold scores, recalibrate, choose the cut-off.

    Without `common_scale` as models of older versions were locked: every fold on its own scale, and the recalibration
    of single folds for their mean too. Raises what `pool_scores` and `choose_cutoffs` raise.
    """
    own = pool_scores(workspace, plan, splits, cases)
    if not common_scale:
        recalibration = recalibrate(own)
        return Derived(own, (), recalibration, None, choose_cutoffs(own, recalibration))
    folds = [load_fold_scores(workspace.fold(fold.index), plan.sequences) for fold in splits.folds]
    labels = {score.case: score.label for _, score in own}
    scales = common_scales(folds, (FUSED, *plan.sequences), labels)
    place = {fold.index: position for position, fold in enumerate(splits.folds)}
    pooled = [(fold, on_common_scale(score, scales[place[fold]])) for fold, score in own]
    recalibration = recalibrate(pooled)
    correlation = correlation_between_folds(folds, scales, {score.case: score for _, score in pooled})
    return Derived(pooled, scales, recalibration, correlation, choose_cutoffs(pooled, recalibration))


def pool_scores(workspace: Workspace, plan: Plan, splits: Splits, cases: Sequence[Case]) -> list[tuple[int, FoldScore]]:
    """(fold, score) of every training case by the fold that did not see it, in the order of cases.

    Raises ArgumentError while a fold is missing, StaleRecordError where scores are not those that the fold wrote, or
    carry another label than `cases`.
    """
    labels = {case.id: case.label for case in cases}
    pooled: list[tuple[int, FoldScore]] = []
    for fold in splits.folds:
        folder = workspace.fold(fold.index)
        path = folder.scores
        if not path.exists():
            raise ArgumentError(f"fold {fold.index} is not trained ({path}); run 'autodls train fold {fold.index}'")
        scores = [score for score in load_fold_scores(folder, plan.sequences) if score.part == "validation"]
        if {score.case for score in scores} != set(fold.validation):
            raise ArgumentError(
                f"{path}: does not hold the {len(fold.validation)} validation cases; delete it, run again"
            )
        for score in scores:
            if score.label != labels.get(score.case):
                raise StaleRecordError(
                    f"{path}: case {score.case} is labelled {score.label}, in the table {labels.get(score.case)}; run "
                    f"'autodls train fold {fold.index} --restart'"
                )
        pooled.extend((fold.index, score) for score in scores)
    return sorted(pooled, key=lambda pair: pair[1].case)


def recalibrate(pooled: Sequence[tuple[int, FoldScore]]) -> LogisticScale:
    """The logistic map from pooled out-of-fold log-odds to probability."""
    log_odds = np.array([score.log_odds[FUSED] for _, score in pooled])
    return fit_scale(log_odds, np.array([score.label for _, score in pooled]), WEAK_PRIOR_SD)


def choose_cutoffs(pooled: Sequence[tuple[int, FoldScore]], recalibration: LogisticScale) -> dict[str, float]:
    """The cut-off of the recalibrated score by each rule that a plan may name.

    Raises TrainingError where all scores are of one class.
    """
    labels = np.array([score.label for _, score in pooled])
    fused = np.array([score.log_odds[FUSED] for _, score in pooled])
    youden = youden_cutoff(labels, recalibration.probability(fused))
    middle = class_medians_cutoff(labels, fused)
    if youden is None or middle is None:
        raise TrainingError(f"{len(labels)} out-of-fold scores of one class only: no cut-off; train on both classes")
    return {"youden": youden, "class_medians": float(recalibration.probability(np.array([middle]))[0])}
