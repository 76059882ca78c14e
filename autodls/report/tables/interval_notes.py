"""Notes of tables: which intervals are not of independent cases, and what they are of."""

from autodls.evaluation.metrics_record import CohortMetrics, Metrics
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.shared_folds import is_of_folds, meaning_of
from autodls.report.naming import cohort_label


def is_over_patients(cohort: CohortMetrics, score: str) -> bool:
    """Whether the intervals of `score` in `cohort` are of a bootstrap over patients, as some have several rows."""
    return cohort.scores[score].auc.method.startswith("bootstrap-patients")


def out_of_fold(metrics: Metrics) -> list[str]:
    """What the interval of out-of-fold AUCs is of, for every cohort that has some."""
    methods = {name: cohort.scores[metrics.reference].auc.method for name, cohort in metrics.cohorts.items()}
    found = [f"{cohort_label(name)}: {meaning_of(method)}" for name, method in methods.items() if is_of_folds(method)]
    return found or [
        f"{cohort_label(name)}: {meaning_of(method)}" for name, method in methods.items() if name == OUT_OF_FOLD
    ]


def over_patients(metrics: Metrics) -> list[str]:
    """A note for every cohort whose intervals are over patients."""
    return [
        f"{cohort_label(name)}: {cohort.n} cases of {cohort.patients} patients, so intervals of AUCs are of a "
        "bootstrap over patients, those of rates Wilson's for as many independent cases as the rows are worth"
        for name, cohort in metrics.cohorts.items()
        if is_over_patients(cohort, metrics.reference)
    ]
