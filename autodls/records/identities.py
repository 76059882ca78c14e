"""Names of patients, sites, cohorts and files: what is one to a person may be two to a program."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from autodls.records.case_id import look_alikes, mixes_scripts, skeleton
from autodls.records.cells import is_missing
from autodls.records.dataset import DatasetDescription
from autodls.records.listing import IMAGES, LABELS, Listing
from autodls.records.problems import Problem, error, warning
from autodls.records.rows import Row, training_cohorts

_ROUNDED = re.compile(r"\d(?:\.\d+)?[eE]\+\d+", re.ASCII)  # what a spreadsheet makes of a number of 12 digits or more
_MOST_SPELT = 10
_CHANNEL = re.compile(r"_\d{4}$", re.ASCII)


def spelling_problems(names: Sequence[str], rows: Sequence[Row], description: DatasetDescription) -> list[Problem]:
    """Patients, sites and cohorts in two spellings, or in a doubtful one.

    `names` are the case ids of `rows`. Patients and sites in two spellings are taken for one (`in_one_spelling`), which
    is told; of cohorts it is an error, for one of the two may be trained on.
    """
    settings = description.autodls
    cohort = settings.cohort.column if settings.cohort else None
    columns = [column for column in (settings.patient, settings.site, cohort) if column is not None]
    return [
        *(_alike(rows, settings.patient, "patient") if settings.patient else ()),
        *(_alike(rows, settings.site, "site") if settings.site else ()),
        *(_alike_cohorts(names, rows, cohort, training_cohorts(description)) if cohort else ()),
        *(problem for column in columns for problem in _doubtful(column, rows)),
        *(problem for column in columns if column != settings.patient for problem in _words(column, rows)),
    ]


def in_one_spelling(rows: Sequence[Row], trained: Sequence[bool], description: DatasetDescription) -> list[Row]:
    """The rows with each patient and each site in one spelling.

    That of the `trained` rows wins, so that no held-out row changes what is planned and trained.

    >>> settings = {"patient": "id", "target": {"name": "t", "column": "y", "positive": "> 0"}}
    >>> description = DatasetDescription.model_validate(
    ...     {"channel_names": {"0": "T1"}, "labels": {"background": 0, "tumour": 1}, "autodls": settings})
    >>> rows = [Row({"id": patient}, at) for at, patient in enumerate(("7.0", "7", "014"), start=2)]
    >>> [row["id"] for row in in_one_spelling(rows, [False, True, True], description)]
    ['7', '7', '014']
    """
    settings = description.autodls
    changed = [Row(row, row.number) for row in rows]
    for column in (settings.patient, settings.site):
        if column is not None:
            ranked = sorted((not mark, row[column]) for row, mark in zip(rows, trained, strict=True))
            chosen: dict[str, str] = {}
            for _, value in ranked:
                chosen.setdefault(skeleton(value), value)
            for row in changed:
                row[column] = chosen[skeleton(row[column])]
    return changed


def misspelt_files(names: Collection[str], description: DatasetDescription, listing: Listing) -> list[Problem]:
    """Files of no case whose name is that of a case in another spelling, as 014_0000.nii.gz of case 14."""
    cases, names = {skeleton(name): name for name in names}, frozenset(names)
    ending, found = description.file_ending, dict[str, Problem]()
    for folder, files in ((IMAGES, listing.images), (LABELS, listing.labels)):
        for file in sorted(name for name in files if name.endswith(ending)):
            stem = file.removesuffix(ending)
            owner = _CHANNEL.sub("", stem)
            case = cases.get(skeleton(owner))
            if case is not None and not {owner, stem} & names:
                what = f"{folder}/{file} belongs to '{owner}', which is this case's id in another spelling"
                found.setdefault(case, error(case, what, "write the id in the table as in the names of its files"))
    return list(found.values())


def _alike(rows: Sequence[Row], column: str, kind: str) -> Iterable[Problem]:
    first = _first_rows(rows, column)
    for group in look_alikes(row[column] for row in rows if row[column]):
        what = f"column '{column}' holds {_spellings(group, first)}, which look alike and count as one {kind}"
        yield warning("", what, f"write them alike, or rename one if they are two {kind}s")


def _alike_cohorts(
    names: Sequence[str], rows: Sequence[Row], column: str, training: Collection[str]
) -> Iterable[Problem]:
    """An error of the dataset where one spelling is trained on, else of a held-out case."""
    first, having = _first_rows(rows, column), defaultdict[str, list[str]](list)
    for name, row in zip(names, rows, strict=True):
        having[row[column]].append(name)
    for group in look_alikes([*(row[column] for row in rows), *training]):
        case = min(name for value in group for name in having[value])
        what = f"column '{column}' holds {_spellings(group, first)}, which look alike: one cohort would be two"
        yield error("" if set(group) & set(training) else case, what, "write them alike, or rename one if they are two")


def _first_rows(rows: Sequence[Row], column: str) -> dict[str, int]:
    """The number of the first row that has each value of `column`."""
    return {row[column]: row.number for row in reversed(rows)}


def _spellings(group: Sequence[str], first: Mapping[str, int]) -> str:
    """Such as "'7' (row 2) and '7.0' (row 5)"; a cohort that no row has is named by dataset.json."""
    more = f" and {len(group) - _MOST_SPELT} more" if len(group) > _MOST_SPELT else ""
    spelt = (
        f"{value!a} ({f'row {first[value]}' if value in first else 'dataset.json'})" for value in group[:_MOST_SPELT]
    )
    return " and ".join(spelt) + more


def _doubtful(column: str, rows: Sequence[Row]) -> Iterable[Problem]:
    values = sorted({row[column] for row in rows})
    for value in filter(mixes_scripts, values):
        what = f"column '{column}' holds {value!a}, which mixes Latin with Cyrillic or Greek letters"
        yield warning("", what, "write it in one script, as the others are")
    for value in filter(_ROUNDED.fullmatch, values):
        what = f"column '{column}' holds '{value}', as a spreadsheet writes a long number that it has rounded"
        yield warning("", what, "write the ids anew, in a column that is formatted as text")


def _words(column: str, rows: Sequence[Row]) -> Iterable[Problem]:
    """Names that elsewhere mean that nothing is known: a site NA is read as it stands."""
    for value in sorted({row[column] for row in rows if row[column] and is_missing(row[column])}):
        count = sum(row[column] == value for row in rows)
        what = f"column '{column}' holds '{value}' in {count} {'row' if count == 1 else 'rows'}, read as a name"
        yield warning("", what, "empty these cells if it means that nothing is known")
