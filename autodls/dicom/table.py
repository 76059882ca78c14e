"""series.csv: a row a volume or ROI, with what was measured, the role proposed and why; what a person edits.

Only `case` and `role` are there to be changed; a row may be taken out. All else says what the row is, or which volume
it means: by series, part and the digest of its planes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autodls.dicom.drawn import DrawnRoi
from autodls.dicom.roles import Proposal, plane_of
from autodls.dicom.series import Part
from autodls.dicom.weighting import is_fat_suppressed
from autodls.errors import DatasetError
from autodls.records.scores import csv_text
from autodls.records.table import read_table

ROI = "ROI"
READ = ("row", "case", "role", "uid", "part", "digest")
COLUMNS = (
    "row", "case", "role", "ambiguous", "why", "description", "kind", "draws_on", "modality", "plane", "planes",
    "size", "spacing_mm", "tr_ms", "te_ms", "ti_ms", "flip_deg", "fat_suppressed", "contrast_agent",
    "seconds_after_agent", "image_type", "series_number", "days", "convertible", "uid", "part", "digest",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row as it is written: `cells` by column."""

    cells: Mapping[str, object] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str]:
        """Which volume or ROI the row means."""
        return str(self.cells["uid"]), str(self.cells["part"]), str(self.cells["digest"])


@dataclass(frozen=True)
class Choice:
    """A row as it is read: which volume or ROI becomes what of which case; `role` is "" where it is not converted."""

    row: str
    case: str
    role: str
    identity: tuple[str, str, str]


def part_identity(part: Part) -> tuple[str, str, str]:
    """Which volume: its series, its number there, and its planes. An x keeps a spreadsheet from reading a number."""
    return part.series, str(part.number), f"x{part.digest}"


def roi_identity(roi: DrawnRoi) -> tuple[str, str, str]:
    """Which ROI: its file, and its number there."""
    return roi.uid, str(roi.number), "xroi"


def part_row(name: str, case: str, part: Part, proposal: Proposal, days: int | None) -> Row:
    """The row of a volume."""
    facts, stack = part.facts, part.stack
    grid = stack.geometry
    after = None
    if facts.agent and facts.agent_start_s is not None and facts.acquired_s is not None:
        after = round(facts.acquired_s - facts.agent_start_s)
    uid, number, digest = part_identity(part)
    return Row(
        {
            "row": name,
            "case": case,
            "role": proposal.role,
            "ambiguous": proposal.ambiguous,
            "why": proposal.why,
            "description": facts.description,
            "kind": "image",
            "modality": facts.modality,
            "plane": plane_of(grid) if grid else "",
            "planes": len(stack.frames),
            "size": " x ".join(map(str, grid.size_xyz)) if grid else "",
            "spacing_mm": " x ".join(f"{step:.4g}" for step in grid.spacing_mm) if grid else "",
            "tr_ms": facts.tr_ms,
            "te_ms": facts.te_ms,
            "ti_ms": facts.ti_ms,
            "flip_deg": facts.flip_deg,
            "fat_suppressed": ("yes" if is_fat_suppressed(facts) else "no") if facts.modality == "MR" else "",
            "contrast_agent": facts.agent,
            "seconds_after_agent": after,
            "image_type": " ".join(facts.image_type),
            "series_number": facts.series_number,
            "days": days,
            "convertible": stack.refused or "yes",
            "uid": uid,
            "part": number,
            "digest": digest,
        }
    )


def roi_row(name: str, case: str, draws_on: str, roi: DrawnRoi, proposal: Proposal, refused: str) -> Row:
    """The row of an ROI."""
    uid, number, digest = roi_identity(roi)
    told = {
        "row": name, "case": case, "role": proposal.role, "ambiguous": proposal.ambiguous, "why": proposal.why,
        "description": roi.name, "kind": roi.kind, "draws_on": draws_on, "convertible": refused or "yes",
        "uid": uid, "part": number, "digest": digest,
    }  # fmt: skip
    return Row({column: told.get(column, "") for column in COLUMNS})


def table_text(rows: Iterable[Row]) -> str:
    """The text of series.csv."""
    return csv_text(COLUMNS, [[row.cells.get(column, "") for column in COLUMNS] for row in rows])


def read_choices(path: Path, known: Sequence[tuple[str, str, str]]) -> list[Choice]:
    """What the table says, as a person has left it; `known` are the volumes and ROIs that there are.

    Raises DatasetError, which names the row of the spreadsheet, for a column or a volume that is not there, and for a
    volume that stands twice.
    """
    rows = read_table(path)
    if not rows:
        raise DatasetError(f"{path}: has no rows; remove it, and import again to have it made anew")
    if missing := [column for column in READ if column not in rows[0]]:
        raise DatasetError(
            f"{path}: no column '{missing[0]}'; keep the header as it was, or remove the table and import again"
        )
    there, seen, choices = set(known), dict[tuple[str, str, str], int](), []
    for row in rows:
        identity = (row["uid"], _whole(row["part"]), row["digest"])
        if identity not in there:
            raise DatasetError(
                f"{path}: row {row.number} ({row['row'][:20]}) means a volume that is not in the DICOM folder as it is "
                "now; import with --restart to have the table made anew"
            )
        if identity in seen:
            raise DatasetError(f"{path}: rows {seen[identity]} and {row.number} are the same volume; keep one of them")
        seen[identity] = row.number
        choices.append(Choice(row["row"] or f"row {row.number}", row["case"], row["role"], identity))
    return choices


def _whole(cell: str) -> str:
    return cell.removesuffix(".0")
