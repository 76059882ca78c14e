"""`autodls check`: every problem of a whole dataset at once, each with its repair."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autodls.parallel import Advance, map_parallel, no_advance
from autodls.planning.check_columns import column_problems
from autodls.planning.check_images import CaseTask, check_case, unused_roi_problems
from autodls.planning.check_looks import look_problems
from autodls.planning.check_table import label_problems, patient_problems, survival_problems
from autodls.planning.check_telling import telling_problems
from autodls.planning.copies import copy_problems
from autodls.records.case import Case
from autodls.records.cohort import Cohort, join_cohort
from autodls.records.problems import Problem


@dataclass(frozen=True)
class CohortCount:
    """How many cases a cohort has; `missing` counts the cases without each sequence."""

    cases: int
    patients: int
    positives: int
    negatives: int
    unlabelled: int
    missing: dict[str, int]


@dataclass(frozen=True)
class CheckReport:
    """What a dataset holds, by cohort, and what is wrong with it, by case."""

    dataset: str
    cohorts: dict[str, CohortCount]
    problems: tuple[Problem, ...]

    @property
    def cases_by_cohort(self) -> dict[str, int]:
        """Number of cases of each cohort."""
        return {name: count.cases for name, count in self.cohorts.items()}

    @property
    def missing_sequences(self) -> dict[str, int]:
        """Cases without each sequence, over all cohorts."""
        counts = list(self.cohorts.values())
        sequences = counts[0].missing if counts else {}
        return {sequence: sum(count.missing[sequence] for count in counts) for sequence in sequences}

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that have to be repaired."""
        return tuple(problem for problem in self.problems if problem.is_error)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Problems to know of."""
        return tuple(problem for problem in self.problems if not problem.is_error)


def check_dataset(folder: Path, workers: int = 1, advance: Advance = no_advance) -> CheckReport:
    """Check the table, the files and every image of a dataset, held-out cohorts included.

    `advance` is called with the id of each case whose images have been read. Raises DatasetError only where there is
    nothing to check: no dataset.json, no table, no images, or a column that the table lacks.
    """
    joined = join_cohort(folder)
    cohort, description = joined.cohort, joined.cohort.description
    tasks = [
        CaseTask(case, folder, description.roi_channel, description.roi_labels, case.id not in joined.aside)
        for case in cohort.cases
    ]
    findings = map_parallel(check_case, tasks, [case.id for case in cohort.cases], workers, advance)
    problems = [
        *joined.problems,
        *label_problems(description),
        *patient_problems(cohort.cases),
        *survival_problems(cohort.cases, description),
        *column_problems(cohort.cases, description),
        *telling_problems(cohort.cases, description),
        *(problem for finding in findings for problem in finding.problems),
        *copy_problems(finding.voxels for finding in findings),
        *unused_roi_problems(cohort.cases),
        *look_problems(findings),
    ]
    return CheckReport(description.name, _counts(cohort), tuple(sorted(problems)))


def table_warnings(folder: Path) -> tuple[Problem, ...]:
    """What `check` warns of without a look at an image, and `plan` does not say itself: the table, and files' names.

    Held-out rows have no part in it. Raises DatasetError where `check_dataset` does.
    """
    joined = join_cohort(folder)
    description = joined.cohort.description
    cases = [case for case in joined.cohort.cases if case.id not in joined.aside]
    problems = [
        *(problem for problem in joined.problems if problem.case not in joined.aside),
        *survival_problems(cases, description),
        *column_problems(cases, description),
    ]
    return tuple(problem for problem in problems if not problem.is_error)


def _counts(cohort: Cohort) -> dict[str, CohortCount]:
    members: defaultdict[str, list[Case]] = defaultdict(list)
    for case in sorted(cohort.cases, key=lambda case: (not cohort.is_training(case), case.cohort)):
        members[case.cohort].append(case)
    return {name: _count(cases, cohort.description.sequences) for name, cases in members.items()}


def _count(cases: Sequence[Case], sequences: Sequence[str]) -> CohortCount:
    labels = [case.label for case in cases]
    return CohortCount(
        cases=len(cases),
        patients=len({case.patient for case in cases}),
        positives=labels.count(True),
        negatives=labels.count(False),
        unlabelled=labels.count(None),
        missing={sequence: sum(sequence not in case.images for case in cases) for sequence in sequences},
    )
