"""`predict`: the cases of a folder scored by a locked model."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Required, TypedDict

from autodls.errors import ArgumentError, DatasetError
from autodls.inference.inputs import NOTHING_KNOWN, Beforehand, list_inputs
from autodls.inference.model_files import CheckedFolder, check_model_folder
from autodls.inference.prediction import prediction_of
from autodls.records.lock import locked_output
from autodls.records.locked_candidate import CANDIDATE
from autodls.records.model_folders import PROVENANCE
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.records.workspace import finished_rows
from autodls.stages.candidate_scores import OpenCandidate
from autodls.stages.places import require_output
from autodls.stages.predict_candidate import (
    MEASURED,
    is_candidate,
    open_candidate,
    predict_candidate,
    require_no_table,
    tell_failed,
    tell_rows,
)
from autodls.stages.provenance import files_below, note_output
from autodls.verify.signature import require_same_record, require_signed
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from autodls.inference.inputs import InputCase
    from autodls.inference.model_folder import LockedModel
    from autodls.inference.prediction import Prediction
    from autodls.inference.rois import RoiSource
    from autodls.inference.score_log import ScoreLog


@dataclass(frozen=True)
class OpenModel:
    """A model folder, what was found in it, and its networks where they are computed."""

    root: Path
    checked: CheckedFolder
    locked: "LockedModel"
    device: "torch.device"


def open_model(root: Path, device: str = "auto") -> OpenModel:
    """The model in folder `root`, verified; on a CPU weights are read, and verified, as they are used.

    Raises ModelFolderError for a file that is missing or altered, ArgumentError for a device that is not there.
    """
    checked = check_model_folder(root)  # before torch is imported
    from autodls.inference.model_folder import load_model
    from autodls.models.device import resolve_device

    place = resolve_device(device)
    return OpenModel(root, checked, load_model(root, place, streamed=True, checked=checked), place)


class Given(TypedDict, total=False):
    """What `predict` takes of images whatever they come as."""

    model: Required[Path]
    key: Path | None
    rois: Path | None
    heatmaps: bool
    overwrite: bool
    device: str
    workers: int
    watch: Watch


def predict(
    images: Path,
    output: Path | None = None,
    *,
    model: Path | OpenModel,
    key: Path | None = None,
    rois: Path | None = None,
    clinical: Path | None = None,
    heatmaps: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    workers: int = 1,
    watch: Watch = SILENT,
    known: Beforehand = NOTHING_KNOWN,
    networks: OpenModel | None = None,
    verified: str | None = None,
) -> "Prediction":
    """Score the cases of a folder by a locked model; those that cannot be scored stand in `failed`, with the reason.

    `images` holds CASE_0000.nii.gz, CASE_0001.nii.gz, ..., a file a channel of the model; `rois` holds CASE.nii.gz on
    the grid of the ROI channel, and without it the networks in folder `model` draw them. Into folder `output` go
    scores.csv, predict.json, rois/, lesions.csv where each lesion is scored, and, with `heatmaps`, heatmaps/: finished
    scores as they come, so that a killed run continues, all else at the end. Results of ours that are there are
    replaced with `overwrite` alone. Without `output` nothing is written. No score depends on the number of `workers`,
    processes that read images. `known` is what is known of cases before they are read: why some have no image, and what
    is to be said of others.

    A `model` that is open is used where it is, whatever the `device`. It may be the folder of a locked candidate, which
    may need `clinical`, a table with a column "case" and the clinical columns of the study, and may have `networks`
    that are open. A record that was loaded before has to be the one that was `verified` then, by its SHA-256. With a
    public `key`, a PEM file, it has to be signed with that, and every file is hashed before anything is scored.

    Raises ArgumentError where results cannot or must not lie, or where the model draws no ROIs; DatasetError where a
    folder is missing or has no image for the model; ModelFolderError where the model is not whole, or not signed.
    """
    if key is not None:
        verified = require_signed(model.root if isinstance(model, OpenModel) else model, key)
    read = [path for path in (images, rois, clinical) if path is not None]
    results = None if output is None else _free_results(output, read, overwrite)
    if heatmaps and results is None:
        raise ArgumentError("heat maps are files, and there is no folder for them; name one as the output (-o)")
    candidate, weights = None, networks or model
    if not isinstance(model, OpenModel) and is_candidate(model):
        candidate = open_candidate(model, clinical=clinical, rois=rois is not None, heatmaps=heatmaps, results=results)
        require_same_record(model, candidate.sha256, verified)
        verified = candidate.record.networks_sha256
        if candidate.networks is None:
            return predict_candidate(images, results, candidate, rois, workers, watch, known)
        weights = networks or candidate.networks
    else:
        require_no_table(clinical)
    opened = weights if isinstance(weights, OpenModel) else open_model(weights, device)
    require_same_record(opened.root, opened.checked.sha256, verified)
    locked = opened.locked
    for caution in locked.caveats:
        watch.note(f"warning: {caution}")
    cases = known.of(list_inputs(images, rois, locked.record))
    _tell_unused(images, cases, watch)
    if candidate is not None:
        tell_rows(candidate, cases, watch)
    with _folder_of_masks(results, drawn=rois is None) as folder:
        masks = {case.id: folder / f"{case.id}{locked.record.file_ending}" for case in cases}
        source = _roi_source(opened, masks, drawn=rois is None)
        scoring = _Scoring(locked, opened.root, cases, source, masks, workers, watch, candidate)
        prediction = scoring.score() if results is None else _score_into(results, scoring, heatmaps=heatmaps)
    tell_failed(prediction, known, watch)
    if prediction.failed:
        where = "" if results is None else "; column 'failed' of scores.csv says why"
        watch.note(f"{len(prediction.failed)} of {len(cases)} cases not scored{where}")
    return prediction


@dataclass(frozen=True)
class _Scoring:
    """What cases are scored from; `masks` says where the ROI of a case lies, or will, if the model draws it.

    Where there is a `candidate`, the model is a part of it.
    """

    model: "LockedModel"
    root: Path
    cases: "Sequence[InputCase]"
    source: "RoiSource"
    masks: "Mapping[str, Path]"
    workers: int
    watch: Watch
    candidate: OpenCandidate | None = None

    @property
    def record(self) -> Path:
        """The record of what scores."""
        return self.root / "model.json" if self.candidate is None else self.candidate.folder / CANDIDATE

    def score(self, log: "ScoreLog | None" = None) -> "Prediction":
        from autodls.inference.copies import with_copies_flagged
        from autodls.inference.predict import predict_cases

        with self.watch.progress("scoring", len(self.cases)) as advance:
            found = with_copies_flagged(predict_cases(self.model, self.cases, self.source, advance, self.workers, log))
        return found if self.candidate is None else self.candidate.integrated(found, self.cases, self.workers)

    @property
    def explained(self) -> "Sequence[InputCase]":
        """The cases with the ROIs that they were scored with."""
        if self.source.kind == "manual":
            return self.cases
        return [replace(case, roi=self.masks[case.id], kind="auto") for case in self.cases]


def _free_results(output: Path, read: "Sequence[Path]", overwrite: bool) -> ResultsFolder:
    require_output(output, read=read)
    results = ResultsFolder(output, "scores.csv", finished_rows(prediction_of(output)).name, overwrite)
    results.require_free()
    return results


@contextmanager
def _folder_of_masks(results: ResultsFolder | None, *, drawn: bool) -> Iterator[Path]:
    """Where ROIs that are drawn lie until they are published; where nothing is, gone with the context."""
    if results is not None or not drawn:
        yield results.unfinished / "rois" if results is not None else Path()
        return
    with tempfile.TemporaryDirectory(prefix="autodls-") as folder:
        yield Path(folder)


def _roi_source(model: OpenModel, masks: "Mapping[str, Path]", *, drawn: bool) -> "RoiSource":
    from autodls.inference.rois import RoiSource, automatic_rois

    if not drawn:
        return RoiSource(model.locked.record)
    return automatic_rois(model.locked, model.root, model.device, masks.__getitem__)


def _score_into(results: ResultsFolder, scoring: _Scoring, *, heatmaps: bool) -> "Prediction":
    """Score into a folder: scores as they come, into the log of finished ones; all else there at the end."""
    from autodls.inference.prediction import lesions_of, write_prediction
    from autodls.inference.score_log import ScoreLog

    model, unfinished = scoring.model, results.unfinished
    with locked_output(results.root):
        results.require_free()
        clear_unfinished(results, keep="rois" if scoring.candidate is None else MEASURED)
        log = ScoreLog(finished_rows(prediction_of(results.root)), model)
        prediction = scoring.score(log)
        write_prediction(unfinished, prediction, model.plan.sequences)
        if heatmaps:
            _explain(scoring, prediction, unfinished)
        masks = [scoring.masks[score.case] for score in prediction.cases if score.drawn is not None]
        maps = files_below(unfinished / "heatmaps") if heatmaps else []
        lesions = [lesions_of(unfinished)] if prediction.has_lesions else []
        made = [unfinished / "scores.csv", *lesions, prediction_of(unfinished), *masks, *maps]
        seed, made_from = model.plan.training.seed, [scoring.record]
        note_output(scoring.watch.command, unfinished, "predict", seed, made_from, made, model.computed_in)
        results.publish([*made, unfinished / PROVENANCE])
        log.remove()
    return prediction


def _tell_unused(images: Path, cases: "Sequence[InputCase]", watch: Watch) -> None:
    """Name what lies in the input folder and is not read; what a case misses by it is also a flag of it."""
    from autodls.inference.inputs import files_of_nobody

    for name, why in ((name, why) for case in cases for name, why in case.unused.items()):
        watch.note(f"not used: {name}: {why}")
    if others := files_of_nobody(images, cases):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        watch.note(f"not used: {others[0]}{more}: no image that a case of {images} lacks")


def _explain(scoring: _Scoring, prediction: "Prediction", output: Path) -> None:
    """Heat maps of every case that was scored, into OUT/heatmaps/; raises DatasetError where one cannot be read now."""
    from autodls.inference.explain import MapShare, write_shares
    from autodls.records.heatmap_folder import HeatmapFolder
    from autodls.stages.heatmaps import ExplainedCase, samples_of, write_maps

    model, folder = scoring.model, HeatmapFolder(output / "heatmaps")
    scores = {score.case: score.dls for score in prediction.cases}
    rows: list[MapShare] = []
    scored = [case for case in scoring.explained if case.id in scores]
    with (
        scoring.watch.progress("heat maps", len(scored)) as advance,
        closing(samples_of(model, scored, scoring.workers)) as samples,
    ):
        for case, sample in zip(scored, samples, strict=True):
            if isinstance(sample, str):
                raise DatasetError(sample)
            rows += write_maps(folder, model, ExplainedCase(case, "", dls=scores[case.id]), sample)
            advance(case.id)
    write_shares(folder.shares, rows)
