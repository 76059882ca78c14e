"""What the columns of a table are: a proposal for each, and whether it is a guess."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autodls.errors import DatasetError
from autodls.records.base import some_of
from autodls.records.cells import POSITIVE_TEXTS, is_missing
from autodls.records.columns import number_in

NO_COLUMN = "none"
_PATIENT = ("patient", "patient_id", "patientid", "pat_id", "subject", "subject_id", "mrn")
_SITE = ("site", "center", "centre", "hospital", "institution", "institute")
_COHORT = ("cohort", "set", "split", "subset", "partition", "group_set", "dataset")
_TRAINING = ("train", "training", "development", "dev", "derivation", "internal", "discovery", "primary")
_HELD_OUT = ("test", "testing", "external", "validation", "val", "internal test", "external validation", "temporal")
_CLINICAL = (
    "age", "sex", "gender", "bmi", "ecog", "smoking", "alcohol", "hpv", "grade", "stage", "t_stage", "n_stage",
    "m_stage", "tnm_stage", "tumor_site", "tumour_site", "laterality", "side",
)  # fmt: skip
_NEGATIVE = ("0", "no", "n", "false", "negative", "neg", "low", "absent", "benign", "wildtype", "wild-type", "wt", "-")
_MOST_COHORTS = 6
_MOST_LEVELS = 12


@dataclass(frozen=True)
class Proposed:
    """A value, why, and whether it was guessed."""

    value: str
    why: str
    guessed: bool = False


class OnlyAPersonKnowsError(DatasetError):
    """What no name or cell says: `key` is that of the choice, and without an answer there is no dataset."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def require_column(rows: Sequence[Mapping[str, str]], name: str, option: str, table: str) -> None:
    """Raise DatasetError where the table has no column `name`, which `option` gives."""
    if name not in rows[0]:
        raise DatasetError(f"{table}: no column '{name}', which {option} names; its columns are {some_of(rows[0], 30)}")


def positive_of(cells: Sequence[str], column: str, table: str) -> Proposed:
    """Which cells of the outcome are positive.

    Two levels are told apart by their words. Raises OnlyAPersonKnowsError where it is so: a number without a
    cut-off, more levels than two, or two that say nothing.

    >>> positive_of(["0", "1", ""], "y", "t.csv").value, positive_of(["wt", "mutant"], "idh", "t.csv").value
    ('== 1', 'mutant')
    """
    known = sorted({cell for cell in cells if not is_missing(cell)})
    numbers = {number_in(cell) for cell in known}
    if numbers == {0.0, 1.0}:
        return Proposed("== 1", f"{column} holds 0 and 1")
    lower = {cell.lower(): cell for cell in known}
    says = [cell for word, cell in lower.items() if word in POSITIVE_TEXTS]
    if (
        len(known) == len(lower) == 2
        and len(says) == 1
        and all(word in _NEGATIVE for word in lower if lower[word] not in says)
    ):
        return Proposed(says[0], f"{column} holds {some_of(known)}")
    found = (
        f"{len(known)} different cells" if len(known) > _MOST_LEVELS else f"the cells {some_of(known, _MOST_LEVELS)}"
    )
    if len(known) < 2:
        found = f"the cell '{known[0]}' alone" if known else "no cell that says anything"
        raise DatasetError(f"{table}: column '{column}' holds {found}; an outcome has two sides: name another column")
    raise OnlyAPersonKnowsError(
        "positive",
        f"{table}: column '{column}' holds {found}, of which nothing says which are positive; give --positive, a rule "
        "such as '>= 20', or the positive classes with commas between",
    )


def cohort_of(rows: Sequence[Mapping[str, str]]) -> Proposed:
    """The column that says which rows are trained on: one that is called so, where one of its words is of training.

    What its other words say is held out, known or not: to train on a cohort that was held out spoils a study. Without
    such a word all rows are trained on, which is a guess where a column that is called so has several words.
    """
    unclear = ""
    for name in _named(rows, _COHORT):
        levels = {row[name].strip().lower() for row in rows} - {""}
        training = levels & set(_TRAINING)
        if len(training) == 1 and 1 < len(levels) <= _MOST_COHORTS:
            others = some_of(sorted(levels - training))
            known = levels - training <= set(_HELD_OUT)
            why = "by its name and its cells" if known else f"by its name and its cells; held out is {others}"
            return Proposed(name, why, guessed=True)
        if 1 < len(levels) <= _MOST_COHORTS:
            unclear = unclear or f"{name} holds {some_of(sorted(levels))}, of which nothing says what is held out: "
    why = unclear or "no column says which cases are held out: "
    return Proposed(NO_COLUMN, f"{why}all are trained on", guessed=bool(unclear))


def training_of(rows: Sequence[Mapping[str, str]], column: str, table: str) -> Proposed:
    """The cells of a cohort column that are trained on; raises OnlyAPersonKnowsError where no word says it."""
    levels = sorted({row[column] for row in rows} - {""})
    found = [level for level in levels if level.strip().lower() in _TRAINING]
    if len(found) != 1:
        raise OnlyAPersonKnowsError(
            "training",
            f"{table}: column '{column}' holds {some_of(levels, _MOST_LEVELS)}, of which nothing says which one is "
            "trained on; give --training",
        )
    return Proposed(found[0], f"{column} holds {some_of(levels)}", guessed=True)


def patient_of(rows: Sequence[Mapping[str, str]], case: str) -> Proposed:
    """The column of patients, where one beside that of the cases is called so."""
    found = [name for name in _named(rows, _PATIENT) if name != case]
    return _first(found, "every case counts as a patient of its own")


def site_of(rows: Sequence[Mapping[str, str]], taken: Sequence[str]) -> Proposed:
    """The column of hospitals, where one is called so."""
    return _first([name for name in _named(rows, _SITE) if name not in taken], "no column is called so")


def clinical_of(rows: Sequence[Mapping[str, str]], taken: Sequence[str]) -> Proposed:
    """Clinical variables that are known before the outcome, by their names alone: of others only a person can say."""
    found = [name for name in _named(rows, _CLINICAL) if name not in taken]
    why = "by their names; a variable that is known only after the outcome must not be among them"
    return Proposed(",".join(found), why, guessed=True) if found else Proposed(NO_COLUMN, "none is called so")


def _first(found: Sequence[str], otherwise: str) -> Proposed:
    return Proposed(found[0], "by its name", guessed=True) if found else Proposed(NO_COLUMN, otherwise)


def _named(rows: Sequence[Mapping[str, str]], words: Sequence[str]) -> list[str]:
    """Columns that are called by one of `words`, in the order of the words."""
    plain = {name: name.strip().lower().replace(" ", "_").replace("-", "_") for name in rows[0]}
    return [name for word in words for name in plain if plain[name] == word]
