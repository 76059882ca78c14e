"""The one door through which a mask comes onto the grid of its image."""

from dataclasses import dataclass
from pathlib import Path

from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.lattice import onto_grid
from autodls.imaging.volumes import label_doubt, read_roi


@dataclass(frozen=True)
class RoiOnImage:
    """An ROI as bool or labels [z, y, x], and what a person should know of how it was read; `untouched` if nothing was
    done.

    It lies on the grid of its image wherever that took no interpolation.
    """

    volume: Volume
    notes: tuple[str, ...]

    @property
    def untouched(self) -> bool:
        """Whether the file says the same without us."""
        return not self.notes


def read_roi_on(path: Path, labels: frozenset[int], image: Geometry | None, *, keep_values: bool = False) -> RoiOnImage:
    """Where the ROI image `path` has one of `labels`, on the grid of its `image` (None where there is none).

    Only exact changes are made, see `onto_grid`; an ROI that would have to be resampled is returned as it lies, and
    refused by who needs it on the image; to `keep_values` as there. Raises DatasetError as `read_roi`.
    """
    roi = read_roi(path, labels, keep_values=keep_values)
    doubt = label_doubt(path)
    notes = (doubt,) if doubt else ()
    if image is None or roi.geometry.same_grid(image):
        return RoiOnImage(roi, notes)
    placed = onto_grid(roi, image)
    if placed is None:
        return RoiOnImage(roi, notes)
    return RoiOnImage(placed.volume, (*notes, f"brought onto the grid of its image without resampling: {placed.done}"))
