"""The score as a DICOM structured report by template TID 1500: what was found in which ROI and images, by what."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from autodls.dicom.door import highdicom, pydicom
from autodls.dicom.results import DEVICE, MANUFACTURER, RESEARCH, Result, sealed, series_number, short_text, uid_of
from autodls.dicom.study import SourceStudy
from autodls.dicom.write_seg import LABEL, roi_uid
from autodls.imaging.geometry import Volume
from autodls.records.files import sha256_of_bytes

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SCHEME = "99AUTODLS"  # our own codes, as the standard has none


def code(value: str, meaning: str) -> Any:
    """A code of ours."""
    return highdicom("sr").CodedConcept(value, SCHEME, short_text(meaning))


def report(study: SourceStudy, roi: Volume, segment: "Dataset", result: Result) -> "Dataset":
    """The report of one case: DLS, cut-off, spread over folds and each sequence's own score; the call, flags, volume.

    `segment` is the segmentation of `roi` as it is sent. The report is complete, preliminary and verified by nobody.
    """
    images = [dataset for series in study.series.values() for dataset in series.datasets]
    group = _measured(study, roi, segment, result)

    def build(uid: str) -> "Dataset":
        return highdicom(
            "sr"
        ).ComprehensiveSR(  # type: ignore[no-any-return]
            evidence=[*images, segment],
            content=_content(group, images, result),
            series_instance_uid=uid,
            series_number=series_number("sr"),
            sop_instance_uid=uid,
            instance_number=1,
            manufacturer=MANUFACTURER,
            is_complete=True,
            is_final=False,
            is_verified=False,
            series_description=f"AutoDLS score. {RESEARCH}",
            manufacturer_model_name=DEVICE,
            software_versions=result.version,
            device_serial_number=result.model_sha256[:16],
            specific_character_set="ISO_IR 192",
        )

    return sealed(build, study.reference.datasets[0])


def _content(group: Any, images: list["Dataset"], result: Result) -> "Dataset":
    sr, codes = highdicom("sr"), pydicom().sr.codedict.codes
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid_of(result.model_sha256, result.version, "device"),
        name=DEVICE,
        manufacturer_name=MANUFACTURER,
        model_name=result.model,
        serial_number=result.model_sha256,
    )
    document = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(codes.DCM.Device, device),
        ),
        procedure_reported=codes.cid100.ImagingProcedure,
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=images,
    )
    for item in document[0].ContentSequence:
        if item.ValueType == "CONTAINER" and item.ConceptNameCodeSequence[0] == codes.DCM.ImageLibrary:
            _shorten(item)
    return document[0]  # type: ignore[no-any-return]


def _shorten(library: Any) -> None:
    """Leave out what the template lets: the place of every slice, under which nobody would find the score."""
    for group in library.ContentSequence:
        for entry in group.ContentSequence:
            if "ContentSequence" in entry:
                del entry.ContentSequence


def _measured(study: SourceStudy, roi: Volume, segment: "Dataset", result: Result) -> Any:
    """The measurements of the ROI, TID 1411, with what a person should know of them as comments."""
    sr, codes = highdicom("sr"), pydicom().sr.codedict.codes
    called = code("high", "At or above the cut-off") if result.call == "high" else code("low", "Below the cut-off")
    algorithm = sr.AlgorithmIdentification(
        name=DEVICE,
        version=result.version,
        parameters=[f"model {result.model}", f"model_sha256 {result.model_sha256}", f"ROI {result.roi_words}"],
        family=codes.cid7162.ArtificialIntelligence,
        manufacturer=MANUFACTURER,
    )
    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=roi_uid(study, roi), identifier=LABEL),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segment.SOPClassUID,
            sop_instance_uid=segment.SOPInstanceUID,
            segment_number=1,
            source_series=sr.SourceSeriesForSegmentation(study.reference.uid),
        ),
        finding_type=codes.SCT.Neoplasm,
        algorithm_id=algorithm,
        measurements=list(_measurements(roi, result)),
        qualitative_evaluations=[sr.QualitativeEvaluation(code("call", "Call at the cut-off"), called)],
    )
    comment = codes.DCM.Comment
    relation = sr.RelationshipTypeValues.CONTAINS
    for text in (RESEARCH, f"Target: {result.target}", *result.flags):
        group[0].ContentSequence.append(sr.TextContentItem(comment, text, relation))
    return group


def _measurements(roi: Volume, result: Result) -> Iterator[Any]:
    sr, codes = highdicom("sr"), pydicom().sr.codedict.codes
    unit = codes.UCUM.NoUnits
    yield sr.Measurement(code("dls", "DLS: probability of the target"), result.dls, unit)
    yield sr.Measurement(code("cutoff", "DLS cut-off"), result.cutoff, unit)
    if result.spread is not None:
        yield sr.Measurement(code("spread", "DLS spread over folds"), result.spread, unit)
    for name, score in result.sequences.items():
        yield sr.Measurement(code(f"seq-{sha256_of_bytes(name.encode())[:12]}", f"Score of {name} alone"), score, unit)
    voxel_mm3 = float(np.prod(roi.geometry.spacing_mm))
    yield sr.Measurement(codes.SCT.Volume, np.count_nonzero(roi.array) * voxel_mm3, codes.UCUM.CubicMillimeter)
