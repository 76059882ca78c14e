"""The options of `update`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from autodls.cli.console import Terminal
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
    """Recalibrate a locked model, and its cut-off, at another site.

    Its networks stay as they are. Takes the labelled training cohort of the dataset, at least ten cases of each class,
    one a patient; every figure of the updated model is from cases that did not fit it. It may say that no update is
    needed: then nothing is written.
    """
    from autodls.cli.show_update import show_updated
    from autodls.stages.update import update as fit

    found = fit(dataset, output, model=model, method=method, device=device, workers=workers, watch=Terminal())
    show_updated(found, asked_for=output is not None, as_json=as_json)
    raise typer.Exit(1 if found.unscored else 0)
