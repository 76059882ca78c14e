"""What `predict` found, as DICOM objects that go back into the studies: ROI, score, page and heat maps of each case."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.errors import DatasetError
from autodls.inference.inputs import Takes
from autodls.records.dicom_folder import DicomFolder
from autodls.records.files import write_bytes
from autodls.records.heatmap_folder import HeatmapFolder
from autodls.records.lock import locked_output
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.records.roi_labels import AUTOMATIC_LABELS
from autodls.records.scores import write_csv
from autodls.stages.provenance import files_below, note_output
from autodls.watch import Watch

if TYPE_CHECKING:
    from autodls.dicom.results import Result
    from autodls.dicom.studies import FoundStudy
    from autodls.dicom.study import SourceStudy
    from autodls.imaging.geometry import Volume
    from autodls.inference.prediction import CaseScore, Prediction


@dataclass(frozen=True)
class Written:
    """`objects` names the DICOM objects of a case, `unwritten` says of a case why it has none."""

    objects: Mapping[str, tuple[Path, ...]]
    unwritten: Mapping[str, str]


@dataclass(frozen=True)
class ResultWriter:
    """What DICOM objects are made from."""

    record: Takes
    dataset: str
    prediction: "Prediction"
    studies: "Mapping[str, tuple[FoundStudy, SourceStudy]]"
    output: Path
    rois: Path | None
    heatmaps: bool

    def write(self, folder: DicomFolder, score: "CaseScore") -> list[Path]:
        """Make the objects of a case in `folder`; raises DatasetError where its ROI or image cannot be read now."""
        from autodls.dicom.results import to_bytes
        from autodls.dicom.write_capture import captures
        from autodls.dicom.write_pdf import encapsulated_page
        from autodls.dicom.write_seg import segmentation
        from autodls.dicom.write_sr import report
        from autodls.report.result_page import CasePage, page_pdf, picture_with_banner

        case, study, result = score.case, self.studies[score.case][1], self._result(score)
        roi, pictures = self._roi(score, study), self._pictures(score.case)
        segment = segmentation(study, roi, result)
        image = study.volume(study.roi_channel)
        page = CasePage(case, result, study.roi_channel, image, roi, pictures[0] if pictures else None)
        objects = {
            folder.segmentation(case): segment,
            folder.report(case): report(study, roi, segment, result),
            folder.page(case): encapsulated_page(study, page_pdf(page), result),
        }
        shown = captures(study, [picture_with_banner(picture) for picture in pictures], result)
        objects |= {folder.heatmap(case, number): one for number, one in enumerate(shown, start=1)}
        for path, made in objects.items():
            write_bytes(path, to_bytes(made))
        return list(objects)

    def _roi(self, score: "CaseScore", study: "SourceStudy") -> "Volume":
        from autodls.imaging.rois import read_roi_on

        drawn = score.rois == "auto"
        place = self.output / "rois" if drawn or self.rois is None else self.rois
        labels = AUTOMATIC_LABELS if drawn else self.record.mask_labels
        path = place / f"{score.case}{self.record.file_ending}"
        return read_roi_on(path, labels, study.reference.geometry).volume

    def _pictures(self, case: str) -> list[Path]:
        maps = HeatmapFolder(self.output / "heatmaps")
        return [maps.fused_picture(case), maps.sequences_picture(case)] if self.heatmaps else []

    def _result(self, score: "CaseScore") -> "Result":
        from autodls.dicom.results import Result

        return Result(
            target=self.prediction.target,
            dls=score.dls,
            cutoff=score.cutoff,
            call=score.call,
            spread=score.spread,
            roi_kind=score.rois,
            model=self.dataset,
            model_sha256=self.prediction.model_sha256,
            version=self.prediction.version,
            sequences=score.sequences,
            flags=score.flags,
        )


def write_back(results: ResultsFolder, writer: ResultWriter, watch: Watch, model: Path) -> Written:
    """Make the objects of every case that was scored in folder `results`; `model` is the record of the model."""
    written: dict[str, tuple[Path, ...]] = {}
    unwritten: dict[str, str] = {}
    unfinished, scores = DicomFolder(results.unfinished), writer.prediction.cases
    with locked_output(results.root), watch.progress("writing DICOM", len(scores)) as advance:
        results.require_free()
        clear_unfinished(results)
        for score in scores:
            try:
                made = writer.write(unfinished, score)
                written[score.case] = tuple(results.root / path.relative_to(unfinished.root) for path in made)
            except DatasetError as failure:
                unwritten[score.case] = bare(score.case, failure)
                watch.note(f"not written as DICOM: case {score.case}: {unwritten[score.case]}")
            advance(score.case)
        rows = [[case, study.uid, "yes" if case in written else ""] for case, (study, _) in writer.studies.items()]
        write_csv(unfinished.studies, ["case", "study_instance_uid", "written"], rows)
        note_output(watch.command, unfinished.root, "predict", None, [model], files_below(unfinished.root))
        results.publish(files_below(unfinished.root))
    return Written(written, unwritten)


def bare(case: str, failure: Exception) -> str:
    """What a failure says of a case, without its name."""
    return str(failure).removeprefix(f"case {case}: ")
