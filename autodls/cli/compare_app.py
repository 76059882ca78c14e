"""`compare` and its options."""

from typing import Annotated

import typer

from autodls.cli.common import experiment_of
from autodls.cli.options import (
    CURRENT,
    WORKERS,
    DatasetOption,
    JsonOption,
    NameOption,
    RoisOption,
    WorkersOption,
    WorkspaceOption,
)


def compare(
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    name: NameOption = None,
    rois: RoisOption = None,
    lock: Annotated[bool, typer.Option("--lock", help="Lock the chosen candidate, for predict -m.")] = False,
    candidate: Annotated[
        str | None, typer.Option("--candidate", help="Lock this one instead: volume or radiomics.")
    ] = None,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Compare the networks with clinical columns, tumour volume, radiomics and both together, on the same folds.

    The choice between them is made inside each fold, so that the AUC of whatever was chosen is honest. Radiomics needs
    pip install 'autodls[radiomics]'; what a study does not allow is left out, with the reason.
    """
    workspace = experiment_of(dataset, workspace, name)
    from autodls.cli.compare_command import run_compare

    run_compare(dataset, workspace, rois, lock=candidate or lock, workers=workers, as_json=as_json)
