"""Everything a paper reports about scores: the computation behind `metrics.json`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autodls.errors import ArgumentError
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.binary import (
    brier,
    confusion_at,
    not_probabilities,
    scaled_brier,
    youden_cutoff,
    youden_index,
)
from autodls.evaluation.calibration import calibration, why_not_shown_calibrated
from autodls.evaluation.caveats import caveats
from autodls.evaluation.clusters import is_clustered
from autodls.evaluation.cohort_survival import NO_CUTOFF, cohort_landmark, cohort_survival
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.comparisons import NO_LABEL, NO_SCORE, comparisons, overall_test
from autodls.evaluation.decision_curve import net_benefit
from autodls.evaluation.delong import Patients, auc_with_ci
from autodls.evaluation.intervals import brier_interval, printed_auc, printed_rates
from autodls.evaluation.metrics_record import CohortMetrics, Metrics
from autodls.evaluation.own_cutoff import rates_at_own_cutoff
from autodls.evaluation.results import Auc, Calibration, Cutoff, Estimate, PlainAuc, Rate, ScoreMetrics
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.subsets import contradictions, judged_by, judged_rows


@dataclass(frozen=True)
class Choices:
    """What the person chose: cut-offs by score, the cohort whose Youden cut-off the others take, the landmark time.

    `seed` draws the resamples of bootstraps. A cross-validation made the scores of the cohorts `out_of_fold`, which no
    table tells by itself.
    """

    cutoffs: Mapping[str, float] = field(default_factory=dict)
    cutoff_from: str | None = None
    landmark: float | None = None
    seed: int = 0
    out_of_fold: Collection[str] = ()


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
        cutoffs = {
            score: _cutoff(table.cohorts[source], score, source, choices, own=source == name) for score in table.scores
        }
        judged = replace(cohort, out_of_fold=cohort.out_of_fold or name in choices.out_of_fold)
        cohorts[name] = cohort_metrics(judged, cutoffs, choices.landmark, seed=choices.seed)
    warnings = (*table.warnings, *caveats(cohorts))
    return Metrics(reference=table.scores[0], cohorts=cohorts, warnings=warnings)


def cohort_metrics(
    cohort: CohortTable,
    cutoffs: Mapping[str, Cutoff],
    landmark: float | None = None,
    compared: Sequence[str] | None = None,
    seed: int = 0,
) -> CohortMetrics:
    """All metrics of one cohort; `cutoffs` holds every score, the reference first.

    Each score is judged on all rows that have it, each comparison on the rows that have both. `compared` names the
    scores that are compared, all when None; `seed` draws the resamples of bootstraps.
    """
    reference = next(iter(cutoffs))
    names = list(cutoffs) if compared is None else compared
    judged = judged_rows(cohort)
    n = int(judged.sum())
    positives = None if cohort.labels is None else int(cohort.labels[judged].sum())
    return CohortMetrics(
        n=n,
        patients=None if cohort.patients is None else len({cohort.patients[at] for at in judged.nonzero()[0]}),
        contradicting=dict(contradictions(cohort, reference)),
        positives=positives,
        prevalence=None if positives is None or not n else positives / n,
        excluded=cohort.excluded,
        scores={name: _of_score(cohort, name, cutoff, seed) for name, cutoff in cutoffs.items()},
        comparisons=comparisons(cohort, names),
        global_test=overall_test(cohort, names),
        survival=cohort_survival(cohort, reference, cutoffs[reference]),
        landmark=cohort_landmark(cohort, reference, landmark, seed),
    )


def score_metrics(
    labels: Bools,
    scores: Floats,
    cutoff: Cutoff,
    patients: Patients = None,
    seed: int = 0,
    *,
    out_of_fold: bool = False,
) -> ScoreMetrics:
    """Discrimination, classification at `cutoff`, calibration and net benefit of one score (n,).

    `patients` (n,) names the patient of each row, so that intervals are over patients where some have several rows;
    `out_of_fold` says that a cross-validation made the scores.
    """
    estimate = auc_with_ci(labels, scores, patients=patients, out_of_fold=out_of_fold)
    confusion = None if cutoff.value is None or not len(labels) else confusion_at(labels, scores, cutoff.value)
    reason = "there are no cases" if cutoff.value is not None else NO_CUTOFF
    rates = _null_rates(reason)
    if confusion is not None and cutoff.value is not None:
        rates = printed_rates(labels, scores, cutoff.value, patients)
        if cutoff.own and cutoff.source.startswith("youden"):
            rates = rates_at_own_cutoff(rates, labels, scores, patients, seed)
    error, calibrated = brier(labels, scores), calibration(labels, scores, patients)
    reasons = {} if confusion else {"confusion": reason}
    if unfit := not_probabilities(scores):
        reasons |= {"brier": unfit, "net_benefit": unfit}
    return ScoreMetrics(
        n=len(labels),
        positives=int(labels.sum()),
        auc=printed_auc(labels, scores, estimate, patients, seed),
        auc_delong=PlainAuc(
            value=estimate.value,
            low=estimate.plain_low,
            high=estimate.plain_high,
            variance=estimate.variance,
            reason=estimate.reason if estimate.variance is None else None,
            method="delong-obuchowski" if is_clustered(patients) else "delong",
        ),
        cutoff=cutoff,
        confusion=confusion,
        sensitivity=rates["sensitivity"],
        specificity=rates["specificity"],
        ppv=rates["ppv"],
        npv=rates["npv"],
        accuracy=rates["accuracy"],
        youden=youden_index(confusion) if confusion else Estimate(reason=reason),
        brier=error.value,
        brier_interval=None if unfit else brier_interval(labels, scores, patients, seed),
        brier_scaled=scaled_brier(labels, scores).value,
        calibration=calibrated,
        net_benefit=net_benefit(labels, scores),
        net_benefit_caution=None if unfit else why_not_shown_calibrated(calibrated),
        reasons=reasons,
    )


def _of_score(cohort: CohortTable, name: str, cutoff: Cutoff, seed: int) -> ScoreMetrics:
    if cohort.labels is not None and name in cohort.scores:
        held = judged_by(cohort, name)
        if held.labels is not None:
            return score_metrics(
                held.labels, held.scores[name], cutoff, held.patients, seed, out_of_fold=held.out_of_fold
            )
    reason = NO_LABEL if cohort.labels is None else NO_SCORE
    nothing = Rate(reason=reason)
    return ScoreMetrics(
        auc=Auc(reason=reason),
        auc_delong=PlainAuc(reason=reason),
        cutoff=cutoff,
        confusion=None,
        sensitivity=nothing,
        specificity=nothing,
        ppv=nothing,
        npv=nothing,
        accuracy=nothing,
        youden=Estimate(reason=reason),
        brier=None,
        calibration=Calibration(reason=reason),
        net_benefit=None,
        reasons=dict.fromkeys(("confusion", "brier", "net_benefit"), reason),
    )


def _null_rates(reason: str) -> dict[str, Rate]:
    return dict.fromkeys(("sensitivity", "specificity", "ppv", "npv", "accuracy"), Rate(reason=reason))


def _cutoff(source: CohortTable, score: str, name: str, choices: Choices, own: bool) -> Cutoff:
    if score in choices.cutoffs:
        return Cutoff(value=choices.cutoffs[score], source="given")
    if source.labels is None or score not in source.scores:
        return Cutoff(source=f"youden:{name}", reason=NO_LABEL if source.labels is None else NO_SCORE)
    held = judged_by(source, score)
    value = None if held.labels is None else youden_cutoff(held.labels, held.scores[score])
    reason = None if value is not None else f"cohort {name} does not hold both classes"
    return Cutoff(value=value, source=f"youden:{name}", own=own, reason=reason)


def _check(table: ScoreTable, choices: Choices) -> None:
    if strange := [name for name in choices.cutoffs if name not in table.scores]:
        raise ArgumentError(f"cut-off for '{strange[0]}', which is not one of the scores {list(table.scores)}")
    if choices.cutoff_from is not None and choices.cutoff_from not in table.cohorts:
        raise ArgumentError(
            f"--cutoff-from {choices.cutoff_from}: the cohorts are {list(table.cohorts)}; name one of them"
        )
    if strange := [name for name in choices.out_of_fold if name not in table.cohorts]:
        raise ArgumentError(
            f"--out-of-fold {strange[0]}: the cohorts are {list(table.cohorts)}; name those scored out of fold"
        )
    if choices.landmark is not None and all(cohort.times is None for cohort in table.cohorts.values()):
        raise ArgumentError(f"--landmark {choices.landmark:g}: no cohort has follow-up; name --time and --event")
