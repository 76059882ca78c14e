"""One case from files to arrays, for programs that have images and a plan, and no dataset folder."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.preprocessing.case import prepare_case
from autodls.preprocessing.store import Sample
from autodls.records.plan import Plan
from autodls.records.preprocessing_plan import PreprocessingPlan

PathLike = str | os.PathLike[str]


def preprocess_case(
    images: Mapping[str, PathLike],
    roi: PathLike,
    plan: Plan | PreprocessingPlan | PathLike,
    *,
    roi_labels: Collection[int] = (1,),
    case: str = "case",
) -> Sample:
    """Make the 2.5D sample of one case, as training and scoring make it; nothing is written.

    Parameters
    ----------
    images : mapping of sequence to image file
        Sequences are named as in the plan; one that the case lacks is left out, and is zeros in the result.
    roi : image file
        The tumour, drawn on the grid of the plan's ROI channel.
    plan : Plan, its `preprocessing`, or a file plan.json
    roi_labels : values of the ROI that mean tumour
    case : name of the case in errors

    Returns
    -------
    Sample
        `pixels` float32 [sequence, plane, row, column], normalised intensities without a unit, sequences in the order
        of the plan, planes axial, sagittal, coronal, `slice_size_px` a side; `present` bool [sequence]; `roi` bool
        [plane, row, column]; `planes`, each with the place of every pixel in the patient (`points_mm()`: LPS, mm, [row,
        column, 3]); `flags` and `shown`, what a person should know. A network sees the middle `input_size_px` of each
        plane.

    Raises
    ------
    ArgumentError
        A plan that is none of the above, or ROI labels that are none.
    DatasetError
        A file that cannot be read, a sequence that the plan does not have, an empty ROI, one on another grid.
    PlanError
        A plan file that is missing or not valid.

    References
    ----------
    Planes of the largest tumour area in three directions: Ding et al. 2025, doi:10.1186/s40644-025-00837-5.
    """
    if not roi_labels or 0 in roi_labels:
        raise ArgumentError(f"roi_labels {sorted(roi_labels)}: expected the values that mean tumour, such as (1,)")
    files = {sequence: Path(path) for sequence, path in images.items()}
    return prepare_case(case, files, Path(roi), frozenset(roi_labels), _preprocessing(plan))


def _preprocessing(plan: Plan | PreprocessingPlan | PathLike) -> PreprocessingPlan:
    if isinstance(plan, PreprocessingPlan):
        return plan
    if isinstance(plan, Plan):
        return plan.preprocessing
    if isinstance(plan, str | os.PathLike):
        return Plan.load(Path(plan), "give the plan.json of a workspace or of a model").preprocessing
    raise ArgumentError(f"plan: {type(plan).__name__}, expected a Plan, its preprocessing, or the path of a plan.json")
