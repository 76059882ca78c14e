"""New case ids for studies, and ids.csv, which alone ties them to patients.

Patients are numbered in the order of a hash, so that numbers say nothing of names or dates; those that ids.csv knows
keep theirs, by their `key`. A study is a case: P0001, or P0001-2 where the patient has several.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autodls.dicom.headers import Person
from autodls.records.case_id import skeleton
from autodls.records.scores import csv_text
from autodls.records.table import read_table

COLUMNS = ("case", "patient", "patient_id", "issuer", "study_uid", "study_date", "key")
_PREFIXES = ("P", "C", "X", "Q", "Z")
_NUMBERED = re.compile(rf"([{''.join(_PREFIXES)}])(\d{{4,}})", re.ASCII)
_KEY = re.compile(r"x[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class StudyCase:
    """A study: the case that it becomes, and the patient that it is of, under the new number and the old id."""

    case: str
    patient: str
    person: Person
    study: str
    date: str


def patient_key(person: Person, study: str) -> tuple[str, ...]:
    """What makes two files one patient's: the id with who issued it; without one, name and birth date, or the study."""
    if person.patient_id:
        return ("id", person.issuer, person.patient_id)
    if person.name and person.birth_date:
        return ("name", person.name, person.birth_date)
    return ("study", study)


def number_cases(
    studies: Mapping[str, Person], dates: Mapping[str, str], known: Mapping[str, str]
) -> dict[str, StudyCase]:
    """The case of each study; `known` holds new numbers of patients by the hash of what they are known by."""
    patients: defaultdict[str, list[str]] = defaultdict(list)
    for study, person in studies.items():
        patients[_hash(patient_key(person, study))].append(study)
    numbers = dict(known)
    matched = [found for name in known.values() if (found := _NUMBERED.fullmatch(name))]
    last, prefix = max((int(found[2]) for found in matched), default=0), _prefix(studies.values())
    for key in sorted(set(patients) - set(numbers)):
        last += 1
        numbers[key] = f"{prefix}{last:04d}"
    cases = {}
    for key, own in patients.items():
        for number, study in enumerate(sorted(own, key=lambda one: (dates.get(one, ""), one)), start=1):
            case = numbers[key] if len(own) == 1 else f"{numbers[key]}-{number}"
            cases[study] = StudyCase(case, numbers[key], studies[study], study, dates.get(study, ""))
    return cases


def _prefix(people: Iterable[Person]) -> str:
    """A letter that the old ids do not begin with: a new P0001 must not be taken for somebody's old one."""
    old = [person.patient_id for person in people]
    free = (one for one in _PREFIXES if not any(re.fullmatch(rf"{one}[-_ ]?\d+", name, re.IGNORECASE) for name in old))
    return next(free, _PREFIXES[0])


def _hash(key: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(key).encode(errors="replace")).hexdigest()


def read_known(path: Path) -> dict[str, str]:
    """New numbers of patients by their hash, as an ids.csv has them; none where it is not there."""
    if not path.exists():
        return {}
    found = {}
    for row in read_table(path):
        if _KEY.fullmatch(row.get("key", "")) and _NUMBERED.fullmatch(row.get("patient", "")):
            found[row["key"][1:]] = row["patient"]
    return found


def ids_text(cases: Iterable[StudyCase]) -> str:
    """The text of ids.csv."""
    ordered = sorted(cases, key=lambda one: (one.case, one.study))
    lines = [
        (
            one.case,
            one.patient,
            one.person.patient_id,
            one.person.issuer,
            one.study,
            one.date,
            f"x{_hash(patient_key(one.person, one.study))}",
        )
        for one in ordered
    ]
    return csv_text(COLUMNS, lines)


def names_somebody(case: str, people: Sequence[Person]) -> bool:
    """Whether a case id is a patient's id or part of a patient's name, as it stands or as a person would read it.

    >>> jane = [Person("4711", "", "Doe^Jane", "")]
    >>> names_somebody("doe", jane), names_somebody("P4711", jane)
    (True, False)
    """
    words = set()
    for person in people:
        words |= {person.patient_id, person.name, person.birth_date, *re.split(r"[\^= ,]+", person.name)}
    return skeleton(case) in {skeleton(word) for word in words if len(word) > 1}
