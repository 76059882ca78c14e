"""Heat maps as secondary captures: the very pictures of OUT/heatmaps, in colour, in a series of their own.

Not as a derived MR series: a map exists on the three planes through the tumour alone, so that a stack would hold zeros
where nothing was computed, which read as "no evidence here"; and values in grey on a patient's grid invite to measure
on them, or to fuse them. A capture says what it is, and every viewer shows it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autodls.dicom.door import pydicom
from autodls.dicom.lossy import say_loss
from autodls.dicom.results import RESEARCH, Result, sealed, series_number, shell, short_text, sources_of, uid_of
from autodls.dicom.study import SourceStudy
from autodls.records.files import sha256_of_bytes

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def captures(study: SourceStudy, pictures: Sequence[NDArray[np.uint8]], result: Result) -> "list[Dataset]":
    """One series with an image for each of `pictures`, [row, column, RGB], with references to the images used."""
    series = uid_of(
        study.reference.uid, result.model_sha256, *(sha256_of_bytes(picture.tobytes()) for picture in pictures)
    )
    return [_capture(study, picture, number, series, result) for number, picture in enumerate(pictures, start=1)]


def _capture(study: SourceStudy, picture: NDArray[np.uint8], number: int, series: str, result: Result) -> "Dataset":
    def build(uid: str) -> "Dataset":
        made = shell(uid, pydicom().uid.SecondaryCaptureImageStorage, "OT", study, result)
        made.SeriesNumber, made.InstanceNumber = series_number("heatmap"), number
        made.SeriesDescription = f"AutoDLS heat maps. {RESEARCH}"
        made.DerivationDescription = (
            f"Grad-CAM of the DLS of model {short_text(result.model)} over slices of the images"
        )
        made.ImageType = ["DERIVED", "SECONDARY", "HEATMAP"]
        made.Laterality, made.PatientOrientation = "", ""
        made.BurnedInAnnotation = "NO"
        say_loss(made, [slice_of for series in study.series.values() for slice_of in series.datasets])
        made.SourceImageSequence = sources_of(study)
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
        made.Rows, made.Columns = picture.shape[:2]
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
        pixels = picture.tobytes()
        made.PixelData = pixels + b"\0" * (len(pixels) % 2)
        made["PixelData"].VR = "OB"
        return made

    return sealed(build, study.reference.datasets[0], series)
