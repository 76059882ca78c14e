"""Automatic against manual ROI of one case, planes of the classifier included: where both packages meet."""

from collections.abc import Sequence

import numpy as np

from autodls.evaluation.agreement import case_agreement, require_one_grid
from autodls.evaluation.agreement_records import CaseAgreement
from autodls.evaluation.plane_agreement import Crop, plane_agreement
from autodls.imaging.geometry import Volume, as_triple
from autodls.preprocessing.planes import Plane, find_planes
from autodls.records.automatic_roi import MaskSource
from autodls.records.preprocessing_plan import PreprocessingPlan


def compare_rois(
    case: str,
    patient: str,
    manual: Volume,
    automatic: Volume,
    plan: PreprocessingPlan,
    source: MaskSource = "threshold",
) -> CaseAgreement:
    """The agreement of two ROIs, bool [z, y, x] on one grid, with the planes and crops that `plan` takes from each.

    `source` says how the automatic one came about. Raises ArgumentError for ROIs on different grids.
    """
    require_one_grid(case, manual, automatic)
    if not (manual.array.any() and automatic.array.any()):
        return case_agreement(case, patient, manual, automatic, source)
    # Headers are rounded when written, so both planes are laid on the manual ROI's grid.
    first, second = (
        _squares(find_planes(roi.array, manual.geometry, plan.spacing_mm, plan.crop_mm)) for roi in (manual, automatic)
    )
    return case_agreement(case, patient, manual, automatic, source, plane_agreement(first, second))


def _squares(planes: Sequence[Plane]) -> dict[str, Crop]:
    return {plane.name: _square(plane) for plane in planes}


def _square(plane: Plane) -> Crop:
    rows, columns = plane.size
    row_step, column_step = np.asarray(plane.row_step_mm), np.asarray(plane.column_step_mm)
    centre = np.asarray(plane.origin_mm) + (rows - 1) / 2 * row_step + (columns - 1) / 2 * column_step
    step_mm = float(np.linalg.norm(row_step))
    return Crop(
        as_triple(centre), as_triple(row_step / step_mm), as_triple(column_step / step_mm), side_mm=rows * step_mm
    )
