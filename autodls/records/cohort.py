"""The cases of a dataset folder: its table joined with its files.

Reading a cohort opens `dataset.json` and the table and lists two folders; it opens no image. `Cohort.training` is the
only set of cases that plan, preprocess and train are given.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autodls.errors import DatasetError
from autodls.records.base import read_json
from autodls.records.dataset import DatasetDescription
from autodls.records.files import sha256_of_bytes

MISSING_TEXTS = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "?", "."})
ALL_TRAINING = "train"
_SEPARATORS = ",;\t"


@dataclass(frozen=True)
class Case:
    """One row of the table with its files.

    `label` is None where the target column is empty. `images` holds the sequences that have a file, by name; `rois`
    the ROI drawn on a channel other than the ROI channel under that channel's name.
    """

    id: str
    patient: str
    site: str | None
    cohort: str
    label: bool | None
    images: Mapping[str, Path]
    roi: Path | None
    rois: Mapping[str, Path] = field(default_factory=dict)
    row: Mapping[str, str] = field(default_factory=dict)


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
        names = sorted({case.cohort for case in self.cases if not self.is_training(case)})
        return {name: tuple(case for case in self.cases if case.cohort == name) for name in names}

    def is_training(self, case: Case) -> bool:
        """Whether `case` belongs to a cohort that is trained on."""
        return case.cohort in training_cohorts(self.description)


def training_cohorts(description: DatasetDescription) -> tuple[str, ...]:
    """Names of the cohorts that are trained on."""
    settings = description.autodls.cohort
    return settings.training if settings else (ALL_TRAINING,)


def read_description(folder: Path) -> DatasetDescription:
    """Read `folder`/dataset.json; raises DatasetError."""
    path = folder / "dataset.json"
    repair = "a dataset folder holds dataset.json, clinical.csv, imagesTr/ and labelsTr/ (name it with -d)"
    description = DatasetDescription.parse(read_json(path, repair, DatasetError), str(path), repair, DatasetError)
    if description.roi_channel not in description.sequences:
        raise DatasetError(
            f"{path}: autodls.roi_channel '{description.roi_channel}' is not one of the channels "
            f"{list(description.sequences)}; name one of them"
        )
    return description


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a table in UTF-8 (a byte-order mark is allowed), separated by comma, semicolon or tab.

    Raises DatasetError for an unreadable file, a duplicate column, or a row with too many or too few cells.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; a dataset folder holds the table of its cases there") from None
    except UnicodeDecodeError as failure:
        raise DatasetError(f"{path}: not UTF-8 at byte {failure.start}; save the table as 'CSV UTF-8'") from None
    except OSError as failure:
        raise DatasetError(f"{path}: cannot be read ({failure.strerror}); check the file's permissions") from None
    return _parse_rows(text, path)


def _parse_rows(text: str, path: Path) -> list[dict[str, str]]:
    lines = text.splitlines()
    if not lines:
        raise DatasetError(f"{path}: the table is empty; it needs a header and a row for each case")
    separator = max(_SEPARATORS, key=lines[0].count)
    try:
        header, *body = csv.reader(lines, delimiter=separator, strict=True)
    except csv.Error as failure:
        raise DatasetError(f"{path}: not a valid CSV table ({failure}); save it anew as 'CSV UTF-8'") from None
    header = [name.strip() for name in header]
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DatasetError(f"{path}: column '{twice[0]}' stands twice in the header; rename one of them")
    rows = []
    for number, cells in enumerate(body, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise DatasetError(
                f"{path}: row {number} has {len(cells)} cells, its header {len(header)}; quote cells that hold a '{separator}'"
            )
        rows.append({name: cell.strip() for name, cell in zip(header, cells, strict=True)})
    return rows


def is_missing(text: str) -> bool:
    """Whether a cell of a table means that nothing is known.

    >>> is_missing("NA"), is_missing("0")
    (True, False)
    """
    return text.strip().lower() in MISSING_TEXTS


def read_number(text: str) -> float | None:
    """The finite number in a cell, None where it is missing.

    Raises ValueError for anything else.

    >>> read_number("20"), read_number("")
    (20.0, None)
    """
    if is_missing(text):
        return None
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def cohort_sha256(cases: Iterable[Case]) -> str:
    """SHA-256 of what a split depends on: id, patient, site and label of each case, in the order of ids."""
    lines = [f"{case.id}\t{case.patient}\t{case.site}\t{case.label}" for case in sorted(cases, key=lambda c: c.id)]
    return sha256_of_bytes("\n".join(lines).encode())
