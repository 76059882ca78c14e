"""`autodls init` and its questions."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from autodls.cli import options


def _column(name: str, what: str) -> object:
    return typer.Option(name, metavar="COL", help=what)


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images and ROIs, as they are named.")],
    table: Annotated[Path, typer.Option("--table", metavar="TABLE", help="CSV or .xlsx with a row a case.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DATASET", help="New folder, for second names of images."),
    ] = None,
    outcome: Annotated[str | None, _column("--outcome", "Column of the outcome.")] = None,
    positive: Annotated[
        str | None, typer.Option("--positive", metavar="RULE", help="Which are positive: '>= 20', or classes.")
    ] = None,
    case: Annotated[str | None, _column("--case", "Column of case ids, which stand in file names.")] = None,
    patient: Annotated[str | None, _column("--patient", "Column of patients, or none.")] = None,
    cohort: Annotated[str | None, _column("--cohort", "Column that says what is held out, or none.")] = None,
    training: Annotated[
        str | None, typer.Option("--training", metavar="COHORT", help="What it says of cases to train on.")
    ] = None,
    site: Annotated[str | None, _column("--site", "Column of hospitals, or none.")] = None,
    clinical: Annotated[
        str | None, typer.Option("--clinical", metavar="COL,COL", help="Clinical variables known beforehand, or none.")
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option("--channel", metavar="NAME=FILES", help="Which files are a channel, as T1WI=t1_fl2d; repeatable."),
    ] = None,
    roi_channel: Annotated[
        str | None, typer.Option("--roi-channel", metavar="NAME", help="Channel that the ROIs were drawn on.")
    ] = None,
    tumor: Annotated[
        str | None, typer.Option("--tumor", metavar="VALUE,VALUE", help="Values of the ROI that are tumor.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take what was found, and mark guesses.")] = False,
    overwrite: options.OverwriteOption = False,
    workers: options.WorkersOption = options.WORKERS,
    as_json: options.JsonOption = False,
) -> None:
    """Make a dataset of a folder of images and a table.

    Then it is checked. Cases are found by ids that stand in names of files or folders, channels and ROIs by the rest of
    the names. On a terminal every choice is asked for, with a proposal; guesses are printed, and kept in init.json.
    Nothing is moved.
    """
    from autodls.cli.console import Terminal
    from autodls.cli.show_init import ask, show_init
    from autodls.stages.init import given_answers
    from autodls.stages.init import init as make

    said = {"outcome": outcome, "positive": positive, "case": case, "patient": patient, "cohort": cohort,
            "training": training, "site": site, "clinical": clinical, "roi_channel": roi_channel,
            "tumor": tumor}  # fmt: skip
    answers = given_answers(said, channel or ())
    asks = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    if asks:
        answers = ask(folder, table, answers)
    done = make(folder, table, answers, output, yes=yes or asks, overwrite=overwrite, workers=workers, watch=Terminal())
    show_init(done, as_json=as_json)
    raise typer.Exit(2 if done.check.errors else 0)
