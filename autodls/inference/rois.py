"""Whose ROI a new case is scored with: the one that is given, or the one that the model's own networks draw."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autodls.errors import ArgumentError, DatasetError, ModelFolderError
from autodls.imaging.geometry import Volume
from autodls.imaging.volumes import write_volume
from autodls.inference.inputs import InputCase
from autodls.records.automatic_roi import AutomaticRoi
from autodls.records.files import sha256_of_file
from autodls.records.model import ModelRecord
from autodls.records.model_folders import ModelFolder, RoiKind
from autodls.records.roi_labels import AUTOMATIC_LABELS
from autodls.records.segmenter import SegmenterRecord

if TYPE_CHECKING:
    import torch

    from autodls.inference.model_folder import LockedModel
    from autodls.segmentation.segmenter import Segmenter

_WORDS = {"manual": "a manual", "auto": "an automatic"}


@dataclass(frozen=True)
class UsedRoi:
    """The ROI of one case: its file, the values in it that mean tumour, and what a person should know of it.

    Of an automatic one also how it came about, and the SHA-256 of its file.
    """

    path: Path
    labels: frozenset[int]
    kind: RoiKind
    flags: tuple[str, ...]
    drawn: AutomaticRoi | None = None
    mask_sha256: str | None = None


@dataclass(frozen=True)
class RoiSource:
    """Gives every case its ROI: the given one, or where there is a `draw`, the one that it draws to `place`."""

    model: ModelRecord
    draw: Callable[[InputCase], UsedRoi] | None = None
    place: Callable[[str], Path] | None = None

    @property
    def kind(self) -> RoiKind:
        """Whose ROIs these are."""
        return "manual" if self.draw is None else "auto"

    def of(self, case: InputCase) -> UsedRoi:
        """The ROI of `case`; raises DatasetError where there is none and none can be drawn."""
        used = self._given(case) if self.draw is None else self.draw(case)
        other = () if self.kind == self.model.rois else (_other_kind(self.kind, self.model.rois),)
        return replace(used, flags=(*other, *used.flags))

    def _given(self, case: InputCase) -> UsedRoi:
        if case.roi is None:
            raise DatasetError(
                f"case {case.id}: no ROI file {case.id}{self.model.file_ending} in the folder of ROIs; draw it on the "
                f"grid of {self.model.roi_channel}"
            )
        return UsedRoi(case.roi, self.model.mask_labels, "manual", ())


def automatic_rois(model: "LockedModel", root: Path, device: "torch.device", place: Callable[[str], Path]) -> RoiSource:
    """ROIs that the networks in model folder `root` draw, each written to `place(case id)`.

    Raises ArgumentError where the model has no such networks.
    """
    if model.record.segmenter_sha256 is None:
        raise ArgumentError(
            "--rois is missing: this model cannot draw ROIs itself; give the folder of ROIs (CASE.nii.gz), or run "
            "'autodls segment fold all' and 'autodls train fold all' to have one that can"
        )
    from autodls.segmentation.segmenter import Segmenter

    segmenter = Segmenter.load(ModelFolder(root).segmentation, device, model.record.segmenter_sha256)
    _require_same_channels(segmenter.record, model.record, ModelFolder(root))

    def draw(case: InputCase) -> UsedRoi:
        return automatic(place(case.id), draw_roi(segmenter, case.id, case.images, place(case.id)))

    return RoiSource(model.record, draw, place)


def _require_same_channels(segmenter: SegmenterRecord, model: ModelRecord, folder: ModelFolder) -> None:
    found = segmenter.sequences, segmenter.roi_channel
    if found != (expected := (tuple(model.channel_names.values()), model.roi_channel)):
        raise ModelFolderError(
            f"{folder.segmentation.record}: sequences {list(found[0])} and roi_channel '{found[1]}', model.json has "
            f"{list(expected[0])} and '{expected[1]}'; copy the model folder anew from where it was trained"
        )


def automatic(path: Path, drawn: AutomaticRoi) -> UsedRoi:
    """The automatic ROI in the file `path`."""
    return UsedRoi(path, AUTOMATIC_LABELS, "auto", drawn.flags, drawn, sha256_of_file(path))


def draw_roi(segmenter: "Segmenter", case: str, images: Mapping[str, Path], path: Path) -> AutomaticRoi:
    """Draw the ROI of one case to `path`, and say how it came about.

    An ROI that an earlier run left at `path` is removed first: where drawing fails, none must lie there. Raises
    DatasetError, which names the case, where it cannot be drawn.
    """
    if path.is_file():
        path.unlink()
    found = segmenter.segment(case, images)
    mask = found.mask
    write_volume(path, Volume(mask.array, found.geometry))
    return AutomaticRoi(
        source=mask.source,
        confidence=mask.confidence,
        disagreement=mask.disagreement,
        components=mask.components,
        volume_mm3=float(np.count_nonzero(mask.array) * np.prod(found.geometry.spacing_mm)),
        flags=mask.flags,
    )


def _other_kind(used: RoiKind, trained: RoiKind) -> str:
    return f"scored with {_WORDS[used]} ROI by a model that was trained on {_WORDS[trained].split()[1]} ones"
