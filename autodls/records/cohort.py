"""The cases of a dataset folder: its table joined with its files.

Reading a cohort opens `dataset.json` and the table and lists two folders; it opens no image. `Cohort.training` is the
only set of cases that plan, preprocess and train are given.
"""

import difflib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from autodls.errors import DatasetError
from autodls.limits import MOST_COHORTS
from autodls.records.base import read_json, some_of
from autodls.records.case import Case
from autodls.records.case_id import case_id_fault
from autodls.records.cells import TableRow
from autodls.records.columns import without_codes
from autodls.records.dataset import DatasetDescription
from autodls.records.identities import in_one_spelling, misspelt_files, spelling_problems
from autodls.records.listing import IMAGES, CaseFiles, list_files, stray_problems
from autodls.records.problems import Problem, error, warning
from autodls.records.rows import (
    Row,
    concerns_training,
    id_problems,
    require_columns,
    row_cohort,
    row_label,
    row_names,
    row_patient,
    row_problems,
    row_site,
    training_cohorts,
)
from autodls.records.table import Table, read_table

TABLES = ("clinical.csv", "clinical.xlsx")


@dataclass(frozen=True)
class Cohort:
    """A dataset folder: its description and all of its cases, in the order of their ids."""

    folder: Path
    description: DatasetDescription
    cases: tuple[Case, ...]

    @property
    def training(self) -> tuple[Case, ...]:
        """Cases of the training cohort that have a label."""
        return tuple(case for case in self.cases if self.is_training(case) and case.label is not None)

    @property
    def held_out(self) -> dict[str, tuple[Case, ...]]:
        """Cases of every other cohort, by its name."""
        cohorts: defaultdict[str, list[Case]] = defaultdict(list)
        for case in self.cases:
            if not self.is_training(case):
                cohorts[case.cohort].append(case)
        return {name: tuple(cohorts[name]) for name in sorted(cohorts)}

    def is_training(self, case: Case) -> bool:
        """Whether `case` belongs to a cohort that is trained on."""
        return case.cohort in training_cohorts(self.description)


@dataclass(frozen=True)
class JoinedCohort:
    """A cohort as far as its table and its files allow, with everything that is wrong in them.

    Rows whose id is missing, unsafe or used twice are named in `problems` and left out of `cohort`. `aside` names the
    rows that are not trained on.
    """

    cohort: Cohort
    problems: tuple[Problem, ...]
    aside: frozenset[str]


def read_description(folder: Path) -> DatasetDescription:
    """Read `folder`/dataset.json; raises DatasetError."""
    path = folder / "dataset.json"
    absent = "a dataset folder holds dataset.json, clinical.csv, imagesTr/ and labelsTr/ (name it with -d)"
    repair = "correct it in this file" if path.exists() else absent
    description = DatasetDescription.parse(read_json(path, repair, DatasetError), str(path), repair, DatasetError)
    if description.roi_channel not in description.sequences:
        raise DatasetError(
            f"{path}: autodls.roi_channel '{description.roi_channel}' is not one of the channels "
            f"{list(description.sequences)}; name one of them"
        )
    try:
        labels = description.roi_labels
    except DatasetError as failure:
        raise DatasetError(f"{path}: {failure}") from None
    if description.autodls.lesions == "labels" and len(labels) < 2:
        raise DatasetError(
            f'{path}: autodls.lesions is "labels", a value of the ROI a lesion, and the tumour has {sorted(labels)} '
            'alone; give labels a name for each lesion, or write "lesions": "components"'
        )
    return description


def read_cohort(folder: Path, strict: Literal["training", "all"] = "training") -> Cohort:
    """Read the cases of a dataset folder.

    Raises DatasetError, which names the first problem and counts the others. Unless `strict` is "all", problems of
    cases that are not trained on are passed over, so that nothing in a held-out row disturbs plan and train: its label
    is None where it cannot be read.
    """
    joined = join_cohort(folder)
    passed_over = joined.aside if strict == "training" else frozenset()
    errors = [problem for problem in joined.problems if problem.is_error and problem.case not in passed_over]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise DatasetError(f"{folder}: {errors[0]}{more}; `autodls check` lists every problem")
    return joined.cohort


def join_cohort(folder: Path) -> JoinedCohort:
    """Join the table of a dataset folder with its files, and collect what is wrong; opens no image.

    Raises DatasetError only where there is nothing to join: no description, no table, no images, a column missing.
    """
    description = read_description(folder)
    rows = _read_rows(folder, description)
    listing = list_files(folder)
    names = row_names(rows, description)
    rows_of = Counter(names)
    known = frozenset(names)
    trained = [concerns_training(row, description) for row in rows]
    aside = known - {name for name, mark in zip(names, trained, strict=True) if mark}
    cases = tuple(
        _case(name, row, description, listing.files_of(name, description, known))
        for name, row in sorted(
            zip(names, in_one_spelling(rows, trained, description), strict=True), key=lambda pair: pair[0]
        )
        if rows_of[name] == 1 and case_id_fault(name) is None
    )
    strays = stray_problems(listing, description, known)
    gaps = {problem.case: f"{problem.what}; {problem.repair}" for problem in strays if _is_image_error(problem)}
    cases = tuple(replace(case, gap=gaps[case.id]) if case.id in gaps else case for case in cases)
    cohort = Cohort(folder, description, cases)
    problems = [
        *id_problems(names, aside),
        *(found for name, row in zip(names, rows, strict=True) for found in row_problems(name, row, description)),
        *(_no_image(case) for case in cases if not case.images and case.gap is None),
        *strays,
        *spelling_problems(names, rows, description),
        *(problem for problem in misspelt_files(known, description, listing) if problem.case not in gaps),
        *(warning("", note, "see that the table is read as it is meant") for note in rows.notes),
        *_cohort_problems(cohort),
    ]
    return JoinedCohort(cohort, tuple(sorted(problems)), aside)


def table_path(folder: Path) -> Path:
    """The table of a dataset folder, a workbook where there is one; raises DatasetError where there are two tables."""
    there = [folder / name for name in TABLES if (folder / name).exists()]
    if len(there) > 1:
        raise DatasetError(f"{folder}: holds {TABLES[0]} and {TABLES[1]}; keep the one that is the table of the study")
    return there[0] if there else folder / TABLES[0]


def _read_rows(folder: Path, description: DatasetDescription) -> Table:
    """The rows of the table, the codes that dataset.json calls missing emptied."""
    path = table_path(folder)
    rows = read_table(path)
    require_columns(rows, description, path)
    missing = description.autodls.missing
    return Table((TableRow(without_codes(row, missing), row.number) for row in rows), rows.notes)


def _case(name: str, row: Row, description: DatasetDescription, files: CaseFiles) -> Case:
    try:
        label = row_label(row, description)
    except ValueError:
        label = None
    patient, site = row_patient(name, row, description), row_site(row, description)
    cohort = row_cohort(row, description)
    return Case(name, patient, site, cohort, label, files.images, files.roi, files.rois, row)


def _is_image_error(problem: Problem) -> bool:
    return problem.is_error and problem.what.startswith(IMAGES)


def _no_image(case: Case) -> Problem:
    return error(case.id, "it has no image", f"add imagesTr/{case.id}_0000... or remove its row")


def _cohort_problems(cohort: Cohort) -> list[Problem]:
    """What makes training impossible or its judgement worthless, though every case be sound."""
    return [
        *_patients_on_both_sides(cohort),
        *_nothing_to_learn(cohort.training, cohort),
        *_unknown_cohorts(cohort),
        *_telling_columns(cohort.description),
        *(
            error("", f"no training case has sequence '{sequence}'", "add its images, or take it out of channel_names")
            for sequence in cohort.description.sequences
            if cohort.training and not any(sequence in case.images or case.gap for case in cohort.training)
        ),
    ]


def _patients_on_both_sides(cohort: Cohort) -> list[Problem]:
    held_out: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cohort.cases:
        if not cohort.is_training(case):
            held_out[case.patient].append(case)
    return [
        error(
            case.id,
            f"its patient '{case.patient}' is also in cohort '{held_out[case.patient][0].cohort}' "
            f"(case {held_out[case.patient][0].id})",
            "keep all cases of a patient in one cohort",
        )
        for case in cohort.cases
        if cohort.is_training(case) and case.patient in held_out
    ]


def _nothing_to_learn(training: Sequence[Case], cohort: Cohort) -> list[Problem]:
    target = cohort.description.autodls.target
    rule = f"'{target.rule}'"
    if not training:
        names = some_of(repr(name) for name in training_cohorts(cohort.description))
        found = some_of(sorted({repr(case.cohort) for case in cohort.cases}))
        repair = "correct the cohort names in dataset.json, or fill in labels"
        return [error("", f"no case of cohort {names} has a label (cohorts found: {found})", repair)]
    if len({case.label for case in training}) == 1:
        side = "positive" if training[0].label else "negative"
        return [error("", f"every training case is {side} by {rule}", "correct the rule; training needs both classes")]
    return []


def _unknown_cohorts(cohort: Cohort) -> list[Problem]:
    """Names that dataset.json trains on and no row has: misspelt, their cases would count as held out."""
    found = sorted({case.cohort for case in cohort.cases})
    known = set(found)
    unknown = [name for name in training_cohorts(cohort.description) if name not in known]
    if len(found) > MOST_COHORTS:
        what = f"its table has {len(found)} cohorts, expected at most {MOST_COHORTS}"
        return [error("", what, "name the column that holds them in dataset.json, under autodls.cohort")]
    if not cohort.training:
        return []  # which says the same of all of them
    return [
        error(
            "",
            f"no row is of cohort '{name}', which autodls.cohort.training names (cohorts found: {some_of(found)})",
            f"correct it in dataset.json{_did_you_mean(name, found)}, or take it out",
        )
        for name in unknown
    ]


def _telling_columns(description: DatasetDescription) -> list[Problem]:
    """Clinical variables that are the target or the outcome: the clinical baseline would be told what it predicts."""
    settings = description.autodls
    follow_up = (settings.survival.time, settings.survival.event) if settings.survival else ()
    return [
        error("", f"autodls.clinical holds '{column}', which is the target or the follow-up", "take it out of clinical")
        for column in dict.fromkeys(settings.clinical)
        if column in (settings.target.column, *follow_up)
    ]


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""
