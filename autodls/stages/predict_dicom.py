"""`predict` on DICOM: scores into one folder, which names nobody, objects for the archive into another."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.errors import ArgumentError, DatasetError
from autodls.inference.model_files import check_model_folder
from autodls.records.dicom_folder import DicomFolder
from autodls.records.files import write_bytes
from autodls.records.heatmap_folder import HeatmapFolder
from autodls.records.lock import locked_output
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.records.roi_labels import AUTOMATIC_LABELS
from autodls.records.scores import write_csv
from autodls.stages.places import real_place, require_output
from autodls.stages.predict import predict
from autodls.stages.provenance import files_below, note_output
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.dicom.results import Result
    from autodls.dicom.studies import FoundStudy
    from autodls.dicom.study import SourceStudy
    from autodls.imaging.geometry import Volume
    from autodls.inference.prediction import CaseScore, Prediction
    from autodls.records.model import ModelRecord

_OPTION = "--dicom"


@dataclass(frozen=True)
class PredictedStudies:
    """Scores of studies; `written` names the DICOM objects of a case, `unwritten` says of a case why it has none."""

    prediction: "Prediction"
    written: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    unwritten: Mapping[str, str] = field(default_factory=dict)


def takes_dicom(images: Path) -> bool:
    """Whether folder `images` holds DICOM, where that can be read at all."""
    from autodls.dicom.studies import holds_dicom

    return images.is_dir() and holds_dicom(images)


def predict_any(
    images: Path,
    output: Path,
    *,
    model: Path,
    dicom: Path | None = None,
    series: Sequence[str] = (),
    rois: Path | None = None,
    heatmaps: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    workers: int = 1,
    watch: Watch = SILENT,
) -> PredictedStudies:
    """`predict_dicom` where `images` holds DICOM or `dicom` or `series` is given, else `predict`; raises as they do."""
    as_dicom = dicom is not None or bool(series) or takes_dicom(images)
    stage = partial(predict_dicom, dicom=dicom, series=series) if as_dicom else predict
    found = stage(
        images,
        output,
        model=model,
        rois=rois,
        heatmaps=heatmaps,
        overwrite=overwrite,
        device=device,
        workers=workers,
        watch=watch,
    )
    return found if isinstance(found, PredictedStudies) else PredictedStudies(found)


def predict_dicom(
    images: Path,
    output: Path,
    *,
    model: Path,
    dicom: Path | None = None,
    series: Sequence[str] = (),
    rois: Path | None = None,
    heatmaps: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    workers: int = 1,
    watch: Watch = SILENT,
) -> PredictedStudies:
    """Score every study below folder `images`, as `predict`, into folder `output`; cases are P0001, P0002, ...

    `series` says as CHANNEL=DESCRIPTION which series is a channel of the model; one that is not named has the channel's
    own name. `rois` holds CASE.nii.gz on the grid of the series of the ROI channel. Into folder `dicom` goes for each
    case that was scored: the ROI (SEG), the score (SR), a page (PDF) and, with `heatmaps`, their pictures.

    Raises ArgumentError as `predict`, DatasetError where no study can be read, ModelFolderError.
    """
    folder = None if dicom is None else _free_folder(dicom, output, [images, *([rois] if rois else [])], overwrite)
    record = check_model_folder(model).record
    studies, refused = _read_studies(images, record, series)
    for case, reason in refused.items():
        watch.note(f"not read: case {case}: {reason}")
    if not studies:
        raise DatasetError(f"{images}: no study can be scored: {next(iter(refused.values()))}")
    with tempfile.TemporaryDirectory(prefix="autodls-") as work:
        readable = _convert(studies, Path(work), record, refused, watch)
        prediction = predict(
            Path(work),
            output,
            model=model,
            rois=rois,
            heatmaps=heatmaps,
            overwrite=overwrite,
            device=device,
            workers=workers,
            watch=watch,
            refused=refused,
        )
    if folder is None:
        return PredictedStudies(prediction)
    writer = _Writer(record, prediction, readable, output, rois, heatmaps)
    return _write_back(folder, writer, watch, model)


def dry_predict_dicom(images: Path, record: "ModelRecord", series: Sequence[str]) -> Iterator[str]:
    """What each study of folder `images` would be scored from, and what its series are called."""
    from autodls.dicom.studies import find_studies

    for study in find_studies(images):
        try:
            found = _as_channels(study, record, series)
            used = ", ".join(f"{channel} of {len(stack.datasets)} slices" for channel, stack in found.series.items())
            yield f"{study.case}: {used}"
        except DatasetError as failure:
            yield f"{study.case}: not scored: {failure}"
        names = ", ".join(f"'{one.description}' ({len(one.slices)})" for one in study.series.values())
        yield f"{study.case}: series {names}"


def _free_folder(dicom: Path, output: Path, read: Sequence[Path], overwrite: bool) -> ResultsFolder:
    require_output(dicom, read, _OPTION)
    places = real_place(dicom), real_place(output)
    if places[0] == places[1] or places[0] in places[1].parents or places[1] in places[0].parents:
        raise ArgumentError(
            f"{_OPTION} {dicom}: must be apart from -o {output}, as headers of DICOM name the patient; give another "
            "folder"
        )
    results = ResultsFolder(dicom, DicomFolder(dicom).studies.name, None, overwrite, _OPTION)
    results.require_free()
    return results


def _read_studies(
    images: Path, record: "ModelRecord", series: Sequence[str]
) -> "tuple[dict[str, tuple[FoundStudy, SourceStudy]], dict[str, str]]":
    """Studies by case, as they were found and as they are used, and why others cannot be scored."""
    from autodls.dicom.studies import find_studies

    studies, refused = {}, {}
    for study in find_studies(images):
        try:
            studies[study.case] = (study, _as_channels(study, record, series))
        except DatasetError as failure:
            refused[study.case] = _bare(study.case, failure)
    return studies, refused


def _as_channels(study: "FoundStudy", record: "ModelRecord", series: Sequence[str]) -> "SourceStudy":
    from autodls.dicom.studies import named_series

    channels = list(record.channel_names.values())
    return study.as_channels(channels, record.roi_channel, named_series(series, channels))


def _convert(
    studies: "Mapping[str, tuple[FoundStudy, SourceStudy]]",
    work: Path,
    record: "ModelRecord",
    refused: dict[str, str],
    watch: Watch,
) -> "dict[str, tuple[FoundStudy, SourceStudy]]":
    """Write the channels of every study into folder `work`; one that cannot be read goes over to `refused`."""
    from autodls.imaging.volumes import write_volume

    readable = {}
    with watch.progress("reading studies", len(studies)) as advance:
        for case, (found, study) in studies.items():
            try:
                volumes = {channel: study.volume(channel) for channel in study.series}
            except DatasetError as failure:
                refused[case] = _bare(case, failure)
                watch.note(f"not read: case {case}: {refused[case]}")
                continue
            for index, channel in record.channel_names.items():
                if channel in volumes:
                    write_volume(work / f"{case}_{int(index):04d}{record.file_ending}", volumes[channel])
            readable[case] = (found, study)
            advance(case)
    if not readable:
        raise DatasetError(f"no study can be scored: {next(iter(refused.values()))}")
    return readable


def _bare(case: str, failure: Exception) -> str:
    return str(failure).removeprefix(f"case {case}: ")


@dataclass(frozen=True)
class _Writer:
    """What DICOM objects are made from."""

    record: "ModelRecord"
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
        labels, name = AUTOMATIC_LABELS if drawn else self.record.mask_labels, f"{score.case}{self.record.file_ending}"
        return read_roi_on(place / name, labels, study.reference.geometry).volume

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
            model=self.record.dataset,
            model_sha256=self.prediction.model_sha256,
            version=self.prediction.version,
            sequences=score.sequences,
            flags=score.flags,
        )


def _write_back(results: ResultsFolder, writer: _Writer, watch: Watch, model: Path) -> PredictedStudies:
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
                unwritten[score.case] = _bare(score.case, failure)
                watch.note(f"not written as DICOM: case {score.case}: {unwritten[score.case]}")
            advance(score.case)
        rows = [[case, study.uid, "yes" if case in written else ""] for case, (study, _) in writer.studies.items()]
        write_csv(unfinished.studies, ["case", "study_instance_uid", "written"], rows)
        made_from = [model / "model.json"]
        note_output(watch.command, unfinished.root, "predict", None, made_from, files_below(unfinished.root))
        results.publish(files_below(unfinished.root))
    return PredictedStudies(writer.prediction, written, unwritten)
