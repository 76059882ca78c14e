"""Automatic ROIs of new cases: the networks of all folds, as they travel in a model folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from autodls.errors import DatasetError, ModelFolderError
from autodls.imaging.geometry import Geometry
from autodls.imaging.volumes import read_geometry
from autodls.records.files import link_or_copy, sha256_of_file
from autodls.records.model import require_same_sha256, require_unaltered
from autodls.records.plan import Plan
from autodls.records.segmentation import SEGMENT_FIRST, training_key
from autodls.records.segmentation_folders import SegmenterFolder
from autodls.records.segmentation_plan import SegmentationPlan
from autodls.records.segmenter import SegmenterRecord
from autodls.records.splits import Splits
from autodls.records.tensors import read_note
from autodls.records.workspace import Workspace
from autodls.segmentation.environment import nnunet
from autodls.segmentation.framing import Framing
from autodls.segmentation.masks import Mask, mask_from_probability

if TYPE_CHECKING:
    from autodls.segmentation.probabilities import ProbabilityMaps

_REPAIR = "copy the model folder anew from where it was trained"
_FAULTS_OF_NNUNET = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
_AXES = {"2d": (0, 1), "3d_fullres": (0, 1, 2)}


@dataclass(frozen=True)
class SegmentedVolume:
    """An automatic ROI on the grid of the ROI channel."""

    mask: Mask
    geometry: Geometry


@dataclass(frozen=True)
class Segmenter:
    """A verified segmenter, ready to draw."""

    record: SegmenterRecord
    maps: "ProbabilityMaps"

    @classmethod
    def load(cls, folder: SegmenterFolder, device: torch.device, sha256: str | None = None) -> "Segmenter":
        """Verify and load the networks in `folder`, whose segmenter.json has the hash `sha256` where that is known.

        Raises ModelFolderError for a missing or altered file and for plans that are not nnU-Net's, ArgumentError where
        nnU-Net is not installed.
        """
        if not folder.root.is_dir():
            raise ModelFolderError(
                f"{folder.root}: no such folder, the model was trained on manual ROIs; give them with --rois"
            )
        record, found = SegmenterRecord.load_hashed(folder.record, _REPAIR, ModelFolderError)
        require_same_sha256(folder.record, found, sha256 or found, _REPAIR)
        if record.mirror_axes not in ((), _AXES[record.configuration]):
            raise ModelFolderError(
                f"{folder.record}: mirror_axes {list(record.mirror_axes)}, expected none or "
                f"{list(_AXES[record.configuration])} for {record.configuration}; {_REPAIR}"
            )
        _check_files(folder, record)
        with nnunet(None):
            from autodls.segmentation.probabilities import ProbabilityMaps

            maps = ProbabilityMaps(
                folder, record.configuration, record.mirror_axes, range(record.folds), device, record.files
            )
        if len(maps.dataset["channel_names"]) != len(record.sequences):
            raise ModelFolderError(
                f"{folder.dataset}: {len(maps.dataset['channel_names'])} channels, segmenter.json has "
                f"{list(record.sequences)}; {_REPAIR}"
            )
        return cls(record, maps)

    def segment(self, case: str, images: Mapping[str, Path]) -> SegmentedVolume:
        """The mask of one case from the images of its sequences, by the mean of all folds.

        Sequences that are not there are taken as zero; the ROI channel must be there, as the mask lies on its grid.
        Raises DatasetError, which names the case, for an image that is missing, cannot be read, or on which nnU-Net
        fails.
        """
        roi_channel = self.record.roi_channel
        if roi_channel not in images:
            raise DatasetError(
                f"case {case}: no image of {roi_channel}, on whose grid the ROI is drawn; add it, or give an ROI with "
                f"--rois"
            )
        try:
            grid = read_geometry(images[roi_channel])
            channels = Framing.of(self.record).channels(images, grid)
            with nnunet(None):
                probabilities = self.maps.of(channels, grid.spacing_mm)
        except DatasetError as failure:
            raise DatasetError(f"case {case}: {failure}") from None
        except _FAULTS_OF_NNUNET as failure:
            raise DatasetError(
                f"case {case}: nnU-Net cannot draw its ROI ({type(failure).__name__}: {str(failure)[:200]}); check the "
                f"images, copy the model folder anew, or give an ROI with --rois"
            ) from None
        return SegmentedVolume(mask_from_probability(probabilities, grid.spacing_mm, self.record.mask), grid)


def mirror_axes_of(plan: SegmentationPlan) -> tuple[int, ...]:
    """Axes over whose mirror images a prediction is averaged: nnU-Net's all, but none on a CPU, as they cost 8 times.

    >>> _AXES["3d_fullres"]
    (0, 1, 2)
    """
    return () if plan.planner == "small" else _AXES[plan.configuration]


def export_segmenter(workspace: Workspace, plan: Plan, splits: Splits, target: SegmenterFolder) -> SegmenterRecord:
    """Put the trained networks of all folds into `target`, with what `Segmenter.load` needs.

    Needs no nnU-Net. Raises ModelFolderError for a fold that is not trained, or was trained by another plan.
    """
    source, key = workspace.segmentation.segmenter, training_key(plan, splits)
    files, notes = {}, []
    for fold in splits.folds:
        path = source.fold(fold.index)
        notes.append(read_note(path) if path.exists() else {})
        if notes[-1].get("key") != key:
            raise ModelFolderError(f"{path}: segmentation fold {fold.index} of this plan is missing; {SEGMENT_FIRST}")
        files[path] = target.fold(fold.index)
    files |= {source.plans: target.plans, source.dataset: target.dataset}
    for path, copy in files.items():
        link_or_copy(path, copy)
    record = SegmenterRecord(
        sequences=plan.sequences,
        roi_channel=plan.preprocessing.roi_channel,
        registration=plan.preprocessing.registration,
        configuration=plan.segmentation.configuration,
        mirror_axes=mirror_axes_of(plan.segmentation),
        mask=plan.segmentation.mask,
        folds=len(splits.folds),
        training_key=key,
        files={copy.name: sha256_of_file(copy) for copy in files.values()},
        versions=_versions(notes),
    )
    record.save(target.record)
    return record


def _versions(notes: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """Versions that the folds were trained with, whatever is installed now; several of one are all named."""
    found: dict[str, set[str]] = {}
    for note in notes:
        versions = note.get("versions")
        for name, text in versions.items() if isinstance(versions, dict) else ():
            found.setdefault(name, set()).add(str(text))
    return {name: ", ".join(sorted(texts)) for name, texts in found.items()}


def _check_files(folder: SegmenterFolder, record: SegmenterRecord) -> None:
    expected = {folder.fold(index) for index in range(record.folds)} | {folder.plans, folder.dataset}
    if odd := {path.name for path in expected} ^ set(record.files):
        raise ModelFolderError(f"{folder.record}: '{min(odd)}' is not one of the files of its folds; {_REPAIR}")
    for path in sorted(expected):
        if path.is_symlink() or not path.is_file():
            raise ModelFolderError(f"{path}: missing, or not a plain file; {_REPAIR}")
        require_unaltered(path, record.files[path.name], _REPAIR)
