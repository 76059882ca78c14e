"""Automatic ROIs as the nnU-Net stage leaves them, made up from the manual ones: no network is needed."""

import numpy as np
from torch import nn

from autodls.imaging.volumes import Volume, read_labels, write_volume
from autodls.records.cohort import read_cohort
from autodls.records.files import sha256_of_file, write_text
from autodls.records.plan import Plan
from autodls.records.segmentation import SegmentedCase, SegmentedCohort, masks_key, training_key
from autodls.records.splits import Splits
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
