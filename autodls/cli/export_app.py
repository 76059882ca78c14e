"""The options of `export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from autodls.cli.console import Terminal, say, say_json
from autodls.cli.options import WORKERS, JsonOption, WorkersOption


def export(
    model: Annotated[Path, typer.Option("-m", "--model", help="Folder of the locked model.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="New folder for the export.")],
    to: Annotated[
        Literal["onnx", "monai"], typer.Option("--to", help="For onnxruntime, or as a MONAI bundle.")
    ] = "onnx",
    images: Annotated[
        Path | None,
        typer.Option("-i", "--images", help="Compare on these cases too, CASE_0000.nii.gz ...; none is kept."),
    ] = None,
    rois: Annotated[Path | None, typer.Option("--rois", help="ROIs of these cases, CASE.nii.gz.")] = None,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Write a locked model for onnxruntime or as a MONAI bundle.

    What is written is run, with every pattern of missing sequences, and must give the scores of AutoDLS (log-odds
    within 1e-4), else nothing is written. ONNX needs the extra autodls[export].
    """
    from autodls.stages.export import export as write

    done = write(output, model=model, to=to, images=images, rois=rois, workers=workers, watch=Terminal())
    if as_json:
        say_json(done.record.to_bytes().decode())
        return
    shown = done.record.shown
    say(f"export: {done.folder}")
    say(
        f"shown equal by {shown.runtime}: {shown.rows} scores, log-odds within {shown.log_odds:.1g} of AutoDLS "
        f"({shown.log_odds_within:g} is allowed)"
    )
