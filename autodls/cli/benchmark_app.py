"""`autodls benchmark`: its commands and their options."""

from typing import Annotated

import typer

from autodls.cli.options import (
    CURRENT,
    WORKERS,
    ComputeOption,
    DatasetOption,
    JsonOption,
    WorkersOption,
    WorkspaceOption,
)

benchmark_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure what a choice costs.")


@benchmark_app.command("rois")
def benchmark_rois(
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    robustness_cases: Annotated[
        int, typer.Option("--robustness-cases", help="Cases of each cohort whose manual ROI is changed; 0: none.")
    ] = 8,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Compare automatic with manual ROIs: their agreement, and what they cost the score.

    Needs the masks of 'autodls segment fold all', and for the cost 'autodls train fold all' with both kinds of --rois.
    """
    from autodls.cli.benchmark_command import run_benchmark_rois

    run_benchmark_rois(dataset, workspace, robustness_cases, workers=workers, as_json=as_json)


@benchmark_app.command("sequences")
def benchmark_sequences(
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    device: ComputeOption = "auto",
    workers: WorkersOption = WORKERS,
) -> None:
    """Score every case as if one of its sequences were missing: what each is worth to the locked model.

    Needs 'autodls train fold all' on manual ROIs; run it after 'autodls evaluate', whose tables it joins.
    """
    from autodls.cli.benchmark_command import run_benchmark_sequences

    run_benchmark_sequences(dataset, workspace, device=device, workers=workers)
