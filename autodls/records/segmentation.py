"""masks.json: automatic ROIs of the training cohort, and what they are derived from."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from autodls.errors import StaleRecordError
from autodls.records.automatic_roi import AutomaticRoi, MaskSource
from autodls.records.base import Record
from autodls.records.files import sha256_of_bytes, sha256_of_file
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace

SEGMENT_FIRST = "run 'autodls segment fold all'"
_DOUBTS: dict[MaskSource, str] = {
    "threshold": "on which the folds disagree",
    "lower-threshold": "found at the lower threshold only",
    "whole-field": "the whole field, as no tumour was found",
}


class SegmentationEpoch(Record):
    """One line of a fold's log; `train_loss` is nnU-Net's Dice plus cross-entropy, the mean over batches."""

    fold: int
    epoch: int
    learning_rate: float
    train_loss: float
    seconds: float


class SegmentedCase(AutomaticRoi):
    """The automatic ROI of one training case."""

    case: str
    fold: int = Field(description="whose network drew it: the fold that was not trained on the case")
    weights_sha256: str = Field(description="of that network")
    mask_sha256: str

    @property
    def automatic_roi(self) -> AutomaticRoi:
        """How it came about, without whose it is."""
        return AutomaticRoi(**{name: getattr(self, name) for name in AutomaticRoi.model_fields})


class SegmentedCohort(Record):
    """masks.json: the automatic ROIs of the training cohort."""

    format: Literal["autodls-masks/1"] = "autodls-masks/1"
    key: str = Field(description="of plan, splits and images that the masks are derived from")
    cases: tuple[SegmentedCase, ...]

    @property
    def by_case(self) -> dict[str, SegmentedCase]:
        """The rows by their case."""
        return {row.case: row for row in self.cases}


def doubts(masks: Iterable[AutomaticRoi]) -> str | None:
    """How many automatic ROIs are flagged, and how those came about, as one clause; None where none is.

    >>> known = {"confidence": 0.9, "disagreement": None, "components": 1, "volume_mm3": 9.0, "flags": ()}
    >>> sure = AutomaticRoi(source="threshold", **known)
    >>> field = sure.model_copy(update={"source": "whole-field", "flags": ("no tumour found",)})
    >>> doubts([sure, field, sure]), doubts([sure])
    ('1 of 3 automatic ROIs is doubtful: 1 the whole field, as no tumour was found', None)
    """
    found = list(masks)
    flagged = Counter(mask.source for mask in found if mask.flags)
    if not flagged:
        return None
    verb = "is" if flagged.total() == 1 else "are"
    parts = ", ".join(f"{flagged[source]} {words}" for source, words in _DOUBTS.items() if flagged[source])
    return f"{flagged.total()} of {len(found)} automatic ROIs {verb} doubtful: {parts}"


def prepared_key(plan: Plan) -> str:
    """SHA-256 of all that nnU-Net's training data depend on; the fingerprint stands for images and ROIs."""
    preprocessing, segmentation = plan.preprocessing, plan.segmentation
    schemes = [(name, intensity.scheme) for name, intensity in preprocessing.intensity.items()]
    chosen = [preprocessing.roi_channel, preprocessing.registration, segmentation.planner, segmentation.configuration]
    return _sha256(["autodls-nnunet/1", plan.fingerprint_sha256, schemes, chosen])


def training_key(plan: Plan, splits: Splits) -> str:
    """SHA-256 of all that the weights of a fold depend on."""
    schedule = [plan.segmentation.epochs, plan.segmentation.iterations_per_epoch, plan.training.seed]
    return _sha256([prepared_key(plan), splits.sha256(), schedule])


def masks_key(plan: Plan, splits: Splits) -> str:
    """SHA-256 of all that the masks depend on."""
    return _sha256([training_key(plan, splits), plan.segmentation.mask.sha256()])


def _sha256(content: list[object]) -> str:
    return sha256_of_bytes(json.dumps(content).encode())


def load_masks(workspace: Workspace, plan: Plan, splits: Splits) -> SegmentedCohort:
    """The automatic ROIs of the whole training cohort, checked against plan, splits, networks and the mask files.

    Raises StaleRecordError, naming the command to run, where one is missing, altered or of another plan.
    """
    record = SegmentedCohort.load(workspace.segmented, SEGMENT_FIRST, StaleRecordError)
    if record.key != (key := masks_key(plan, splits)):
        raise StaleRecordError(
            f"{workspace.segmented}: drawn by another plan, split or cohort ({record.key[:8]}, now {key[:8]}); "
            f"{SEGMENT_FIRST} --restart"
        )
    rows = record.by_case
    for fold in splits.folds:
        weights = workspace.segmentation.segmenter.fold(fold.index)
        network = sha256_of_file(weights) if weights.is_file() else "none"
        for case in fold.validation:
            path = workspace.auto_roi(case)
            if case not in rows or not path.is_file():
                raise StaleRecordError(f"case {case}: no automatic ROI {path}; {SEGMENT_FIRST}")
            drawn_by = (rows[case].fold, rows[case].weights_sha256)
            if drawn_by != (fold.index, network) or sha256_of_file(path) != rows[case].mask_sha256:
                raise StaleRecordError(f"{path}: not the ROI that fold {fold.index} drew; {SEGMENT_FIRST}")
    return record
