"""The ROI that was used, as a DICOM segmentation on the series on which it was drawn."""

from typing import TYPE_CHECKING

import numpy as np

from autodls.dicom.door import highdicom, pydicom
from autodls.dicom.lossy import say_loss
from autodls.dicom.results import DEVICE, MANUFACTURER, RESEARCH, Result, sealed, series_number, short_text, uid_of
from autodls.dicom.study import SourceStudy
from autodls.errors import DatasetError
from autodls.imaging.geometry import Volume
from autodls.records.files import sha256_of_bytes

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LABEL = "Tumor ROI"


def roi_uid(study: SourceStudy, roi: Volume) -> str:
    """The id by which the ROI is tracked: the same in its segmentation and in the report."""
    digest = sha256_of_bytes(np.packbits(roi.array != 0).tobytes())
    return uid_of(study.reference.uid, digest, "roi")


def segmentation(study: SourceStudy, roi: Volume, result: Result) -> "Dataset":
    """One binary segment, frame by frame where it has voxels, each with the slice it lies on.

    `roi` [z, y, x] lies on the grid of the series of the ROI channel, not zero inside. Raises DatasetError where it
    does not, or is empty.
    """
    series = study.reference
    if not roi.geometry.same_grid(series.geometry):
        raise DatasetError(
            f"case {study.case}: its ROI has {roi.geometry.size_xyz} voxels that are not those of the "
            f"{study.roi_channel} series, {series.geometry.size_xyz}; draw it on that series"
        )
    mask = (roi.array != 0).astype(np.uint8)
    if not mask.any():
        raise DatasetError(f"case {study.case}: its ROI is empty; there is nothing to write back")
    described = _segment(study, roi, result)

    def build(uid: str) -> "Dataset":
        seg = highdicom("seg")
        made = seg.Segmentation(
            source_images=list(series.slices),
            pixel_array=mask,
            segmentation_type=seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[described],
            series_instance_uid=uid,
            series_number=series_number("seg"),
            sop_instance_uid=uid,
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=DEVICE,
            software_versions=result.version,
            device_serial_number=result.model_sha256[:16],
            content_label="TUMOR_ROI",
            content_description=short_text(f"ROI of {result.target}"),
            series_description=f"AutoDLS ROI. {RESEARCH}",
            specific_character_set="ISO_IR 192",
        )
        series.refer(made)
        say_loss(made, series.datasets)
        return made  # type: ignore[no-any-return]

    return sealed(build, series.datasets[0])


def _segment(study: SourceStudy, roi: Volume, result: Result) -> "Dataset":
    seg, codes = highdicom("seg"), pydicom().sr.codedict.codes
    automatic = result.roi_kind == "auto"
    return seg.SegmentDescription(  # type: ignore[no-any-return]
        segment_number=1,
        segment_label=LABEL,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC if automatic else seg.SegmentAlgorithmTypeValues.MANUAL,
        algorithm_identification=_drawn_by(result) if automatic else None,
        tracking_uid=roi_uid(study, roi),
        tracking_id=LABEL,
    )


def _drawn_by(result: Result) -> object:
    codes = pydicom().sr.codedict.codes
    return highdicom().AlgorithmIdentificationSequence(
        name=short_text(f"{DEVICE}: {result.model}"),
        version=result.version,
        family=codes.cid7162.ArtificialIntelligence,
        parameters={"model_sha256": result.model_sha256},
    )
