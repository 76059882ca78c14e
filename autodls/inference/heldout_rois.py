"""Automatic ROIs of held-out cases, drawn by the ensemble of all folds, none of which saw them, once."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from autodls.errors import DatasetError, InputError
from autodls.imaging.geometry import Volume
from autodls.imaging.volumes import write_volume
from autodls.records.base import Record
from autodls.records.cohort import Case
from autodls.records.files import sha256_of_file
from autodls.records.segmentation import MaskSource

if TYPE_CHECKING:
    from autodls.segmentation.segmenter import Segmenter


class HeldoutRoi(Record):
    """The automatic ROI of one held-out case."""

    case: str
    inputs: dict[str, str] = Field(description="SHA-256 of the images that it was drawn from, by sequence")
    mask_sha256: str
    source: MaskSource
    confidence: float = Field(description="mean foreground probability inside the mask")
    disagreement: float | None = Field(description="1 - mean pairwise Dice of the folds' own masks; None for one fold")
    flags: tuple[str, ...]


class NotDrawn(Record):
    """A held-out case without an automatic ROI."""

    case: str
    inputs: dict[str, str] = Field(description="SHA-256 of its images, by sequence")
    reason: str


class HeldoutRois(Record):
    """masks.json beside the ROIs of held-out cases."""

    format: Literal["autodls-heldout-masks/1"] = "autodls-heldout-masks/1"
    segmenter_sha256: str = Field(description="of the segmenter.json whose networks drew them")
    cases: tuple[HeldoutRoi, ...]
    failed: tuple[NotDrawn, ...]

    @property
    def reasons(self) -> dict[str, str]:
        """Why there is no ROI, by case."""
        return {row.case: row.reason for row in self.failed}


def draw_heldout_rois(
    cases: Sequence[Case],
    segmenter_sha256: str,
    load: Callable[[], "Segmenter"],
    place: Callable[[str], Path],
    record: Path,
    advance: Callable[[str], None],
) -> HeldoutRois:
    """Draw the ROI of each of `cases` to `place(case id)` by the ensemble that `load` reads.

    An ROI that the same networks drew from the same bytes, and that nobody changed, is kept, so that a killed run
    continues and a second one reads no network. Cases that cannot be segmented are listed with the reason.
    """
    known = _known(record, segmenter_sha256)
    rows: dict[str, HeldoutRoi | NotDrawn] = {}
    segmenter: Segmenter | None = None
    for case in cases:
        inputs = {name: sha256_of_file(path) for name, path in case.images.items()}
        held = known.get(case.id)
        if held is None or not _fits(held, inputs, place(case.id)):
            segmenter = segmenter or load()
            known[case.id] = _draw(segmenter, case, inputs, place(case.id))
            _record(segmenter_sha256, known).save(record)
        rows[case.id] = known[case.id]
        advance(case.id)
    found = _record(segmenter_sha256, rows)
    found.save(record)
    return found


def _record(segmenter_sha256: str, rows: Mapping[str, HeldoutRoi | NotDrawn]) -> HeldoutRois:
    return HeldoutRois(
        segmenter_sha256=segmenter_sha256,
        cases=tuple(row for row in rows.values() if isinstance(row, HeldoutRoi)),
        failed=tuple(row for row in rows.values() if isinstance(row, NotDrawn)),
    )


def _known(record: Path, segmenter_sha256: str) -> dict[str, HeldoutRoi | NotDrawn]:
    try:
        earlier = HeldoutRois.load(record, "draw them anew")
    except InputError:
        return {}
    if earlier.segmenter_sha256 != segmenter_sha256:
        return {}
    return {**{row.case: row for row in earlier.cases}, **{row.case: row for row in earlier.failed}}


def _fits(row: HeldoutRoi | NotDrawn, inputs: Mapping[str, str], mask: Path) -> bool:
    """Whether the row is of these images, and its mask, where there is to be one, the one that was drawn."""
    if row.inputs != inputs:
        return False
    if isinstance(row, NotDrawn):
        return not mask.exists()
    return mask.is_file() and sha256_of_file(mask) == row.mask_sha256


def _draw(segmenter: "Segmenter", case: Case, inputs: dict[str, str], target: Path) -> HeldoutRoi | NotDrawn:
    try:
        found = segmenter.segment(case.id, case.images)
    except DatasetError as failure:
        target.unlink(missing_ok=True)
        return NotDrawn(case=case.id, inputs=inputs, reason=str(failure).removeprefix(f"case {case.id}: "))
    write_volume(target, Volume(found.mask.array, found.geometry))
    return HeldoutRoi(
        case=case.id,
        inputs=inputs,
        mask_sha256=sha256_of_file(target),
        source=found.mask.source,
        confidence=found.mask.confidence,
        disagreement=found.mask.disagreement,
        flags=found.mask.flags,
    )
