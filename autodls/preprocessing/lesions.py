"""The lesions of one case: a choice of planes for each, and what is to be said of how they were told apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autodls.errors import DatasetError
from autodls.imaging.geometry import Points, Volume, sample_roi
from autodls.imaging.inside import roi_points
from autodls.imaging.lesions import LesionPlace, Lesions, tell_lesions
from autodls.preprocessing.planes import Choice, Plane, choose_planes
from autodls.preprocessing.shown import left_out
from autodls.records.preprocessing_plan import LesionPlan, PreprocessingPlan

_POINTS = 5_000  # of a tumour, at which an image is asked whether it has any signal


@dataclass(frozen=True)
class Target:
    """What one set of planes is chosen by: the whole tumour of a case, or one lesion, which has a `place`.

    `inside_mm` are points in it, [n, 3] LPS mm; `stored` the planes at their stored size, `roi` the target in them,
    bool [plane, row, column].
    """

    choice: Choice
    inside_mm: Points
    stored: tuple[Plane, ...]
    roi: NDArray[np.bool_]
    place: LesionPlace | None = None

    def flags(self, plan: PreprocessingPlan) -> Iterator[str]:
        """What its planes do not show."""
        if self.choice.planes[0].area_mm2 == 0:
            yield f"the tumour is smaller than the grid of {plan.spacing_mm:g} mm: planes through its centre"
        if unseen := left_out(self.choice.shown):
            yield unseen

    def named(self, text: str, of: Sequence["Target"]) -> str:
        """`text`, and which of the lesions it is said of, where there are several."""
        return text if self.place is None or len(of) == 1 else f"lesion {self.place.number}: {text}"


def targets_of(drawn: Volume, plan: PreprocessingPlan, flags: list[str]) -> list[Target]:
    """What planes are chosen by in the ROI `drawn` [z, y, x]: all of it, or each of its lesions, the largest first.

    Adds to `flags`. Raises DatasetError for an empty ROI, and for more lesions than `plan` takes.
    """
    if plan.lesions is None:
        return [_target(drawn, plan)]
    if not drawn.array.any():
        raise DatasetError("the ROI is empty; draw the tumour, or leave the case out")
    lesions = tell_lesions(drawn, plan.lesions.told_by, plan.lesions.least_mm3)
    _require_few(lesions, plan.lesions)
    flags += _told(lesions, plan.lesions)
    return [_target(lesions.mask(place.number), plan, place) for place in lesions.places]


def require_values(labels: frozenset[int], plan: LesionPlan | None) -> None:
    """Raise DatasetError where lesions are told apart by values of an ROI that has one alone."""
    if plan is not None and plan.told_by == "labels" and len(labels) < 2:
        raise DatasetError(
            f"lesions are told apart by the labels of the ROI, and this one has {sorted(labels)} alone, as automatic "
            'ROIs do; give a manual ROI with a label a lesion, or plan with "lesions": "components"'
        )


def _target(mask: Volume, plan: PreprocessingPlan, place: LesionPlace | None = None) -> Target:
    choice = choose_planes(mask.array, mask.geometry, plan.spacing_mm, plan.crop_mm, plan.seen_mm)
    stored = tuple(plane.resized(plan.slice_size_px) for plane in choice.planes)
    roi = np.stack([sample_roi(mask, plane.points_mm()) for plane in stored])
    return Target(choice, roi_points(mask, _POINTS), stored, roi, place)


def _require_few(lesions: Lesions, plan: LesionPlan) -> None:
    if (found := len(lesions.places)) > plan.most:
        raise DatasetError(
            f"the ROI has {found} lesions of {plan.least_mm3:g} mm3 or more, expected at most {plan.most}; remove what "
            "is no lesion from it, or train with a larger preprocessing.lesions.most in plan.json"
        )


def _told(lesions: Lesions, plan: LesionPlan) -> Iterator[str]:
    if lesions.merged:
        parts = "1 part of the ROI is" if lesions.merged == 1 else f"{lesions.merged} parts of the ROI are"
        yield f"{parts} smaller than {plan.least_mm3:g} mm3, no lesion by itself, and taken to the nearest lesion"
    if (largest := 1000 * lesions.places[0].volume_ml) < plan.least_mm3:
        yield f"no part of the ROI has {plan.least_mm3:g} mm3: it is taken as one lesion of {largest:.3g} mm3"
