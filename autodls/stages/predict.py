"""`predict`."""

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.cli.console import note, progress, say, say_json, show_table
from autodls.errors import DatasetError
from autodls.inference.model_files import check_model_folder
from autodls.inference.prediction import prediction_of
from autodls.records.lock import locked_output
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.records.workspace import PROVENANCE, RoiKind, Workspace, finished_rows
from autodls.stages.places import require_output
from autodls.stages.provenance import files_below, note_output
from autodls.stages.session import workspace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autodls.inference.inputs import InputCase
    from autodls.inference.model_folder import LockedModel
    from autodls.inference.prediction import Prediction

_EXIT_SOME_FAILED = 1


def run_predict(
    images: Path,
    rois: Path | None,
    output: Path,
    model: Path | None,
    dataset: Path,
    workspace: Path | None,
    heatmaps: bool = False,
    overwrite: bool = False,
    *,
    device: str = "auto",
    workers: int = 1,
    as_json: bool,
) -> int:
    """Score the cases of a folder, with heat maps if asked for; the exit status, 1 when some could not be scored.

    Finished scores lie in the output folder as they come, so a killed run continues; all else comes there at the end.
    """
    require_output(output, read=[images, *([rois] if rois else [])])
    results = ResultsFolder(output, "scores.csv", finished_rows(prediction_of(output)).name, overwrite)
    results.require_free()
    root = model if model is not None else _model_of(workspace_of(dataset, workspace), drawn=rois is None)
    checked = check_model_folder(root)  # before torch is imported
    from autodls.inference.copies import with_copies_flagged
    from autodls.inference.inputs import list_inputs
    from autodls.inference.model_folder import load_model
    from autodls.inference.predict import predict_cases
    from autodls.inference.prediction import write_prediction
    from autodls.inference.rois import RoiSource, drawn_rois
    from autodls.inference.score_log import ScoreLog
    from autodls.models.device import resolve_device

    place = resolve_device(device)
    locked = load_model(root, place, streamed=True, checked=checked)
    for caution in locked.record.cautions:
        note(f"warning: {caution}")
    cases = list_inputs(images, rois, locked.record)
    _tell_unused(images, cases)
    ending, unfinished = locked.record.file_ending, results.unfinished
    drawn = {case.id: unfinished / "rois" / f"{case.id}{ending}" for case in cases}
    source = drawn_rois(locked, root, place, drawn.__getitem__) if rois is None else RoiSource(locked.record)
    with locked_output(output):
        results.require_free()
        clear_unfinished(results, keep="rois")
        log = ScoreLog(finished_rows(prediction_of(output)), locked)
        with progress("scoring", len(cases)) as advance:
            prediction = with_copies_flagged(predict_cases(locked, cases, source, advance, workers, log))
        write_prediction(unfinished, prediction, locked.plan.sequences)
        if heatmaps:
            seen = cases if rois is not None else [replace(case, roi=drawn[case.id], kind="auto") for case in cases]
            _explain(locked, seen, prediction, unfinished, workers)
        masks = [drawn[score.case] for score in prediction.cases if score.drawn is not None]
        maps = files_below(unfinished / "heatmaps") if heatmaps else []
        made = [unfinished / "scores.csv", prediction_of(unfinished), *masks, *maps]
        note_output(sys.argv, unfinished, "predict", locked.plan.training.seed, [root / "model.json"], made)
        results.publish([*made, unfinished / PROVENANCE])
        log.remove()
    if as_json:
        say_json(prediction.to_bytes().decode().rstrip())
    else:
        _show(prediction, output)
    for failure in prediction.failed:
        note(f"not scored: {failure.reason}")
    if prediction.failed:
        note(f"{len(prediction.failed)} of {len(cases)} cases not scored; column 'failed' of scores.csv says why")
    return _EXIT_SOME_FAILED if prediction.failed else 0


def _tell_unused(images: Path, cases: "Sequence[InputCase]") -> None:
    """Name on stderr what lies in the input folder and is not read; what a case misses by it is also a flag of it."""
    from autodls.inference.inputs import files_of_nobody

    for name, why in ((name, why) for case in cases for name, why in case.unused.items()):
        note(f"not used: {name}: {why}")
    if others := files_of_nobody(images, cases):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        note(f"not used: {others[0]}{more}: no image that a case of {images} lacks")


def _model_of(workspace: Workspace, *, drawn: bool) -> Path:
    """The workspace's model for ROIs of the kind at hand, where there is one; else the other."""
    kinds: tuple[RoiKind, RoiKind] = ("auto", "manual") if drawn else ("manual", "auto")
    found = [workspace.of(kind).model for kind in kinds if workspace.of(kind).model.record.is_file()]
    return (found[0] if found else workspace.model).root


def _explain(
    model: "LockedModel", cases: "Sequence[InputCase]", prediction: "Prediction", output: Path, workers: int
) -> None:
    """Heat maps of every case that was scored, into OUT/heatmaps/; raises DatasetError where one cannot be read now."""
    from autodls.inference.explain import MapShare, write_shares
    from autodls.records.heatmap_folder import HeatmapFolder
    from autodls.stages.heatmaps import Explained, samples_of, write_maps

    folder = HeatmapFolder(output / "heatmaps")
    scores = {score.case: score.dls for score in prediction.cases}
    rows: list[MapShare] = []
    scored = [case for case in cases if case.id in scores]
    with progress("heat maps", len(scored)) as advance, closing(samples_of(model, scored, workers)) as samples:
        for case, sample in zip(scored, samples, strict=True):
            if isinstance(sample, str):
                raise DatasetError(sample)
            rows += write_maps(folder, model, Explained(case, "", dls=scores[case.id]), sample)
            advance(case.id)
    write_shares(folder.shares, rows)


def _show(prediction: "Prediction", output: Path) -> None:
    rows = [
        [score.case, f"{score.dls:.3f}", score.call, f"{score.spread:.3f}", "; ".join(score.flags)]
        for score in prediction.cases
    ]
    if rows:
        show_table(
            f"{prediction.target}: DLS, high at or above {prediction.cases[0].cutoff:.3f}",
            ["case", "DLS", "call", "spread over folds", "flags"],
            rows,
        )
    failed = f", {len(prediction.failed)} not scored" if prediction.failed else ""
    say(f"{len(prediction.cases)} cases scored{failed}: {output / 'scores.csv'}")
