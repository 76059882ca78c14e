"""The mask of every training case, drawn by the one network that was not trained on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autodls.errors import AutoDLSError, StaleRecordError
from autodls.imaging.geometry import Volume
from autodls.imaging.volumes import read_volume, write_volume
from autodls.parallel import Advance
from autodls.records.case import Case
from autodls.records.files import sha256_of_file
from autodls.records.segmentation import SegmentedCase, SegmentedCohort, masks_key
from autodls.segmentation.environment import nnunet
from autodls.segmentation.masks import mask_from_probability
from autodls.segmentation.run import RESTART, SegmentationRun, is_trained
from autodls.segmentation.segmenter import mirror_axes_of
from autodls.segmentation.training_files import TrainingFiles, roi_grid

if TYPE_CHECKING:
    from autodls.segmentation.probabilities import ProbabilityMaps


def draw_masks(run: SegmentationRun, folds: Sequence[int], advance: Advance) -> SegmentedCohort:
    """Draw the cases that each of `folds` did not see, by that fold alone; masks that still fit are kept.

    The record holds all masks drawn so far by the same plan. `advance` is called with each case. Raises AutoDLSError
    for a fold that is not trained.
    """
    record = _current(run)
    for index in folds:
        if not is_trained(run, index):
            raise AutoDLSError(f"segmentation fold {index} is not trained; run 'autodls segment fold {index}'")
        record = _draw_fold(run, index, record, advance)
    return record


def _current(run: SegmentationRun) -> SegmentedCohort:
    """The record on disk as far as its rows still fit."""
    key, path = masks_key(run.plan, run.splits), run.workspace.segmented
    rows: tuple[SegmentedCase, ...] = ()
    if path.exists():
        found = SegmentedCohort.load(path, RESTART, StaleRecordError)
        rows = tuple(row for row in found.cases if found.key == key and _fits(run, row))
    return SegmentedCohort(key=key, cases=rows)


def _fits(run: SegmentationRun, row: SegmentedCase) -> bool:
    """Whether mask and network are those of the row, and the network the one that did not see the case."""
    made = {
        run.workspace.auto_roi(row.case): row.mask_sha256,
        run.workspace.segmentation.segmenter.fold(row.fold): row.weights_sha256,
    }
    same = all(path.is_file() and sha256_of_file(path) == sha256 for path, sha256 in made.items())
    return same and row.case in run.splits.folds[row.fold].validation


def _draw_fold(run: SegmentationRun, index: int, record: SegmentedCohort, advance: Advance) -> SegmentedCohort:
    cases, known = {case.id: case for case in run.cases}, record.by_case
    folder, segmentation = run.workspace.segmentation, run.plan.segmentation
    waiting = [case for case in run.splits.folds[index].validation if case not in known]
    for case in set(run.splits.folds[index].validation) - set(waiting):
        advance(case)
    if not waiting:
        return record
    with nnunet(folder):
        from autodls.segmentation.probabilities import ProbabilityMaps

        axes = mirror_axes_of(segmentation)
        maps = ProbabilityMaps(folder.segmenter, segmentation.configuration, axes, [index], run.device)
        for case in waiting:
            known[case] = _draw(run, cases[case], maps, index)
            record = SegmentedCohort(key=record.key, cases=tuple(known[name] for name in sorted(known)))
            record.save(run.workspace.segmented)
            advance(case)
    return record


def _draw(run: SegmentationRun, case: Case, maps: "ProbabilityMaps", index: int) -> SegmentedCase:
    """Draw one case by the only network of `maps`; its own hash is recorded, which `load_masks` holds to the fold's."""
    (network,) = maps.weights
    grid = roi_grid(case, run.plan.preprocessing.roi_channel)
    files = TrainingFiles.load(run.workspace.segmentation.files(case.id), RESTART, StaleRecordError)
    channels = np.stack([read_volume(Path(path)).array for path in files.images])
    mask = mask_from_probability(maps.of(channels, grid.spacing_mm), grid.spacing_mm, run.plan.segmentation.mask)
    path = run.workspace.auto_roi(case.id)
    write_volume(path, Volume(mask.array, grid))
    return SegmentedCase(
        case=case.id,
        fold=index,
        weights_sha256=network.sha256,
        mask_sha256=sha256_of_file(path),
        source=mask.source,
        confidence=mask.confidence,
        disagreement=mask.disagreement,
        components=mask.components,
        volume_mm3=float(np.count_nonzero(mask.array) * np.prod(grid.spacing_mm)),
        flags=mask.flags,
    )
