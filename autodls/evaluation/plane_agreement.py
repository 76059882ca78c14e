"""What a 2.5D classifier feels of an ROI that is not the manual one: other planes, and other crops in them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from autodls.errors import ArgumentError
from autodls.imaging.geometry import Points, Triple
from autodls.records.base import Record

_PARALLEL = 1e-6


@dataclass(frozen=True)
class Crop:
    """A crop in the patient: its centre in LPS mm, the unit vectors along its rows and columns, its side."""

    centre_mm: Triple
    row_axis: Triple
    column_axis: Triple
    side_mm: float

    @property
    def normal(self) -> Points:
        """The unit vector [3] at right angles to the plane."""
        return np.cross(self.row_axis, self.column_axis)


class PlaneAgreement(Record):
    """One plane of the classifier's sample, chosen by the automatic ROI instead of the manual one."""

    plane_error_mm: float = Field(description="distance between both planes")
    crop_iou: float = Field(description="overlap of both squares over their union, in the plane, as if it were one")


def plane_agreement(manual: Mapping[str, Crop], automatic: Mapping[str, Crop]) -> dict[str, PlaneAgreement]:
    """Both squares of every plane compared; raises ArgumentError for squares that do not lie alike.

    >>> there = Crop((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), 10.0)
    >>> moved = Crop((5.0, 0.0, 3.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), 10.0)
    >>> found = plane_agreement({"axial": there}, {"axial": moved})["axial"]
    >>> found.plane_error_mm, round(found.crop_iou, 3)
    (3.0, 0.333)
    """
    if manual.keys() != automatic.keys():
        raise ArgumentError(f"planes {sorted(manual)} against {sorted(automatic)}: they must be the same")
    return {name: _agreement(name, manual[name], automatic[name]) for name in manual}


def _agreement(name: str, manual: Crop, automatic: Crop) -> PlaneAgreement:
    for axis, other in ((manual.row_axis, automatic.row_axis), (manual.column_axis, automatic.column_axis)):
        if not np.allclose(axis, other, atol=_PARALLEL):
            raise ArgumentError(f"{name} plane: axis {axis} against {other}; both ROIs must lie on one grid")
    apart = np.subtract(automatic.centre_mm, manual.centre_mm)
    overlap = 1.0
    for axis in (manual.row_axis, manual.column_axis):
        overlap *= _shared_mm(float(apart @ np.asarray(axis)), manual.side_mm, automatic.side_mm)
    union = manual.side_mm**2 + automatic.side_mm**2 - overlap
    return PlaneAgreement(plane_error_mm=abs(float(apart @ manual.normal)), crop_iou=overlap / union)


def _shared_mm(apart_mm: float, first_mm: float, second_mm: float) -> float:
    """Overlap of two intervals whose centres are `apart_mm` apart."""
    return max(0.0, min(first_mm, second_mm, (first_mm + second_mm) / 2 - abs(apart_mm)))
