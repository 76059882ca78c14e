"""All sequences of a case on one grid, as nnU-Net needs them: that of the ROI channel."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autodls.errors import DatasetError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.inside import SMALLEST_OVERLAP, common_share
from autodls.imaging.registration import register_rigid
from autodls.imaging.resampling import resample
from autodls.imaging.volumes import read_volume
from autodls.records.plan import Plan
from autodls.records.segmenter import SegmenterRecord

_SAME_SPACING = 1e-5  # relative; nnU-Net refuses images of one case whose spacings differ by more


@dataclass(frozen=True)
class Framed:
    """One sequence on the grid of the ROI channel; `untouched` where it is the very image that was read."""

    volume: Volume
    untouched: bool


@dataclass(frozen=True)
class Framing:
    """Which sequences there are, whose grid is the frame, and whether the others are registered to it."""

    sequences: tuple[str, ...]
    roi_channel: str
    registration: Literal["none", "geometry", "rigid", "auto"]

    @classmethod
    def of(cls, source: Plan | SegmenterRecord) -> "Framing":
        """The framing of a plan, or of a trained segmenter."""
        part = source.preprocessing if isinstance(source, Plan) else source
        return cls(source.sequences, part.roi_channel, part.registration)

    def frame(self, images: Mapping[str, Path], grid: Geometry) -> dict[str, Framed]:
        """The sequences of `images` on `grid`, which is that of the ROI channel's image where there is one.

        Sequences without an image are left out, and those that a registration finds elsewhere without being certain
        where. Raises DatasetError for an image that cannot be read.
        """
        volumes = {name: read_volume(images[name]) for name in self.sequences if name in images}
        fixed = volumes.get(self.roi_channel)
        framed = {name: self._framed(volume, fixed, grid) for name, volume in volumes.items()}
        return {name: found for name, found in framed.items() if found is not None}

    def channels(self, images: Mapping[str, Path], grid: Geometry) -> NDArray[np.float32]:
        """Network input [channel, z, y, x] on `grid`; a sequence without an image is zero.

        Raises DatasetError as `frame`, and where every voxel is zero.
        """
        framed = self.frame(images, grid)
        empty = np.zeros(grid.size_xyz[::-1], dtype=np.float32)
        stacked = np.stack([framed[name].volume.array if name in framed else empty for name in self.sequences])
        if not stacked.any():
            raise DatasetError(f"every voxel of {sorted(images)} is 0; export the images anew")
        return stacked.astype(np.float32)

    def _framed(self, volume: Volume, fixed: Volume | None, grid: Geometry) -> Framed | None:
        """None for a sequence of which nobody knows where it lies."""
        move = None
        if fixed is not None and volume is not fixed and self._registers(volume, fixed):
            found = register_rigid(fixed, volume)
            if found.outcome == "refused":
                return None
            move = found.matrix if found.accepted else None
        if move is not None or not volume.geometry.same_grid(grid):
            return Framed(resample(volume, grid, grid_to_volume=move), untouched=False)
        same = np.allclose(volume.geometry.spacing_mm, grid.spacing_mm, rtol=_SAME_SPACING)
        return Framed(Volume(volume.array, grid), untouched=bool(same))

    def _registers(self, volume: Volume, fixed: Volume) -> bool:
        """Whether the sequence is registered; "auto" has no tumour to go by, so the volumes themselves decide."""
        if self.registration != "auto":
            return self.registration == "rigid"
        return common_share(volume.geometry, fixed.geometry) < SMALLEST_OVERLAP
