"""The one-page result as an encapsulated PDF in the study."""

from typing import TYPE_CHECKING

from autodls.dicom.door import pydicom
from autodls.dicom.results import RESEARCH, Result, sealed, series_number, shell, sources_of
from autodls.dicom.study import SourceStudy

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def encapsulated_page(study: SourceStudy, page: bytes, result: Result) -> "Dataset":
    """`page`, a PDF that names no patient, as a document of `study` that refers to the images it was made from."""

    def build(uid: str) -> "Dataset":
        made = shell(uid, pydicom().uid.EncapsulatedPDFStorage, "DOC", study, result)
        made.SeriesNumber, made.InstanceNumber = series_number("pdf"), 1
        made.SeriesDescription = f"AutoDLS result. {RESEARCH}"
        made.BurnedInAnnotation = "NO"
        made.DocumentTitle = f"AutoDLS: {result.target}. {RESEARCH}".replace("\\", "/")
        made.AcquisitionDateTime = ""
        made.ConceptNameCodeSequence = []
        made.SourceInstanceSequence = sources_of(study)
        made.MIMETypeOfEncapsulatedDocument = "application/pdf"
        made.EncapsulatedDocument = page + b"\0" * (len(page) % 2)
        made.EncapsulatedDocumentLength = len(page)
        return made

    return sealed(build, study.reference.datasets[0])
