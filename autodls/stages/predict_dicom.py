"""`predict` on DICOM: scores into one folder, which names nobody, objects for the archive into another."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from autodls.errors import ArgumentError, DatasetError
from autodls.inference.inputs import Beforehand
from autodls.inference.model_files import check_model_folder
from autodls.records.dicom_folder import DicomFolder
from autodls.records.preprocessing_plan import require_one_value
from autodls.records.results_folder import ResultsFolder
from autodls.records.words import plural
from autodls.stages.dicom_results import ResultWriter, bare, write_back
from autodls.stages.places import real_place, require_output
from autodls.stages.predict import Given, predict
from autodls.stages.predict_candidate import candidate_record, is_candidate
from autodls.verify.signature import record_of, require_same_record, require_signed
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.dicom.studies import FoundStudy
    from autodls.dicom.study import SourceStudy
    from autodls.imaging.geometry import Volume
    from autodls.inference.prediction import Prediction
    from autodls.records.locked_candidate import LockedCandidate
    from autodls.records.model import ModelRecord

    Recorded = ModelRecord | LockedCandidate

_OPTION = "--dicom"
_JOINED = ("the ROIs that --roi-name names", "give images with a label a lesion (--rois)")
_NO_TABLE = (
    "a clinical table is not joined to DICOM studies, as they are numbered by the order of their unique ids, and a row "
    "could be another patient's; import the studies (autodls import) and score the images that come of it"
)


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
    dicom: Path | None = None,
    series: Sequence[str] = (),
    roi_names: Sequence[str] = (),
    clinical: Path | None = None,
    **given: Unpack[Given],
) -> PredictedStudies:
    """`predict_dicom` where `images` holds DICOM or an option of it is given, else `predict`; raises as they do."""
    if dicom is None and not series and not roi_names and not takes_dicom(images):
        return PredictedStudies(predict(images, output, clinical=clinical, **given))
    require_images_alone(None, clinical)
    return predict_dicom(images, output, dicom=dicom, series=series, roi_names=roi_names, **given)


def predict_dicom(
    images: Path,
    output: Path,
    *,
    model: Path,
    key: Path | None = None,
    dicom: Path | None = None,
    series: Sequence[str] = (),
    roi_names: Sequence[str] = (),
    rois: Path | None = None,
    heatmaps: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    workers: int = 1,
    watch: Watch = SILENT,
) -> PredictedStudies:
    """Score every study below folder `images`, as `predict`, into folder `output`; cases are P0001, P0002, ...

    Studies are read as an import reads them: nested, in archives, compressed, multi-frame, PET in SUV. `series` says as
    CHANNEL=DESCRIPTION which series is a channel of the model; one that is not named has the channel's own name. `rois`
    holds CASE.nii.gz on the grid of the series of the ROI channel; with `roi_names` (`GTV*`) ROIs are those of RTSTRUCT
    and SEG among the studies that are drawn on that series. Into folder `dicom` goes for each case that was scored: the
    ROI (SEG), the score (SR), a page (PDF) and, with `heatmaps`, their pictures. `key`: see `predict`.

    Raises ArgumentError as `predict`, DatasetError where no study can be read, ModelFolderError.
    """
    if rois is not None and roi_names:
        raise ArgumentError("--rois gives ROIs as images, --roi-name those of the studies; leave one of them out")
    signed = None if key is None else require_signed(model, key)
    folder = None if dicom is None else _free_folder(dicom, output, [images, *([rois] if rois else [])], overwrite)
    drawn_by_hand, joined = rois is not None or bool(roi_names), bool(roi_names)
    record, sha256 = open_record(model, rois=drawn_by_hand, heatmaps=heatmaps, joined=joined)
    require_same_record(model, sha256, signed)
    require_images_alone(record)
    with _found_studies(images, workers, watch) as found, tempfile.TemporaryDirectory(prefix="autodls-") as work:
        studies, refused = _read_studies(found, record, series)
        for case, reason in refused.items():
            watch.note(f"not scored: case {case}: {reason}")
        places = Path(work, "images"), Path(work, "rois") if roi_names else None
        readable = _convert(studies, places, record, roi_names, refused, watch)
        drawn = places[1] or rois
        prediction = predict(
            places[0],
            output,
            model=model,
            verified=sha256,
            rois=drawn,
            heatmaps=heatmaps,
            overwrite=overwrite,
            device=device,
            workers=workers,
            watch=watch,
            known=Beforehand(refused, {case: study.losses for case, (_, study) in readable.items()}),
        )
        if folder is None:
            return PredictedStudies(prediction)
        writer = ResultWriter(record, record.dataset, prediction, readable, output, drawn, heatmaps)
        written = write_back(folder, writer, watch, record_of(model))
    return PredictedStudies(prediction, written.objects, written.unwritten)


def dry_predict_dicom(
    images: Path, record: "Recorded", series: Sequence[str], roi_names: Sequence[str] = (), workers: int = 1
) -> Iterator[str]:
    """What each study of folder `images` would be scored from, and what its series and their ROIs are called."""
    from autodls.dicom.studies import description_of

    with _found_studies(images, workers, SILENT) as studies:
        for study in studies:
            try:
                used = _as_channels(study, record, series)
                rois = study.rois_on(used.reference.part, roi_names) if roi_names else ()
                named = ", ".join(f"{channel} of {len(one.frames)} slices" for channel, one in used.series.items())
                drawn = f"; ROI {' and '.join(repr(roi.name) for roi in rois)}" if rois else ""
                yield f"{study.case}: {named}{drawn}"
            except DatasetError as failure:
                yield f"{study.case}: not scored: {bare(study.case, failure)}"
            names = ", ".join(
                f"'{description_of(parts)}' ({sum(len(part.stack.frames) for part in parts)})"
                + (f" like {study.likely[uid]}" if study.likely.get(uid) else "")
                for uid, parts in study.series.items()
            )
            yield f"{study.case}: series {names}"
            if drawn_here := [roi for roi in study.listed.rois.values() if set(roi.series) & set(study.series)]:
                yield f"{study.case}: ROIs {', '.join(repr(roi.name) for roi in drawn_here)}"


@contextmanager
def _found_studies(images: Path, workers: int, watch: Watch) -> "Iterator[list[FoundStudy]]":
    """The studies of a folder, as import's readers find them; what they pass over is told by its reason alone."""
    from autodls.dicom.reading import require_pydicom

    require_pydicom()
    from autodls.dicom.series import NO_DICOM, find_series
    from autodls.dicom.sources import opened_sources
    from autodls.dicom.studies import studies_of

    with opened_sources(images) as sources:
        with watch.progress("reading headers", -(-len(sources.files) // 64)) as advance:
            found = find_series(sources, workers, advance)
        studies = studies_of(found, images)
        reasons = Counter(why for why in found.unused.values() if why != NO_DICOM)
        reasons.update(studies[0].listed.faults.values())
        for why, count in sorted(reasons.items()):
            watch.note(f"not used: {plural(count, 'file')}: {why}")
        yield studies


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


def open_record(model: Path, *, rois: bool, heatmaps: bool = False, joined: bool = False) -> "tuple[Recorded, str]":
    """The record of a model, or of a locked candidate, and its SHA-256; raises as `candidate_record`, ModelFolderError.

    Raises ArgumentError where ROIs are `joined` to one value, and the networks tell lesions apart by values.
    """
    if is_candidate(model):
        candidate, sha256 = candidate_record(model, rois=rois, heatmaps=heatmaps)
        if joined and candidate.networks_sha256:
            require_one_value(candidate.preprocessing.lesions, *_JOINED)
        return candidate, sha256
    checked = check_model_folder(model)
    if joined:
        require_one_value(checked.plan.preprocessing.lesions, *_JOINED)
    return checked.record, checked.sha256


def require_images_alone(record: "Recorded | None", clinical: Path | None = None) -> None:
    """Raise ArgumentError where studies were to be scored with a `clinical` table, or by a candidate that needs one."""
    if clinical is not None:
        raise ArgumentError(f"--clinical {clinical}: {_NO_TABLE}")
    if getattr(record, "clinical_columns", ()):
        raise ArgumentError(f"-m: the candidate needs clinical columns, and {_NO_TABLE}")


def _read_studies(
    found: "Sequence[FoundStudy]", record: "Recorded", series: Sequence[str]
) -> "tuple[dict[str, tuple[FoundStudy, SourceStudy]], dict[str, str]]":
    """Studies by case, as they were found and as they are used, and why others cannot be scored."""
    studies, refused = {}, {}
    for study in found:
        try:
            studies[study.case] = (study, _as_channels(study, record, series))
        except DatasetError as failure:
            refused[study.case] = bare(study.case, failure)
    if not studies:
        raise DatasetError(f"no study can be scored: {next(iter(refused.values()))}")
    return studies, refused


def _as_channels(study: "FoundStudy", record: "Recorded", series: Sequence[str]) -> "SourceStudy":
    from autodls.dicom.studies import named_series

    channels = list(record.channel_names.values())
    return study.as_channels(channels, record.roi_channel, named_series(series, channels))


def _convert(
    studies: "Mapping[str, tuple[FoundStudy, SourceStudy]]",
    places: tuple[Path, Path | None],
    record: "Recorded",
    roi_names: Sequence[str],
    refused: dict[str, str],
    watch: Watch,
) -> "dict[str, tuple[FoundStudy, SourceStudy]]":
    """Write the channels and ROIs of every study into two folders; one that cannot be read goes over to `refused`."""
    from autodls.imaging.volumes import write_volume

    readable = {}
    for folder in filter(None, places):
        folder.mkdir()
    with watch.progress("reading studies", len(studies)) as advance:
        for case, (found, study) in studies.items():
            try:
                volumes = {channel: study.volume(channel) for channel in study.series}
                roi = _painted(found, study, record, roi_names, watch) if roi_names else None
            except DatasetError as failure:
                refused[case] = bare(case, failure)
                watch.note(f"not scored: case {case}: {refused[case]}")
                continue
            for index, channel in record.channel_names.items():
                if channel in volumes:
                    write_volume(places[0] / f"{case}_{int(index):04d}{record.file_ending}", volumes[channel])
            if roi is not None and places[1] is not None:
                write_volume(places[1] / f"{case}{record.file_ending}", roi)
            readable[case] = (found, study)
            advance(case)
    if not readable:
        raise DatasetError(f"no study can be scored: {next(iter(refused.values()))}")
    return readable


def _painted(
    found: "FoundStudy", study: "SourceStudy", record: "Recorded", names: Sequence[str], watch: Watch
) -> "Volume":
    """The ROIs of these names on the grid of their series, joined, with a value that means tumour to the model."""
    from autodls.dicom.conversion import paint_roi
    from autodls.dicom.stacks import UnfitError
    from autodls.imaging.geometry import Volume

    rois, grid = found.rois_on(study.reference.part, names), study.reference.geometry
    try:
        painted = [paint_roi(roi, grid) for roi in rois]
    except UnfitError as failure:
        raise DatasetError(f"case {study.case}: its ROI: {failure}") from None
    except OSError as failure:
        raise DatasetError(f"case {study.case}: its ROI cannot be read ({failure.strerror})") from None
    joined = [f"{len(rois)} ROIs fit --roi-name and are joined"] if len(rois) > 1 else []
    for said in (*joined, *(note for one in painted for note in one.notes), *(roi.doubt for roi in rois if roi.doubt)):
        watch.note(f"case {study.case}: its ROI: {said}")
    mask, tumour = np.logical_or.reduce([one.mask for one in painted]), min(record.mask_labels)
    return Volume(mask.astype(np.min_scalar_type(tumour)) * tumour, grid)
