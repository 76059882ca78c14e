"""Automatic ROIs as the nnU-Net stage leaves them, made up from the manual ones: no network is needed."""

import numpy as np
from torch import nn

from autodls.errors import DatasetError
from autodls.imaging.volumes import Volume, read_labels, write_volume
from autodls.inference.rois import RoiSource, automatic, draw_roi
from autodls.records.cohort import read_cohort
from autodls.records.files import sha256_of_file, write_text
from autodls.records.plan import Plan
from autodls.records.segmentation import (
    PreparedKey,
    SegmentedCase,
    SegmentedCohort,
    masks_key,
    plans_sha256,
    prepared_key,
    training_key,
)
from autodls.records.splits import Splits
from autodls.segmentation.masks import Mask
from autodls.segmentation.segmenter import SegmentedVolume
from autodls.segmentation.weights import save_weights


def shifted(roi, voxels=1):
    """The ROI moved along x."""
    return Volume(np.roll(roi.array > 0, voxels, axis=2), roi.geometry)


DOUBT = "no tumour found: the whole field is the ROI"


def write_masks(dataset, workspace, change=shifted, doubtful=()):
    """Masks, their record and networks of one number, for a planned workspace; those of `doubtful` are flagged."""
    plan, splits = Plan.load(workspace.plan, ""), Splits.load(workspace.splits, "")
    segmenter = workspace.segmentation.segmenter
    for path in (segmenter.plans, segmenter.dataset):
        write_text(path, "{}\n")
    made = PreparedKey(prepared=prepared_key(plan), plans=plans_sha256(segmenter))
    made.save(workspace.segmentation.key)
    rois, rows = {case.id: case.roi for case in read_cohort(dataset).training}, []
    for fold in splits.folds:
        save_weights(segmenter.fold(fold.index), nn.Linear(1, 1, bias=False), {"key": training_key(plan, splits)})
        weights_sha256 = sha256_of_file(segmenter.fold(fold.index))
        for case in fold.validation:
            mask, path = change(read_labels(rois[case])), workspace.auto_roi(case)
            write_volume(path, mask)
            volume_mm3 = float(mask.array.sum() * np.prod(mask.geometry.spacing_mm))
            rows.append(
                SegmentedCase(
                    case=case,
                    fold=fold.index,
                    weights_sha256=weights_sha256,
                    mask_sha256=sha256_of_file(path),
                    source="whole-field" if case in doubtful else "threshold",
                    confidence=0.9,
                    disagreement=None,
                    components=1,
                    volume_mm3=volume_mm3,
                    flags=(DOUBT,) if case in doubtful else (),
                )
            )
    SegmentedCohort(key=masks_key(plan, splits), cases=tuple(rows)).save(workspace.segmented)
    return plan, splits


class DrawsAsGiven:
    """A segmenter that copies the manual ROI, and is not sure of it."""

    def __init__(self, rois, flags=()):
        self.rois, self.flags, self.seen = rois, flags, []

    def segment(self, case, images):
        self.seen.append((case, set(images)))
        if not images:
            raise DatasetError(f"case {case}: no image")
        roi = read_labels(self.rois / f"{case}.nii.gz")
        mask = Mask(roi.array > 0, 0.8, 0.1, "threshold", 1, self.flags)
        return SegmentedVolume(mask, roi.geometry)


def drawing(model, study, folder, **settings):
    """A segmenter that draws the ROIs of dataset `study` into `folder`, and the source of ROIs that asks it."""
    segmenter = DrawsAsGiven(study / "labelsTr", **settings)

    def draw(case):
        path = folder / f"{case.id}.nii.gz"
        return automatic(path, draw_roi(segmenter, case.id, case.images, path))

    return segmenter, RoiSource(model.record, draw, lambda case: folder / f"{case}.nii.gz")
