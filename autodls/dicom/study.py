"""A study as results are written back to it: volumes that import's readers found, with what of their headers it needs.

Where planes lie and what they hold is told by `stacks` and `volume`; here are the references alone.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.dicom.door import pydicom, same_needed
from autodls.dicom.headers import Frame
from autodls.dicom.lossy import keep_loss
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
        """What reports need of the header of each file: slices in the order of z, or multi-frame images.

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
        made = same_needed(read)
        if missing := [word for word in _NEEDED if not made.get(word)]:
            raise DatasetError(f"{self.name}: a slice without {', '.join(missing)}; export the series anew")
        keep_loss(made, read)
        if groups := items(read, "PerFrameFunctionalGroupsSequence"):
            made.NumberOfFrames = len(groups)
            _place(made, frames[0])  # the report asks for it, and leaves it out in the end
        made.setdefault("SliceThickness", f"{self.geometry.spacing_mm[2]:.6g}")  # readers of a segmentation need it
        return made

    @cached_property
    def slices(self) -> "tuple[Dataset, ...]":
        """A header a plane, in the order of z, as a segmentation is made on; raises as `datasets`.

        A frame of a multi-frame image stands as a slice of its own here; `refer` says which one it is.
        """
        header_of = dict(zip(dict.fromkeys(frame.path for frame in self.frames), self.datasets, strict=True))
        return tuple(
            _slice(header, frame, f"2.25.{at}") if "NumberOfFrames" in (header := header_of[frame.path]) else header
            for at, frame in enumerate(self.frames, start=1)
        )

    def refer(self, made: "Dataset") -> None:
        """Let `made`, a segmentation on `slices`, refer to the frames of multi-frame images that they stand for."""
        files = {one.SOPInstanceUID: one for one in self.datasets}
        frames = {one.SOPInstanceUID: frame for one, frame in zip(self.slices, self.frames, strict=True)}
        for drawn in made.PerFrameFunctionalGroupsSequence:
            for source in drawn.DerivationImageSequence[0].SourceImageSequence:
                frame = frames[source.ReferencedSOPInstanceUID]
                if "NumberOfFrames" in files[frame.uid]:
                    _name(source, files[frame.uid])
                    source.ReferencedFrameNumber = frame.index + 1
        named = [_name(pydicom().dataset.Dataset(), file) for file in self.datasets]
        made.SourceImageSequence, made.ReferencedSeriesSequence[0].ReferencedInstanceSequence = named, named

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return self.part.series

    @property
    def instance_uids(self) -> tuple[str, ...]:
        """SOPInstanceUID of each file, in the order of `datasets`."""
        return tuple(dict.fromkeys(frame.uid for frame in self.frames))


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

    @property
    def losses(self) -> tuple[str, ...]:
        """What is to be said of a score: which images were compressed with loss."""
        return tuple(f"{name} was {one.part.loss}" for name, one in self.series.items() if one.part.loss)

    def volume(self, channel: str) -> Volume:
        """The voxels of a channel [z, y, x] as an import has them: rescaled, PET in SUV; raises DatasetError."""
        series = self.series[channel]
        try:
            return read_stack(series.part.stack, series.part.facts.modality)
        except UnfitError as failure:
            raise DatasetError(f"{series.name}: {failure}; export the series anew, or name another one") from None
        except OSError as failure:
            raise DatasetError(f"{series.name}: its files cannot be read ({failure.strerror})") from None


def _place(made: "Dataset", frame: Frame) -> None:
    """Say of a header where the plane of `frame` lies, as that of a slice does."""
    decimal = pydicom().valuerep.format_number_as_ds
    made.ImagePositionPatient = [decimal(mm) for mm in frame.position_mm]
    made.ImageOrientationPatient = [decimal(value) for value in frame.orientation]
    made.PixelSpacing = [decimal(mm) for mm in frame.spacing_mm]


def _slice(header: "Dataset", frame: Frame, uid: str) -> "Dataset":
    """The header of a multi-frame image as that of a slice, its frame `frame`, under the unique id `uid`.

    highdicom takes the frames of one image alone, all of them, and each at a place of its own.
    """
    made = deepcopy(header)
    del made.NumberOfFrames
    _place(made, frame)
    made.SOPClassUID, made.SOPInstanceUID = pydicom().uid.MRImageStorage, uid
    return made


def _name(reference: "Dataset", file: "Dataset") -> "Dataset":
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = file.SOPClassUID, file.SOPInstanceUID
    return reference
