"""`predict`."""

from pathlib import Path
from typing import TYPE_CHECKING

from autodls.cli.console import Terminal, say, say_json, show_table
from autodls.records.formatting import number
from autodls.stages.predict import predict
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
    overwrite: bool = False,
    *,
    device: str = "auto",
    workers: int = 1,
    as_json: bool,
) -> int:
    """Score the cases of a folder and show the scores; the exit status, 1 when some could not be scored."""
    prediction = predict(
        images,
        output,
        model=model if model is not None else model_of(workspace_of(dataset, workspace), drawn=rois is None),
        rois=rois,
        heatmaps=heatmaps,
        overwrite=overwrite,
        device=device,
        workers=workers,
        watch=Terminal(),
    )
    if as_json:
        say_json(prediction.to_bytes().decode().rstrip())
    else:
        _show(prediction, output)
    return _EXIT_SOME_FAILED if prediction.failed else 0


def _show(prediction: "Prediction", output: Path) -> None:
    rows = [
        [score.case, f"{score.dls:.3f}", score.call, number(score.spread), "; ".join(score.flags)]
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
