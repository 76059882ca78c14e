"""`predict`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.cli.console import Terminal, say, say_json, show_table
from autodls.stages.predict import predict
from autodls.stages.predict_dicom import PredictedStudies, predict_dicom, takes_dicom
from autodls.stages.session import model_of, workspace_of

if TYPE_CHECKING:
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
    dicom: Path | None = None,
    series: Sequence[str] = (),
    overwrite: bool = False,
    *,
    device: str = "auto",
    workers: int = 1,
    as_json: bool,
) -> int:
    """Score the cases of a folder and show the scores; the exit status, 1 when some could not be scored or written."""
    root = model if model is not None else model_of(workspace_of(dataset, workspace), drawn=rois is None)
    as_dicom = dicom is not None or bool(series) or takes_dicom(images)
    stage = partial(predict_dicom, dicom=dicom, series=series) if as_dicom else predict
    done = stage(
        images,
        output,
        model=root,
        rois=rois,
        heatmaps=heatmaps,
        overwrite=overwrite,
        device=device,
        workers=workers,
        watch=Terminal(),
    )
    if not isinstance(done, PredictedStudies):
        done = PredictedStudies(done)
    prediction = done.prediction
    if as_json:
        say_json(prediction.to_bytes().decode().rstrip())
    else:
        _show(prediction, output)
        if dicom is not None:
            say(f"{len(done.written)} cases written as DICOM: {dicom}")
    return _EXIT_SOME_FAILED if prediction.failed or done.unwritten else 0


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
