"""Automatic ROIs of held-out cases, drawn by the ensemble of all folds, none of which saw them, once."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from autodls.errors import DatasetError, InputError
from autodls.inference.inputs import InputCase, without_folders
from autodls.inference.rois import UsedRoi, automatic, draw_roi
from autodls.records.automatic_roi import AutomaticRoi
from autodls.records.base import Record
from autodls.records.case import Case
from autodls.records.files import sha256_of_file, sha256_where_readable

if TYPE_CHECKING:
    from autodls.segmentation.segmenter import Segmenter


class HeldoutRoi(Record):
    """The automatic ROI of one held-out case."""

    case: str
    inputs: dict[str, str] = Field(description="SHA-256 of the images that it was drawn from, by sequence")
    mask_sha256: str
    drawn: AutomaticRoi


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


class HeldoutDrawer:
    """Draws the ROI of a held-out case, or finds the one that it drew before.

    An ROI that the same networks drew from the same bytes, and that nobody changed, is kept, so that a killed run
    continues and a second one reads no network. ROIs lie at `place(case id)`, what is known of them in `record`; the
    networks, whose segmenter.json has `segmenter_sha256`, are read by `load` when the first is wanted.
    """

    def __init__(
        self, segmenter_sha256: str, load: Callable[[], "Segmenter"], place: Callable[[str], Path], record: Path
    ) -> None:
        self._sha256, self._load, self._place, self._record = segmenter_sha256, load, place, record
        self._segmenter: Segmenter | None = None
        self._known = _known(record, segmenter_sha256)

    def row(self, case: str, images: Mapping[str, Path]) -> HeldoutRoi | NotDrawn:
        """The ROI of one case, or why there is none."""
        inputs = {name: sha256_where_readable(path) for name, path in images.items()}
        held = self._known.get(case)
        if held is None or not _fits(held, inputs, self._place(case)):
            self._segmenter = self._segmenter or self._load()
            self._known[case] = _draw(self._segmenter, case, images, inputs, self._place(case))
            self.keep(self._known)
        return self._known[case]

    def used(self, case: InputCase) -> UsedRoi:
        """The same for scoring; raises DatasetError where there is none."""
        row = self.row(case.id, case.images)
        if isinstance(row, NotDrawn):
            raise DatasetError(f"case {case.id}: {row.reason}")
        return automatic(self._place(case.id), row.drawn)

    def keep(self, rows: Mapping[str, HeldoutRoi | NotDrawn]) -> HeldoutRois:
        """Write what is known of the cases of `rows`, and of no others."""
        found = HeldoutRois(
            segmenter_sha256=self._sha256,
            cases=tuple(row for row in rows.values() if isinstance(row, HeldoutRoi)),
            failed=tuple(row for row in rows.values() if isinstance(row, NotDrawn)),
        )
        found.save(self._record)
        return found


def draw_heldout_rois(cases: Sequence[Case], drawer: HeldoutDrawer, advance: Callable[[str], None]) -> HeldoutRois:
    """Draw the ROI of each of `cases`; those that cannot be segmented are listed with the reason."""
    rows = {}
    for case in cases:
        rows[case.id] = drawer.row(case.id, case.images)
        advance(case.id)
    return drawer.keep(rows)


def automatic_rois_before(record: Path) -> dict[str, AutomaticRoi]:
    """How the ROIs in `record` came about, by case; empty where there is no such record."""
    try:
        return {row.case: row.drawn for row in HeldoutRois.load(record, "draw them anew").cases}
    except InputError:
        return {}


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


def _draw(
    segmenter: "Segmenter", case: str, images: Mapping[str, Path], inputs: dict[str, str], target: Path
) -> HeldoutRoi | NotDrawn:
    try:
        drawn = draw_roi(segmenter, case, images, target)
    except DatasetError as failure:
        reason = without_folders(str(failure).removeprefix(f"case {case}: "), images.values())
        return NotDrawn(case=case, inputs=inputs, reason=reason)
    return HeldoutRoi(case=case, inputs=inputs, mask_sha256=sha256_of_file(target), drawn=drawn)
