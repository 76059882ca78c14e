"""A case: one row of the table with its files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autodls.records.cells import TableRow
from autodls.records.files import sha256_of_bytes


@dataclass(frozen=True)
class Case:
    """One row of the table with its files.

    `label` is None where the target column is empty. `images` holds the sequences that have a file, by name; `rois`
    the ROI drawn on a channel other than the ROI channel under that channel's name. `gap` says of a file that is not
    read, and named after the case, that it may be what `images` lacks: no sequence is missing then.
    """

    id: str
    patient: str
    site: str | None
    cohort: str
    label: bool | None
    images: Mapping[str, Path]
    roi: Path | None
    rois: Mapping[str, Path] = field(default_factory=dict)
    row: TableRow = field(default_factory=lambda: TableRow({}, 0))
    gap: str | None = None


def cohort_sha256(cases: Iterable[Case]) -> str:
    """SHA-256 of what a split depends on: id, patient, site and label of each case, in the order of ids."""
    lines = [f"{case.id}\t{case.patient}\t{case.site}\t{case.label}" for case in sorted(cases, key=lambda c: c.id)]
    return sha256_of_bytes("\n".join(lines).encode())
