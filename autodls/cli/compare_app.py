"""`compare` and its options."""

from typing import Annotated

import typer

from autodls.cli import options
from autodls.cli.console import Terminal, say, say_json, show_table


def compare(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    rois: options.RoisOption = None,
    also: options.AlsoOption = None,
    lock: Annotated[bool, typer.Option("--lock", help="Lock the chosen candidate, for predict -m.")] = False,
    candidate: Annotated[
        str | None, typer.Option("--candidate", help="Lock this one instead, by its name in the table.")
    ] = None,
    workers: options.WorkersOption = options.WORKERS,
    executor: options.ExecutorOption = "local",
    address: options.AddressOption = None,
    slurm: options.SlurmOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Compare the networks with what is simpler, on the same folds.

    That is clinical columns, tumour volume and radiomics, alone and together with the networks, and with --also the
    networks of other plans (plan and train with --name). The choice between them is made inside each fold, so that the
    AUC of whatever was chosen is honest. Radiomics needs pip install 'autodls[radiomics]'; what a study does not allow
    is left out, with the reason.
    """
    from autodls.jobs.executor import executor_of

    who = executor_of(executor, address, slurm or ())
    workspace = options.experiment_of(dataset, workspace, name)
    from autodls.stages.compare import compare as run

    watch = Terminal()
    found = run(
        dataset, workspace, rois, also=also or (), lock=candidate or lock, workers=workers, executor=who, watch=watch
    )
    if as_json:
        say_json(found.comparison.model_dump(mode="json"))
        return
    printed = found.tables["candidates"].printed
    show_table(printed.title, printed.header, printed.lines, numbers_from=1)
    for note in printed.notes:
        say(note)
    for one in found.comparison.adds:
        say(one.sentence)
    say(f"all of it: {found.workspace.comparison}")
    if found.locked is not None:
        say(f"locked: {found.locked}; {found.how_to_predict}")
