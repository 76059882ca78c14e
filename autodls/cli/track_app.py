"""`track` and its options."""

from pathlib import Path
from typing import Annotated

import typer

from autodls.cli import options
from autodls.cli.console import Terminal, say


def track(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", metavar="DIR", help="Folder for TensorBoard's event files.")
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option("--mlflow", metavar="DIR", help="Folder of MLflow's store; also takes plan and AUCs.")
    ] = None,
    remote: Annotated[
        bool, typer.Option("--remote", help="--mlflow is a server: send settings, curves and AUCs there.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until every fold is trained.")] = False,
) -> None:
    """Write learning curves for TensorBoard or MLflow.

    From the logs of the folds, whether they are trained or being trained; run again, it adds what is new. Needs the
    extra autodls[tracking] or autodls[mlflow]. Nothing leaves the machine unless --remote says so.
    """
    workspace = options.experiment_of(dataset, workspace, name)
    from autodls.stages.track import track as write

    watch = Terminal()
    done = write(dataset, workspace, tensorboard=tensorboard, mlflow=mlflow, remote=remote, follow=follow, watch=watch)
    say(f"tracked {done.epochs} epochs of {done.curves} networks{'' if done.done else '; not every fold is trained'}")
