"""Why a case scored as it did: its heat maps, how much of them lies in the tumour, and a sanity check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import spearmanr

from autodls.errors import ArgumentError
from autodls.imaging.geometry import Geometry, Volume, sample_roi
from autodls.imaging.painting import paint_pictures
from autodls.imaging.volumes import write_volume
from autodls.inference.model_folder import LockedModel
from autodls.models.gradcam import ScoreMaps, heat_maps, mean_maps, shuffled, to_input_size
from autodls.models.network import FoldModel
from autodls.preprocessing.planes import Plane
from autodls.preprocessing.store import Sample
from autodls.records.encoders import ENCODER_SPECS, first_cell_px
from autodls.records.heatmap_folder import HeatmapFolder
from autodls.records.plane_names import PlaneName
from autodls.records.scores import FUSED, write_csv

RIM_MM = 5.0
ALL = "all"  # the fused score's maps of all sequences, added up

Maps = NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """Heat maps of one case, each float64 [map, row, column] on the grid of its stored planes.

    A map holds log-odds for the positive class per cell of the feature map (32 px of the input, 8 with resnet8);
    evidence against it is cut off at zero. There is one a plane where the networks take each of the `planes` on its own
    (`network.roi_guided`): it tells where in that plane the evidence lies, and how much of it. Where the planes are the
    channels of one network there is one for all three, which does not tell them apart. A map is 0 outside `crop`, the
    rows and columns that the network saw. `by_sequence` explains each sequence's own score; `fused` the fused score, by
    the sequence whose feature map it is. Sequences that the case lacks are left out.
    """

    case: str
    planes: tuple[Plane, ...]
    crop: tuple[slice, slice]
    by_sequence: Mapping[str, Maps]
    fused: Mapping[str, Maps]

    @property
    def summary(self) -> dict[str, Maps]:
        """The maps of each score: `FUSED`, where the maps of all sequences are added up, and each sequence's own."""
        return {FUSED: np.sum(list(self.fused.values()), axis=0), **self.by_sequence}

    def pictures(self, score: str) -> dict[str, Maps]:
        """The maps that explain `score` (`FUSED` or a sequence), by sequence: what one overlay shows."""
        return dict(self.fused) if score == FUSED else {score: self.by_sequence[score]}

    def on_planes(self, maps: Maps) -> Maps:
        """`maps` as the planes show them, [plane, row, column]: each its own, or all the same."""
        return np.broadcast_to(maps, (len(self.planes), *maps.shape[1:]))


@dataclass(frozen=True)
class MapShare:
    """Where a heat map lies in one plane, which has its own map or shares one with the others (`Explanation`).

    `tumour`, `rim` (up to `RIM_MM` beyond the tumour's edge, within the plane) and `outside` add up to 1: shares of
    the sum of the map; None where the map is 0 everywhere or the plane shows no tumour. The shares of the area that
    the network saw stand beside them: an indifferent map has these shares.
    """

    case: str
    score: str
    sequence: str
    plane: PlaneName
    tumour: float | None
    rim: float | None
    outside: float | None
    tumour_area: float | None
    rim_area: float | None
    outside_area: float | None


@dataclass(frozen=True)
class RandomisedMap:
    """Rank correlation of a heat map with that of the same network with shuffled weights; None for a constant map."""

    case: str
    score: str
    sequence: str
    spearman: float | None


def explain_sample(model: LockedModel, sample: Sample) -> Explanation:
    """Grad-CAM of one stored sample by all folds, for every sequence that it has and for the fused score.

    The networks see the sample as when it is scored: cropped to their input size at its centre.
    """
    crop = _crop(model, sample)
    maps = _heat_maps(model, model.folds, sample, rectified=True)
    names = _present(model, sample)
    size_px, spec = model.plan.preprocessing.input_size_px, ENCODER_SPECS[model.plan.network.encoder]
    place = (size_px, spec.stride_px, first_cell_px(spec.family, size_px, spec.stride_px))

    def paste(cells: Maps) -> Maps:
        picture = np.zeros((len(cells), *sample.pixels.shape[-2:]))
        picture[(slice(None), *crop)] = to_input_size(cells, *place)
        return picture

    return Explanation(
        sample.case,
        sample.planes,
        crop,
        {name: paste(maps.by_sequence[name][0]) for name in names},
        {name: paste(maps.fused[name][0]) for name in names},
    )


def roi_on_planes(roi: Volume, planes: Sequence[Plane]) -> NDArray[np.bool_]:
    """The ROI as the planes show it, [plane, row, column]: the nearest voxel decides for each pixel."""
    return np.stack([sample_roi(roi, plane.points_mm()) for plane in planes])


def shares(explanation: Explanation, rois: NDArray[np.bool_]) -> list[MapShare]:
    """Shares of every heat map inside the tumour, in its rim and outside, one row per score, sequence and plane.

    `rois` is `roi_on_planes`. The fused score has a row for each sequence and one, "all", for their sum. Raises
    ArgumentError when `rois` does not have the planes' shape.
    """
    expected = (len(explanation.planes), *explanation.planes[0].size)
    if rois.shape != expected:
        raise ArgumentError(f"ROI on planes of shape {rois.shape}, expected {expected}; make it with roi_on_planes")
    maps = [(name, name, found) for name, found in explanation.by_sequence.items()]
    maps += [(FUSED, name, found) for name, found in explanation.fused.items()]
    maps.append((FUSED, ALL, explanation.summary[FUSED]))
    regions = [_regions(roi, plane, explanation.crop) for roi, plane in zip(rois, explanation.planes, strict=True)]
    return [
        MapShare(
            explanation.case,
            score,
            sequence,
            plane.name,
            *_split(picture[explanation.crop], of_plane),
            *_split(np.ones_like(picture[explanation.crop]), of_plane),
        )
        for score, sequence, found in maps
        for plane, picture, of_plane in zip(explanation.planes, explanation.on_planes(found), regions, strict=True)
    ]


def randomisation_check(
    model: LockedModel, samples: Sequence[Sample], chance: np.random.Generator
) -> list[RandomisedMap]:
    """Do the maps depend on what the encoders have learned? Adebayo et al. 2018 (arXiv:1810.03292).

    The weights of every layer of every encoder are shuffled, once for all samples, and the maps of the fold average,
    at the size of the feature map, are compared by Spearman's rank correlation. Near 1 or -1, the map shows the
    picture, not what was learned. Maps are compared before rectification: a network of shuffled weights often finds no
    evidence anywhere, and zeros have no ranks. A map has few cells (49 at 224 px), so judge by the mean over cases.
    """
    parts = []
    for fold in model.folds:
        untrained = shuffled(fold, chance)  # one at a time: a copy of all folds may not fit the memory
        parts.append([_heat_maps(model, [untrained], sample, rectified=False) for sample in samples])
    return [
        row
        for index, sample in enumerate(samples)
        for row in _compare(
            sample.case,
            _present(model, sample),
            _heat_maps(model, model.folds, sample, rectified=False),
            mean_maps([of_fold[index] for of_fold in parts]),
        )
    ]


def write_explanation(folder: Path, explanation: Explanation, grid: Geometry) -> list[Path]:
    """Write the map of every score of a case into `folder`, in the patient's own space; return the files.

    `grid` is that of the ROI. Only the voxels that the three planes run through have values, in each plane those of its
    map (see `paint_pictures`).
    """
    paths = []
    for score, maps in explanation.summary.items():
        paths.append(HeatmapFolder(folder).map(explanation.case, score))
        pictures = zip(explanation.planes, explanation.on_planes(maps), strict=True)
        write_volume(paths[-1], paint_pictures(grid, pictures))
    return paths


def write_shares(path: Path, rows: Sequence[MapShare]) -> None:
    """Write the shares of all cases as a table; an undefined share is an empty cell."""
    _write_rows(path, MapShare, rows)


def write_randomisation(path: Path, rows: Sequence[RandomisedMap]) -> None:
    """Write the rank correlations of all cases as a table; an undefined one is an empty cell."""
    _write_rows(path, RandomisedMap, rows)


def _write_rows(path: Path, kind: type[MapShare | RandomisedMap], rows: Sequence[MapShare | RandomisedMap]) -> None:
    header = [field.name for field in fields(kind)]
    write_csv(path, header, [[getattr(row, name) for name in header] for row in rows])


def _heat_maps(model: LockedModel, folds: Sequence[FoldModel], sample: Sample, rectified: bool) -> ScoreMaps:
    rows, columns = _crop(model, sample)
    seen = sample.network_input(roi_guided=model.plan.network.roi_guided)[None, :, :, rows, columns]
    pixels = torch.from_numpy(np.ascontiguousarray(seen))
    return heat_maps(folds, pixels, torch.from_numpy(sample.present[None]), rectified)


def _crop(model: LockedModel, sample: Sample) -> tuple[slice, slice]:
    size_px = model.plan.preprocessing.input_size_px
    top, left = ((side - size_px) // 2 for side in sample.pixels.shape[-2:])
    return slice(top, top + size_px), slice(left, left + size_px)


def _present(model: LockedModel, sample: Sample) -> list[str]:
    return [name for name, present in zip(model.plan.sequences, sample.present, strict=True) if present]


def _regions(roi: NDArray[np.bool_], plane: Plane, crop: tuple[slice, slice]) -> list[NDArray[np.bool_]] | None:
    """Tumour, rim and the rest of the part that the network saw; None where there is no tumour in the plane."""
    if not roi.any():
        return None
    pixel_mm = [float(np.linalg.norm(step)) for step in (plane.row_step_mm, plane.column_step_mm)]
    apart_mm = ndimage.distance_transform_edt(~roi, sampling=pixel_mm)
    rim = (apart_mm > 0) & (apart_mm <= RIM_MM)
    return [region[crop] for region in (roi, rim, ~roi & ~rim)]


def _split(values: NDArray[np.float64], regions: list[NDArray[np.bool_]] | None) -> list[float | None]:
    total = float(values.sum())
    if regions is None or total == 0:
        return [None, None, None]
    return [float(values[region].sum()) / total for region in regions]


def _compare(case: str, names: Sequence[str], trained: ScoreMaps, random: ScoreMaps) -> list[RandomisedMap]:
    def total(maps: Mapping[str, Maps]) -> Maps:
        summed: Maps = np.sum([maps[name] for name in names], axis=0)
        return summed

    rows = [(name, name, trained.by_sequence[name], random.by_sequence[name]) for name in names]
    rows += [(FUSED, name, trained.fused[name], random.fused[name]) for name in names]
    rows.append((FUSED, ALL, total(trained.fused), total(random.fused)))
    return [RandomisedMap(case, score, sequence, _rank_correlation(*maps)) for score, sequence, *maps in rows]


def _rank_correlation(first: Maps, second: Maps) -> float | None:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first.ravel(), second.ravel()).statistic)
