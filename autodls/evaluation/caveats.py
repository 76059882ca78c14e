"""What a reader must know before believing the numbers, in plain words."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import logit

from autodls.evaluation.metrics_record import CohortMetrics
from autodls.evaluation.results import HazardRatio, Landmark, ScoreMetrics, Survival
from autodls.evaluation.score_auc import OUT_OF_FOLD, ScoreAuc
from autodls.evaluation.shared_folds import FEWEST_FOR_TESTS
from autodls.records.words import plural

WIDE_INTERVAL = 0.2  # an AUC interval this wide cannot tell a moderate model from a good one
EVENTS_PER_VARIABLE = 10
ALIKE_LOG_ODDS = 0.1  # a calibrated score that spreads so little cannot have an AUC above 0.51
INVERTED = "are the labels, or the rule of the target, inverted?"
OF_SINGLE_FOLDS = (
    "the rates at the cut-off, and their intervals, are of single-fold models on cases that they had not seen; the "
    "ensemble's are not known from these cases"
)
_FAILED_CHECK = 0.05


def caveats(cohorts: Mapping[str, CohortMetrics]) -> tuple[str, ...]:
    """One sentence for every weakness of the cohorts and their metrics, named by cohort and score."""
    return tuple(
        f"cohort {name}: {sentence}" for name, cohort in cohorts.items() for sentence in _of_cohort(name, cohort)
    )


def is_below_chance(auc: float | None, upper_limit: float | None) -> bool:
    """Whether the 95 % interval of an AUC ends below that of a coin: honest training does not get there by learning.

    An AUC of 0 has no interval, and none could be further below.
    """
    return auc == 0.0 if upper_limit is None else upper_limit < 0.5


def model_caveats(auc: ScoreAuc, scores: Sequence[float]) -> tuple[str, ...]:
    """What everybody who uses a locked model must know of it, from the AUC and the calibrated `scores` out of fold.

    A clause each: that the 95 % interval holds 0.5, or lies below; that the model scores all cases alike, that is, nine
    tenths of the scores lie within `ALIKE_LOG_ODDS`.
    """
    found = []
    if is_below_chance(auc.value, auc.high):
        found.append(f"the model's out-of-fold AUC is {auc.text}: it is below chance")
    elif not is_better_than_chance(auc.value, auc.low):
        found.append(f"the model's out-of-fold AUC is {auc.text}: it is not shown to be better than a guess")
    low, high = np.quantile(scores, [0.05, 0.95])
    if logit(high) - logit(low) < ALIKE_LOG_ODDS:
        found.append(f"the model scores all cases alike: nine in ten of them from {low:.3f} to {high:.3f} out of fold")
    return tuple(found)


def is_better_than_chance(auc: float | None, lower_limit: float | None) -> bool:
    """Whether the 95 % interval of an AUC begins above that of a coin; an AUC of 1 has no interval."""
    return auc == 1.0 if lower_limit is None else lower_limit > 0.5


def _of_cohort(name: str, cohort: CohortMetrics) -> Iterator[str]:
    yield from _of_rows(cohort)
    yield from _of_cutoffs(cohort)
    if name == OUT_OF_FOLD and any(score.confusion for score in cohort.scores.values()):
        yield OF_SINGLE_FOLDS
    for column, score in cohort.scores.items():
        if score.confusion and score.cutoff.source == f"youden:{name}":
            yield f"{column}: the cut-off was chosen on these very scores, so the rates at it are optimistic"
        if score.net_benefit and score.net_benefit_caution and "is not calibrated" in score.net_benefit_caution:
            yield f"{column}: net benefit misleads, as {score.net_benefit_caution}"
        yield from (f"{column}: {sentence}" for sentence in _of_score(score))
    if cohort.survival is not None:
        yield from _of_survival(cohort.survival)
    if cohort.landmark is not None and cohort.landmark.undetermined:
        undetermined, time = cohort.landmark.undetermined, cohort.landmark.time
        who = plural(undetermined, "patient")
        yield f"{who} censored before {time:g} or at it, so whether they benefited is not known"
    if cohort.landmark is not None:
        yield from _of_landmark(cohort.landmark)


def _of_rows(cohort: CohortMetrics) -> Iterator[str]:
    """Rows that are left out of something, and rows that are not independent."""
    left_out = {
        of: sum(row.left_out_of == of for row in cohort.excluded) for of in ("everything", "labels", "survival")
    }
    if left_out["everything"]:
        yield f"{left_out['everything']} rows are left out because a value is missing"
    if left_out["labels"]:
        yield f"{left_out['labels']} rows have no label and count in survival alone"
    if left_out["survival"]:
        yield f"{left_out['survival']} rows have no follow-up and are left out of survival"
    for column, score in cohort.scores.items():
        if score.n is not None and score.n < cohort.n:
            yield f"{column}: judged on the {score.n} of {cohort.n} cases that have it"
    if cohort.patients is not None and cohort.patients < cohort.n:
        survival = "; survival takes one record a patient, the mean of its scores" if cohort.survival else ""
        yield (
            f"the {cohort.n} cases are of {cohort.patients} patients: intervals are over patients, "
            f"tests of AUCs by Obuchowski's variance{survival}"
        )
    if cohort.contradicting:
        (patient, said), more = next(iter(cohort.contradicting.items())), len(cohort.contradicting) - 1
        others = f", and so {more} more" if more else ""
        yield (
            f"patient {patient} has {said}{others}: left out of survival; write the follow-up of the patient in all of "
            "its rows"
        )


def _of_cutoffs(cohort: CohortMetrics) -> Iterator[str]:
    sources = {name: score.cutoff.source for name, score in cohort.scores.items() if score.confusion is not None}
    if len(set(sources.values())) > 1:
        said = ", ".join(f"{name} {source}" for name, source in sources.items())
        yield f"the cut-offs are not chosen by one rule ({said}), so the rates at them cannot be compared"


def _of_score(score: ScoreMetrics) -> Iterator[str]:
    if score.auc.reason:
        yield f"AUC: {score.auc.reason}"
    if score.auc.low is not None and score.auc.high is not None and score.auc.high - score.auc.low > WIDE_INTERVAL:
        yield f"the 95% interval of the AUC is wide ({score.auc.low:.2f} to {score.auc.high:.2f})"
    rarer = min(score.positives or 0, (score.n or 0) - (score.positives or 0))
    if score.auc.low is not None and score.auc.method == "delong-logit" and rarer < FEWEST_FOR_TESTS:
        yield f"the 95% interval of the AUC may be too narrow ({plural(rarer, 'case')} of the rarer class)"
    if is_below_chance(score.auc.value, score.auc.high):
        yield f"the AUC is below chance (up to {score.auc.high or 0.0:.2f}): {INVERTED}"
    if score.confusion and score.cutoff.source == "given" and score.cutoff.value is not None:
        called, calls = score.confusion.tp + score.confusion.fp, score.confusion
        if called in (0, called + calls.fn + calls.tn):
            who = "every case" if called else "no case"
            yield f"{who} is at or above the cut-off of {score.cutoff.value:g} that was given: is it on another scale?"
    if score.calibration.reason and score.auc.value is not None:
        yield f"no full calibration: {score.calibration.reason}"


def _of_survival(survival: Survival) -> Iterator[str]:
    for name, model in (("high over low", survival.cox), ("continuous", survival.cox_continuous)):
        yield from (f"Cox regression, {name}: {sentence}" for sentence in _of_cox(model))
    check = survival.proportional_hazards.p
    if check is not None and check < _FAILED_CHECK:
        yield f"the hazards are not proportional (P = {check:.3g}), so one hazard ratio does not tell all"
    events = sum(group.events for group in survival.groups.values())
    if survival.groups and 0 < events < EVENTS_PER_VARIABLE:
        yield f"only {plural(events, 'event')} for one variable; at least {EVENTS_PER_VARIABLE} are advised"


def _of_landmark(mark: Landmark) -> Iterator[str]:
    if mark.reason:
        yield f"no landmark AUC: {mark.reason}"
    lost = mark.censoring
    if lost is not None and lost.hr is not None and lost.p is not None and lost.p < _FAILED_CHECK:
        yield (
            f"who was censored by {mark.time:g} depends on the score (HR {lost.hr:.2f} per standard deviation, "
            f"P = {lost.p:.2g}), so the landmark AUC that is weighted as if it did not may be off"
        )


def _of_cox(model: HazardRatio) -> Iterator[str]:
    if model.method == "firth-profile":
        yield "the data are separated, so Firth's penalised likelihood is used"
    if model.reason:
        yield model.reason
