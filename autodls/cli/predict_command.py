"""`predict`."""

from pathlib import Path

from autodls.cli.console import note, progress, say, show_table
from autodls.cli.session import workspace_of
from autodls.errors import ArgumentError
from autodls.inference.predict import Prediction

_EXIT_SOME_FAILED = 1


def run_predict(
    images: Path,
    rois: Path | None,
    output: Path,
    model: Path | None,
    dataset: Path,
    workspace: Path | None,
    *,
    as_json: bool,
) -> int:
    """Score the cases of a folder; the exit status, 1 when some could not be scored."""
    import torch

    from autodls.inference.inputs import list_inputs
    from autodls.inference.model_folder import load_model
    from autodls.inference.predict import predict_cases, write_prediction

    if rois is None:
        raise ArgumentError("--rois is missing: this model needs the folder of ROIs (CASE.nii.gz) beside the images")
    if output.exists() and not output.is_dir():
        raise ArgumentError(f"-o {output}: is a file; give a folder")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    root = model if model is not None else workspace_of(dataset, workspace).model.root
    locked = load_model(root, device)
    cases = list_inputs(images, rois, locked.record)
    with progress("scoring", len(cases)) as advance:
        prediction = predict_cases(locked, cases, advance)
    write_prediction(output, prediction, locked.plan.sequences)
    if as_json:
        say(prediction.to_bytes().decode().rstrip())
    else:
        _show(prediction, output)
    for failure in prediction.failed:
        note(f"not scored: {failure.reason}")
    return _EXIT_SOME_FAILED if prediction.failed else 0


def _show(prediction: Prediction, output: Path) -> None:
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
