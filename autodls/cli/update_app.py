"""The options of `update`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from autodls.cli.options import WORKERS, ComputeOption, JsonOption, WorkersOption


def update(
    model: Annotated[Path, typer.Option("-m", "--model", help="Folder of the locked model.")],
    dataset: Annotated[Path, typer.Option("-d", "--dataset", help="Dataset folder of the second site.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="New folder for the updated model; without it, figures only.")
    ] = None,
    method: Annotated[
        Literal["intercept", "intercept+slope"] | None,
        typer.Option("--method", help="What is updated, where a protocol says so beforehand; else a test chooses."),
    ] = None,
    device: ComputeOption = "auto",
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Fit a locked model's probability and cut-off to another site; its networks stay as they are.

    Takes the labelled training cohort of the dataset, at least ten cases of each class, one a patient; every figure of
    the updated model is from cases that did not fit it. It may say that no update is needed: then nothing is written.
    """
    from autodls.cli.update_command import run_update

    raise typer.Exit(run_update(dataset, output, model, method, device=device, workers=workers, as_json=as_json))
