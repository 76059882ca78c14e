"""Patients of a cohort by class: what every count rests on that says how much the cohort can show."""

from collections import Counter
from collections.abc import Iterable, Sequence

from autodls.records.case import Case
from autodls.records.fingerprint import PatientCounts


def count_patients(cases: Sequence[Case]) -> PatientCounts | None:
    """Patients of labelled `cases` by class; None where every case is a patient of its own."""
    positive = Counter(case.patient for case in cases if case.label)
    negative = Counter(case.patient for case in cases if not case.label)
    if len(positive | negative) == len(cases):
        return None
    return PatientCounts(
        positive=len(positive),
        negative=len(negative),
        both=len(positive.keys() & negative.keys()),
        effective_positive=effective_cases(positive.values()),
        effective_negative=effective_cases(negative.values()),
    )


def effective_cases(cases_of_patients: Iterable[int]) -> float:
    """How many independent cases these are worth, were those of one patient to say the same.

    Kish, Survey Sampling, Wiley 1965: n / (sum of m^2 / n), n cases of which a patient has m. As many as patients where
    all have the same number, fewer where one has most of them.

    >>> effective_cases([4, 4, 4, 4]), round(effective_cases([20, 1, 1, 1]), 2)
    (4.0, 1.31)
    """
    counts = list(cases_of_patients)
    return round(sum(counts) ** 2 / sum(count**2 for count in counts), 4) if counts else 0.0
