"""Where the points of the ROI channel lie in another sequence of a case."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodls.imaging.geometry import Points, Volume
from autodls.imaging.inside import SMALLEST_OVERLAP, shown_share
from autodls.imaging.volumes import read_volume
from autodls.records.preprocessing_plan import PreprocessingPlan

MISSING = "and is taken as missing"


@dataclass(frozen=True)
class Motion:
    """From the frame of the ROI to the sequence, [4, 4] or None for none; what to say of it; whether it is trusted."""

    matrix: NDArray[np.float64] | None = None
    flag: str | None = None
    trusted: bool = True


@dataclass(frozen=True)
class Alignment:
    """How the sequences of one case are brought together by the plan; `box_mm` [n, 3] is the tumour's box.

    "rigid" registers every sequence; "auto" those alone whose header puts them beside the tumour.
    """

    images: Mapping[str, Path]
    plan: PreprocessingPlan
    box_mm: Points

    @property
    def flags(self) -> list[str]:
        """What is to be said where the plan registers to an image that is missing."""
        lost = self.plan.registration == "rigid" and self.plan.roi_channel not in self.images
        return [f"not registered: {self.plan.roi_channel} is missing"] if lost else []

    @cached_property
    def _fixed(self) -> Volume:
        return read_volume(self.images[self.plan.roi_channel])

    def of(self, sequence: str, volume: Volume) -> Motion:
        """Where `sequence` lies, whose image is `volume`."""
        registration = self.plan.registration
        here = sequence == self.plan.roi_channel or self.plan.roi_channel not in self.images
        if here or registration not in ("rigid", "auto"):
            return Motion()
        shown = shown_share(self.box_mm, volume.geometry)
        beside = shown < SMALLEST_OVERLAP
        if registration == "auto" and not beside:
            return Motion()
        from autodls.imaging.registration import register_rigid  # SimpleITK: most plans do without

        found = register_rigid(self._fixed, volume)
        if found.accepted:
            why = f"by its header it shows {shown:.0%} of the tumour's box; " if beside else ""
            moved = f"{sequence} moved by {found.translation_mm:.0f} mm: {why}{found.reason}"
            return Motion(found.matrix, moved if beside or found.is_far else None)
        if found.outcome == "left" and not beside:
            return Motion(None, f"{sequence} left where it is: {found.reason}")
        where = f"shows {shown:.0%} of the tumour's box by its header" if beside else "fits better elsewhere"
        return Motion(None, f"{sequence} {where}, is not registered ({found.reason}), {MISSING}", trusted=False)
