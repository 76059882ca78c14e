"""Everything a paper reports about scores: the computation behind `metrics.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from autodls.errors import ArgumentError
from autodls.evaluation import survival
from autodls.evaluation.binary import brier, confusion_at, not_probabilities, proportions, youden_cutoff, youden_index
from autodls.evaluation.calibration import calibration
from autodls.evaluation.cautions import cautions
from autodls.evaluation.decision_curve import net_benefit
from autodls.evaluation.delong import Bools, Floats, auc_with_ci, compare_aucs, delong, global_test, holm
from autodls.evaluation.landmark import landmark_benefit
from autodls.evaluation.results import (
    Auc,
    Calibration,
    ChiSquare,
    CohortMetrics,
    Comparison,
    Cutoff,
    HazardRatio,
    Landmark,
    Metrics,
    PlainAuc,
    Proportion,
    PTest,
    ScoreMetrics,
    Survival,
)
from autodls.evaluation.scores_table import CohortTable, ScoreTable

_NO_LABEL = "no case of the cohort has a label"
_NO_SCORE = "no case of the cohort has this score"
_NO_CUTOFF = "there is no cut-off: give one, or a cohort with both classes to take it from"


@dataclass(frozen=True)
class Choices:
    """What the person chose: cut-offs by score, the cohort whose Youden cut-off the others take, the landmark time."""

    cutoffs: Mapping[str, float] = field(default_factory=dict)
    cutoff_from: str | None = None
    landmark: float | None = None


def evaluate_table(table: ScoreTable, choices: Choices | None = None) -> Metrics:
    """All metrics of all cohorts of `table`; the first score is the reference.

    The cut-off of a score is, in this order, the one given, Youden's in `cutoff_from`, Youden's in the cohort itself.
    Raises ArgumentError for choices that do not fit the table.
    """
    choices = choices or Choices()
    _check(table, choices)
    cohorts = {}
    for name, cohort in table.cohorts.items():
        source = choices.cutoff_from or name
        cutoffs = {score: _cutoff(table.cohorts[source], score, source, choices) for score in table.scores}
        cohorts[name] = cohort_metrics(cohort, cutoffs, choices.landmark)
    warnings = (*table.warnings, *cautions(cohorts))
    return Metrics(reference=table.scores[0], cohorts=cohorts, warnings=warnings)


def cohort_metrics(cohort: CohortTable, cutoffs: Mapping[str, Cutoff], landmark: float | None = None) -> CohortMetrics:
    """All metrics of one cohort; `cutoffs` holds every score, the reference first."""
    reference = next(iter(cutoffs))
    positives = None if cohort.labels is None else int(cohort.labels.sum())
    return CohortMetrics(
        n=cohort.n,
        positives=positives,
        prevalence=None if positives is None or not cohort.n else positives / cohort.n,
        excluded=cohort.excluded,
        scores={name: _of_score(cohort, name, cutoff) for name, cutoff in cutoffs.items()},
        comparisons=comparisons(cohort, list(cutoffs)),
        global_test=overall_test(cohort, list(cutoffs)),
        survival=_survival(cohort, reference, cutoffs[reference].value),
        landmark=_landmark(cohort, reference, landmark),
    )


def score_metrics(labels: Bools, scores: Floats, cutoff: Cutoff) -> ScoreMetrics:
    """Discrimination, classification at `cutoff`, calibration and net benefit of one score (n,)."""
    estimate = auc_with_ci(labels, scores)
    confusion = None if cutoff.value is None or not len(labels) else confusion_at(labels, scores, cutoff.value)
    reason = "there are no cases" if cutoff.value is not None else _NO_CUTOFF
    rates = proportions(confusion) if confusion else _null_rates(reason)
    error = brier(labels, scores)
    reasons = {} if confusion else {"confusion": reason}
    if unfit := not_probabilities(scores):
        reasons |= {"brier": unfit, "net_benefit": unfit}
    return ScoreMetrics(
        auc=Auc(value=estimate.value, low=estimate.low, high=estimate.high, reason=estimate.reason),
        auc_delong=PlainAuc(
            value=estimate.value,
            low=estimate.plain_low,
            high=estimate.plain_high,
            variance=estimate.variance,
            reason=estimate.reason if estimate.variance is None else None,
        ),
        cutoff=cutoff,
        confusion=confusion,
        **rates,
        youden=youden_index(confusion) if confusion else Proportion(reason=reason),
        brier=error.value,
        calibration=calibration(labels, scores),
        net_benefit=net_benefit(labels, scores),
        reasons=reasons,
    )


def _of_score(cohort: CohortTable, name: str, cutoff: Cutoff) -> ScoreMetrics:
    if cohort.labels is not None and name in cohort.scores:
        return score_metrics(cohort.labels, cohort.scores[name], cutoff)
    reason = _NO_LABEL if cohort.labels is None else _NO_SCORE
    return ScoreMetrics(
        auc=Auc(reason=reason),
        auc_delong=PlainAuc(reason=reason),
        cutoff=cutoff,
        confusion=None,
        **_null_rates(reason),
        youden=Proportion(reason=reason),
        brier=None,
        calibration=Calibration(reason=reason),
        net_benefit=None,
        reasons=dict.fromkeys(("confusion", "brier", "net_benefit"), reason),
    )


def _null_rates(reason: str) -> dict[str, Proportion]:
    return dict.fromkeys(("sensitivity", "specificity", "ppv", "npv", "accuracy"), Proportion(reason=reason))


def _cutoff(source: CohortTable, score: str, name: str, choices: Choices) -> Cutoff:
    if score in choices.cutoffs:
        return Cutoff(value=choices.cutoffs[score], source="given")
    if source.labels is None or score not in source.scores:
        return Cutoff(source=f"youden:{name}", reason=_NO_LABEL if source.labels is None else _NO_SCORE)
    value = youden_cutoff(source.labels, source.scores[score])
    reason = None if value is not None else f"cohort {name} does not hold both classes"
    return Cutoff(value=value, source=f"youden:{name}", reason=reason)


def comparisons(cohort: CohortTable, names: Sequence[str]) -> tuple[Comparison, ...]:
    """Paired comparisons of all scores in `names`, of which P is adjusted by Holm's method."""
    tests = [_compare(cohort, first, second) for first, second in combinations(names, 2)]
    adjusted = holm([test.p for test in tests])
    return tuple(test.model_copy(update={"p_holm": p}) for test, p in zip(tests, adjusted, strict=True))


def _compare(cohort: CohortTable, first: str, second: str) -> Comparison:
    if cohort.labels is None:
        return Comparison(a=first, b=second, reason=_NO_LABEL)
    if not {first, second} <= set(cohort.scores):
        return Comparison(a=first, b=second, reason=_NO_SCORE)
    test = compare_aucs(cohort.labels, cohort.scores[first], cohort.scores[second])
    return Comparison(
        a=first, b=second, delta=test.delta, low=test.low, high=test.high, z=test.z, p=test.p, reason=test.reason
    )


def overall_test(cohort: CohortTable, names: Sequence[str]) -> ChiSquare:
    """Whether the AUCs of the scores in `names` differ at all."""
    present = [cohort.scores[name] for name in names if name in cohort.scores]
    if cohort.labels is None or len(present) < 2:
        return ChiSquare(reason=_NO_LABEL if cohort.labels is None else "fewer than two scores")
    if min(int(cohort.labels.sum()), int((~cohort.labels).sum())) < 2:
        return ChiSquare(reason="fewer than two cases of one class")
    test = global_test(*delong(cohort.labels, present))
    return ChiSquare(chi2=test.chi2, df=test.df, p=test.p, reason=test.reason)


def _survival(cohort: CohortTable, reference: str, cutoff: float | None) -> Survival | None:
    times, events, scores = cohort.times, cohort.events, cohort.scores.get(reference)
    if times is None or events is None:
        return None
    if scores is None or not cohort.n or cutoff is None:
        return _ungrouped_survival(times, events, scores)
    high = scores >= cutoff
    return Survival(
        median_follow_up=survival.median_follow_up(times, events),
        logrank=survival.logrank(times, events, high),
        cox=survival.hazard_ratio(times, events, high.astype(float)),
        cox_continuous=survival.hazard_ratio(times, events, scores),
        proportional_hazards=survival.proportional_hazards(times, events, high.astype(float)),
        groups={
            "high": survival.group_survival(times[high], events[high]),
            "low": survival.group_survival(times[~high], events[~high]),
        },
    )


def _ungrouped_survival(times: Floats, events: Bools, scores: Floats | None) -> Survival:
    cases = len(times) > 0
    reason = (_NO_SCORE if scores is None else _NO_CUTOFF) if cases else "there are no cases"
    by_score = survival.hazard_ratio(times, events, scores) if cases and scores is not None else None
    return Survival(
        median_follow_up=survival.median_follow_up(times, events) if cases else None,
        logrank=ChiSquare(reason=reason),
        cox=HazardRatio(reason=reason),
        cox_continuous=by_score or HazardRatio(reason=reason),
        proportional_hazards=PTest(reason=reason),
        groups={},
    )


def _landmark(cohort: CohortTable, reference: str, landmark: float | None) -> Landmark | None:
    if landmark is None or cohort.times is None or cohort.events is None or reference not in cohort.scores:
        return None
    return landmark_benefit(cohort.times, cohort.events, cohort.scores[reference], landmark)


def _check(table: ScoreTable, choices: Choices) -> None:
    if strange := [name for name in choices.cutoffs if name not in table.scores]:
        raise ArgumentError(f"cut-off for '{strange[0]}', which is not one of the scores {list(table.scores)}")
    if choices.cutoff_from is not None and choices.cutoff_from not in table.cohorts:
        raise ArgumentError(
            f"--cutoff-from {choices.cutoff_from}: the cohorts are {list(table.cohorts)}; name one of them"
        )
    if choices.landmark is not None and all(cohort.times is None for cohort in table.cohorts.values()):
        raise ArgumentError(f"--landmark {choices.landmark:g}: no cohort has follow-up; name --time and --event")
