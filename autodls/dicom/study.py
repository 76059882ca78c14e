"""A study as results are written back to it: volumes that import's readers found, with what of their headers it needs.

Where planes lie and what they hold is told by `stacks` and `volume`; here are the references alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autodls.dicom.door import pydicom, same_needed
from autodls.dicom.headers import Frame
from autodls.dicom.reading import items, read_dataset, silent
from autodls.dicom.series import Part
from autodls.dicom.stacks import UnfitError
from autodls.dicom.volume import read_stack
from autodls.errors import DatasetError, InputError
from autodls.imaging.geometry import Geometry, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NEEDED = (
    "Rows",
    "Columns",
    "FrameOfReferenceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
)


@dataclass(frozen=True)
class SourceSeries:
    """A volume of a study and the grid of its planes; what is said of it begins with `name`."""

    part: Part
    geometry: Geometry
    name: str

    @classmethod
    def of(cls, part: Part, name: str) -> "SourceSeries":
        """Raises DatasetError where the planes of `part` are no volume."""
        if part.stack.geometry is None:
            raise DatasetError(f"{name}: {part.stack.refused}; export the series anew, or name another one")
        return cls(part, part.stack.geometry, name)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The planes in the order of z."""
        return self.part.stack.frames

    @cached_property
    def datasets(self) -> "tuple[Dataset, ...]":
        """What references need of the header of each file: slices in the order of z, or multi-frame images.

        Raises DatasetError where a header cannot be read, or lacks what a reference needs.
        """
        planes: dict[Path, list[Frame]] = {}
        for frame in self.frames:
            planes.setdefault(frame.path, []).append(frame)
        try:
            with silent():
                return tuple(self._header(path, frames) for path, frames in planes.items())
        except InputError:
            raise
        except Exception as failure:  # a value that is not what its element is for
            raise DatasetError(
                f"{self.name}: a header cannot be read ({type(failure).__name__}); export the series anew"
            ) from None

    def _header(self, path: Path, frames: list[Frame]) -> "Dataset":
        read = read_dataset(path)
        made, step_mm = same_needed(read), self.geometry.spacing_mm[2]
        if missing := [word for word in _NEEDED if not made.get(word)]:
            raise DatasetError(f"{self.name}: a slice without {', '.join(missing)}; export the series anew")
        if groups := items(read, "PerFrameFunctionalGroupsSequence"):
            _group(made, len(groups), frames, self.geometry)
        else:
            made.setdefault("SliceThickness", f"{step_mm:.6g}")  # which readers of a segmentation need
        return made

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return self.part.series

    @property
    def instance_uids(self) -> tuple[str, ...]:
        """SOPInstanceUID of each file, in the order of `datasets`."""
        return tuple(dict.fromkeys(frame.uid for frame in self.frames))

    def as_stored(self, planes: NDArray[Any]) -> NDArray[Any]:
        """`planes` [z, y, x] frame by frame as `datasets` hold them; frames of no plane are zero.

        Raises DatasetError where the planes lie in several multi-frame images: no segmentation refers to more than one.
        """
        count = self.datasets[0].get("NumberOfFrames")
        if count is None:
            return planes
        if len(self.datasets) > 1:
            raise DatasetError(
                f"{self.name}: its planes lie in {len(self.datasets)} multi-frame images, and a segmentation refers to "
                "one; export them as one, or as single slices"
            )
        stored = np.zeros((int(count), *planes.shape[1:]), dtype=planes.dtype)
        stored[[frame.index for frame in self.frames]] = planes
        return stored


@dataclass(frozen=True)
class SourceStudy:
    """One case: series by the channel of the model that they are; `roi_channel` names that on which the ROI lies.

    `case` names nobody.
    """

    case: str
    series: Mapping[str, SourceSeries]
    roi_channel: str

    @property
    def reference(self) -> SourceSeries:
        """The series on whose grid the ROI lies."""
        return self.series[self.roi_channel]

    def volume(self, channel: str) -> Volume:
        """The voxels of a channel [z, y, x] as an import has them: rescaled, PET in SUV; raises DatasetError."""
        series = self.series[channel]
        try:
            return read_stack(series.part.stack, series.part.facts.modality)
        except UnfitError as failure:
            raise DatasetError(f"{series.name}: {failure}; export the series anew, or name another one") from None
        except OSError as failure:
            raise DatasetError(f"{series.name}: its files cannot be read ({failure.strerror})") from None


def _group(made: "Dataset", count: int, frames: list[Frame], grid: Geometry) -> None:
    """Give the header of a multi-frame image the places of its frames.

    Those of other volumes are put beyond the last plane, one by one: highdicom wants no two at one place, and writes
    none that is empty.
    """
    library = pydicom()
    new, decimal = library.dataset.Dataset, library.valuerep.format_number_as_ds
    shared, orientation, measures = new(), new(), new()
    orientation.ImageOrientationPatient = [decimal(value) for value in frames[0].orientation]
    measures.PixelSpacing = [decimal(value) for value in frames[0].spacing_mm]
    measures.SliceThickness = measures.SpacingBetweenSlices = f"{grid.spacing_mm[2]:.6g}"
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    place_of = {frame.index: frame.position_mm for frame in frames}
    groups = []
    for index in range(count):
        own, position = new(), new()
        place = place_of.get(index) or grid.index_to_physical([0, 0, grid.size_xyz[2] + index]).tolist()
        position.ImagePositionPatient = [decimal(mm) for mm in place]
        own.PlanePositionSequence = [position]
        groups.append(own)
    made.update(orientation)  # of the first plane, as of a slice: the report asks for it, and leaves it out in the end
    made.update(measures)
    made.ImagePositionPatient = groups[frames[0].index].PlanePositionSequence[0].ImagePositionPatient
    made.NumberOfFrames = count
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], groups
