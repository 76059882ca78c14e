"""`autodls run`: the whole study in one command."""

from typing import Annotated, Literal

import typer

from autodls.cli import options


def run(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    rois: Annotated[
        Literal["manual", "auto"], typer.Option("--rois", help="Whose ROIs to train on; auto: nnU-Net draws them.")
    ] = "manual",
    preset: Annotated[
        str | None, typer.Option("--preset", metavar="PRESET", help="Of a new plan: auto (default), paper, or a file.")
    ] = None,
    device: options.DeviceOption = "auto",
    compare: Annotated[bool, typer.Option("--compare", help="Compare candidates beside the networks too.")] = False,
    workers: options.WorkersOption = options.WORKERS,
    dry_run: options.DryRunOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Do every stage that is not done, up to the report.

    In order: check, plan, preprocess (with --rois auto: segment), train fold all, evaluate, explain, report. Stopped,
    or failed, it goes on where it was; what stands is kept, and so is a plan that is there: for other choices than
    --preset, such as an encoder, run 'autodls plan' first.
    """
    workspace = options.experiment_of(dataset, workspace, name, new=True)
    from autodls.cli.console import Terminal, tell
    from autodls.cli.show_study import show_run
    from autodls.cli.stage_view import StageView
    from autodls.stages import run as stage
    from autodls.stages.run_standing import RunSettings

    settings = RunSettings(dataset, workspace, rois, preset, device, compare, workers)
    if dry_run:
        tell(stage.dry_run(settings, watch=Terminal()))
        return
    with StageView() as view:
        done = stage.run(settings, told=view.told, watch=view)
    show_run(done, as_json=as_json)
