"""How many cases the table of a study has, how many are left out and why, and who remains in each cohort."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from autodls.errors import ArgumentError
from autodls.evaluation.metrics_record import Metrics
from autodls.records.case import Case
from autodls.records.cells import is_missing
from autodls.records.cohort import Cohort


@dataclass(frozen=True)
class FlowCohort:
    """Cases of one cohort that are analysed, and their patients where these are known to be fewer."""

    name: str
    positives: int
    negatives: int
    unlabelled: int = 0
    patients: int | None = None

    @property
    def n(self) -> int:
        """All of them."""
        return self.positives + self.negatives + self.unlabelled


@dataclass(frozen=True)
class Flow:
    """Cases in the table, those excluded by reason, and the cohorts of the others.

    Raises ArgumentError where the numbers do not add up.
    """

    in_table: int
    excluded: Mapping[str, int]
    cohorts: tuple[FlowCohort, ...]

    def __post_init__(self) -> None:
        if self.in_table - sum(self.excluded.values()) != self.analysed:
            raise ArgumentError(
                f"cohort flow: {self.in_table} cases less {sum(self.excluded.values())} excluded are not the "
                f"{self.analysed} of the cohorts; count each case once"
            )

    @property
    def analysed(self) -> int:
        """Cases of all cohorts."""
        return sum(cohort.n for cohort in self.cohorts)


def flow_of_dataset(cohort: Cohort) -> Flow:
    """The flow of a dataset folder.

    A case is excluded that has no image, that has no label in the training cohort, or that has neither label nor
    follow-up in a held-out cohort.
    """
    reasons = {case.id: _exclusion(case, cohort) for case in cohort.cases}
    kept = [case for case in cohort.cases if reasons[case.id] is None]
    names = dict.fromkeys(case.cohort for case in sorted(kept, key=lambda case: not cohort.is_training(case)))
    cohorts = [_count(name, [case for case in kept if case.cohort == name]) for name in names]
    excluded = Counter(reason for reason in reasons.values() if reason is not None)
    return Flow(len(cohort.cases), dict(excluded), tuple(cohorts))


def flow_of_scores(metrics: Metrics, without_cohort: int = 0) -> Flow:
    """The flow of a table of scores; `without_cohort` rows of it name no cohort.

    A row that lacks one score of several, or its follow-up, is not excluded: it is judged by the others.
    """
    left_out = [row for cohort in metrics.cohorts.values() for row in cohort.excluded]
    excluded = Counter(row.reason for row in left_out if row.left_out_of in ("everything", "labels"))
    if without_cohort:
        excluded["no cohort named"] += without_cohort
    cohorts = []
    for name, cohort in metrics.cohorts.items():
        positives = cohort.positives or 0
        negatives = 0 if cohort.positives is None else cohort.n - positives
        cohorts.append(FlowCohort(name, positives, negatives, cohort.n - positives - negatives))
    total = sum(count.n for count in cohorts) + sum(excluded.values())
    return Flow(total, dict(excluded), tuple(cohorts))


def _exclusion(case: Case, cohort: Cohort) -> str | None:
    if not case.images:
        return "no image"
    if case.label is not None:
        return None
    if cohort.is_training(case):
        return "no label"
    survival = cohort.description.autodls.survival
    followed = survival is not None and not (
        is_missing(case.row[survival.time]) or is_missing(case.row[survival.event])
    )
    return None if followed else "neither label nor follow-up"


def _count(name: str, cases: list[Case]) -> FlowCohort:
    labels, patients = [case.label for case in cases], len({case.patient for case in cases})
    fewer = patients if patients < len(cases) else None
    return FlowCohort(name, labels.count(True), labels.count(False), labels.count(None), fewer)
