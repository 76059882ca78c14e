"""How well an automatic ROI agrees with the manual one of the same case.

Surfaces are compared by MONAI. What cannot be had is None with a reason, never 0: there is no distance to an ROI that
is empty. Terms and pitfalls: Maier-Hein et al. 2024, Nature Methods (10.1038/s41592-023-02151-z).
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from numpy.typing import NDArray
from scipy import ndimage

from autodls.errors import ArgumentError
from autodls.evaluation.agreement_records import CaseAgreement
from autodls.evaluation.plane_agreement import PlaneAgreement
from autodls.imaging.geometry import Volume, bounding_box
from autodls.imaging.lattice import describe_grid
from autodls.imaging.perturbation import centroid_mm
from autodls.records.automatic_roi import MaskSource

SURFACE_TOLERANCE_MM = 2.0
DISTANCE_PERCENTILE = 95.0
_NOT_FOUND = "no tumour was found: the whole field is the ROI"
TOUCHING = np.ones((3, 3, 3), dtype=np.bool_)  # voxels that share a corner belong to one lesion

Bools = NDArray[np.bool_]


def case_agreement(
    case: str,
    patient: str,
    manual: Volume,
    automatic: Volume,
    source: MaskSource = "threshold",
    planes: Mapping[str, PlaneAgreement] | None = None,
) -> CaseAgreement:
    """The agreement of two ROIs, bool [z, y, x] on one grid; `source` says how the automatic one came about.

    `planes` is what a 2.5D classifier feels of the difference; see `plane_agreement`. Raises ArgumentError for ROIs on
    different grids.
    """
    require_one_grid(case, manual, automatic)
    nothing = source == "whole-field"
    found = Volume(np.zeros_like(automatic.array), automatic.geometry) if nothing else automatic
    voxel_mm3 = float(np.prod(manual.geometry.spacing_mm))
    metrics, undefined = _surfaces_and_centres(manual, found)
    measured = {
        **_volumes(manual.array, found.array, voxel_mm3), **metrics, **_lesions(manual.array, found.array)
    }  # fmt: skip
    if nothing:
        errors = ("volume_error_mm3", "volume_error_percent")
        measured |= dict.fromkeys(errors)
        undefined |= dict.fromkeys([*undefined, *errors], _NOT_FOUND)
    named = {"case": case, "patient": patient, "source": source, "planes": dict(planes or {}), "undefined": undefined}
    return CaseAgreement.model_validate({**named, **measured})


def require_one_grid(case: str, manual: Volume, automatic: Volume) -> None:
    """Raise ArgumentError for ROIs on different grids, naming both."""
    if not manual.geometry.same_grid(automatic.geometry):
        raise ArgumentError(
            f"case {case}: the manual ROI has {describe_grid(manual.geometry)}, the automatic one "
            f"{describe_grid(automatic.geometry)}; resample one onto the other"
        )


def _volumes(manual: Bools, automatic: Bools, voxel_mm3: float) -> dict[str, float | None]:
    sizes = {"manual_mm3": manual, "automatic_mm3": automatic, "overlap_mm3": manual & automatic}
    volumes = {name: int(np.count_nonzero(array)) * voxel_mm3 for name, array in sizes.items()}
    return {**volumes, "volume_error_mm3": volumes["automatic_mm3"] - volumes["manual_mm3"]}


def _surfaces_and_centres(manual: Volume, automatic: Volume) -> tuple[dict[str, float | None], dict[str, str]]:
    """Metrics that can be undefined, and the reasons of those that are."""
    names = ("dice", "surface_dice_2mm", "hd95_mm", "volume_error_percent", "centroid_error_mm")
    empty = [name for name, roi in (("manual", manual), ("automatic", automatic)) if not roi.array.any()]
    if len(empty) == 2:
        return dict.fromkeys(names), dict.fromkeys(names, "both ROIs are empty")
    if empty:
        values: dict[str, float | None] = dict.fromkeys(names)
        values |= {"dice": 0.0, "surface_dice_2mm": 0.0}
        if empty == ["automatic"]:
            values["volume_error_percent"] = -100.0
        reason = f"the {empty[0]} ROI is empty"
        return values, {name: reason for name, value in values.items() if value is None}
    first, second = int(np.count_nonzero(manual.array)), int(np.count_nonzero(automatic.array))
    surface_dice, distance_mm = _surface_metrics(manual, automatic)
    return {
        "dice": 2 * int(np.count_nonzero(manual.array & automatic.array)) / (first + second),
        "surface_dice_2mm": surface_dice,
        "hd95_mm": distance_mm,
        "volume_error_percent": 100 * (second - first) / first,
        "centroid_error_mm": float(np.linalg.norm(centroid_mm(automatic) - centroid_mm(manual))),
    }, {}


def _surface_metrics(manual: Volume, automatic: Volume) -> tuple[float, float]:
    """Surface Dice and 95 % Hausdorff distance in mm of two ROIs that are not empty.

    The surface Dice weighs each piece of surface by its area (Nikolov et al. 2021, 10.2196/26151), as voxels are not
    cubes; the distance is between voxel centres.
    """
    box = bounding_box(manual.array | automatic.array)
    pair: list[Any] = [torch.from_numpy(np.pad(roi.array[box], 1))[None, None] for roi in (automatic, manual)]
    spacing_zyx = list(manual.geometry.spacing_mm[::-1])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="monai")  # MONAI warns of its own calls
        surface_dice = compute_surface_dice(
            *pair, [SURFACE_TOLERANCE_MM], include_background=True, spacing=spacing_zyx, use_subvoxels=True
        )
        distance_mm = compute_hausdorff_distance(
            *pair, include_background=True, percentile=DISTANCE_PERCENTILE, spacing=spacing_zyx
        )
    return float(surface_dice), float(distance_mm)


def _lesions(manual: Bools, automatic: Bools) -> dict[str, int]:
    (manual_lesions, missed), (automatic_lesions, wrong) = (
        _parts(roi, other) for roi, other in ((manual, automatic), (automatic, manual))
    )
    return {
        "manual_lesions": manual_lesions,
        "automatic_lesions": automatic_lesions,
        "missed_lesions": missed,
        "wrong_lesions": wrong,
    }


def _parts(roi: Bools, other: Bools) -> tuple[int, int]:
    """How many connected parts `roi` has, and how many of them do not overlap with `other` at all."""
    labels, count = ndimage.label(roi, structure=TOUCHING)
    return int(count), int(count) - np.unique(labels[roi & other]).size
