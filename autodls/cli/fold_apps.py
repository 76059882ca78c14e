"""`autodls train` and `autodls segment`: their one command and the options of it."""

from typing import Annotated, Literal

import typer

from autodls.cli.common import experiment_of, tell
from autodls.cli.fold_group import fold_group
from autodls.cli.options import (
    CURRENT,
    WORKERS,
    AddressOption,
    AtOnceOption,
    DatasetOption,
    DryRunOption,
    ExecutorOption,
    JsonOption,
    NameOption,
    SlurmOption,
    WorkersOption,
    WorkspaceOption,
)

train_app = fold_group("Train folds, then lock the ensemble.")


segment_app = fold_group("Draw ROIs automatically, by nnU-Net.")


@segment_app.command("fold")
def segment_fold(
    which: Annotated[str, typer.Argument(metavar="all|K", help="all folds, or the number of one.")],
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what is trained and begin anew.")] = False,
    workers: WorkersOption = WORKERS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train nnU-Net on the folds of the plan, and draw every training case by the fold that did not see it.

    Optional: it needs nnU-Net (pip install 'autodls[segmentation]'), a GPU or patience, and manual ROIs to learn from.
    Of several parts that a network finds, the ROI is the largest; to choose others, set segmentation.mask.components in
    plan.json to "all" or to their numbers by volume, such as [1, 2], and run it again: masks are drawn anew, nothing is
    trained.
    Afterwards `autodls train fold all --rois auto` trains the classifier on these ROIs. Run again, it continues.
    """
    if dry_run:
        from autodls.stages.dry_run import dry_segment

        tell(dry_segment(dataset, workspace, which, restart=restart, workers=workers))
        raise typer.Exit
    from autodls.cli.segment_command import run_segment

    run_segment(dataset, workspace, which, restart=restart, workers=workers, as_json=as_json)


@train_app.command("fold")
def train_fold(
    which: Annotated[str, typer.Argument(metavar="all|K", help="all folds (then the ensemble), or the number of one.")],
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    name: NameOption = None,
    rois: Annotated[Literal["manual", "auto"], typer.Option("--rois", help="Whose ROIs to train on.")] = "manual",
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what is trained and begin anew.")] = False,
    workers: WorkersOption = WORKERS,
    at_once: AtOnceOption = None,
    dry_run: DryRunOption = False,
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    slurm: SlurmOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the folds of the plan; with 'all', lock the ensemble afterwards. Run again, it continues.

    In nnU-Net, fold 'all' means one model on all data; here it means all folds.
    """
    from autodls.jobs.executor import executor_of

    who = executor_of(executor, address, slurm or ())
    workspace = experiment_of(dataset, workspace, name)
    if dry_run:
        from autodls.stages.dry_run import dry_train

        tell(dry_train(dataset, workspace, which, rois, restart=restart, workers=workers))
        raise typer.Exit
    from autodls.cli.train_command import run_train

    run_train(
        dataset,
        workspace,
        which,
        rois,
        restart=restart,
        workers=workers,
        as_json=as_json,
        at_once=at_once,
        executor=who,
    )
