"""`autodls`: the commands and their options.

Only what `--help` needs is imported here; each command imports its own work, so that help answers at once.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from autodls import __version__
from autodls.cli import options
from autodls.cli.compare_app import compare
from autodls.cli.console import Terminal, say
from autodls.cli.export_app import export
from autodls.cli.groups import benchmark_app, segment_app, train_app
from autodls.cli.import_app import import_
from autodls.cli.init_app import init
from autodls.cli.manner import as_asked, with_manners
from autodls.cli.run_app import run
from autodls.cli.scoring import evaluate, explain, predict
from autodls.cli.sign_app import sign
from autodls.cli.track_app import track
from autodls.cli.update_app import update
from autodls.machine import tune_process

_ORDER = (
    "import", "init", "run", "check", "plan", "preprocess", "segment", "train", "track", "predict", "update", "export",
    "evaluate", "compare", "explain", "benchmark", "report", "verify", "sign", "demo",
)  # fmt: skip


class _InOrder(TyperGroup):
    """Commands in the order in which a study needs them, and what is wrong with their options in our words."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a wrong choice is told without the words that pydantic, which typer asks, puts before it."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as failure:
            from autodls.records.base import VALUE_ERROR

            failure.message = failure.message.removeprefix(VALUE_ERROR)
            raise


app = typer.Typer(
    name="autodls",
    cls=_InOrder,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Self-configuring tumour classification from multi-sequence MR images.\n\n"
    "Of a folder of images and a table: autodls init, then autodls run. Stage by stage, inside a dataset folder: "
    "autodls check, autodls plan, autodls train fold all, then autodls predict -i IMAGES --rois ROIS -o OUT. To see it "
    "work first: autodls demo.\n\n"
    "Results go to stdout, progress to stderr. Exit status: 0 done, 1 the run failed, 2 the input or the arguments "
    "are wrong. Every command is safe to stop and continues when it is run again.",
)
app.add_typer(train_app, name="train")
app.add_typer(segment_app, name="segment")
app.add_typer(benchmark_app, name="benchmark")
app.command("import")(import_)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"autodls {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    del version


@app.command()
def check(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    workers: options.WorkersOption = options.WORKERS,
    as_json: options.JsonOption = False,
) -> None:
    """Verify the dataset and say, case by case, what to repair. Nothing is written, so -w changes nothing."""
    from autodls.cli.show_study import show_check
    from autodls.stages.check import check as look

    del workspace
    report = look(dataset, workers=workers, watch=Terminal())
    show_check(report, as_json=as_json)
    raise typer.Exit(2 if report.errors else 0)


@app.command()
def plan(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    preset: Annotated[str, typer.Option("--preset", metavar="PRESET", help="auto, paper, or a preset file.")] = "auto",
    memory_gib: options.MemoryOption = None,
    device: options.DeviceOption = "auto",
    encoder: options.EncoderOption = None,
    encoder_weights: options.WeightsOption = None,
    frozen: options.FrozenOption = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show the plan that is there, with every reason.")] = False,
    restart: options.RestartOption = False,
    workers: options.WorkersOption = options.WORKERS,
    as_json: options.JsonOption = False,
) -> None:
    """Derive plan.json and splits.json from the training cohort.

    What they replace is kept beside, as *.previous.json; where folds are trained by it, --restart is needed.
    """
    workspace = options.experiment_of(dataset, workspace, name, new=True)
    from autodls.cli.show_study import show_plan
    from autodls.planning.request import PlanRequest
    from autodls.stages.plan import explain_plan
    from autodls.stages.plan import plan as derive

    request = PlanRequest(preset, memory_gib, device, encoder_weights, encoder, frozen)
    if explain:
        show_plan(explain_plan(dataset, workspace, request, watch=Terminal()), as_json=as_json, reasons=True)
        return
    made = derive(dataset, workspace, request, workers=workers, restart=restart, watch=Terminal())
    show_plan(made.plan, as_json=as_json)


@app.command()
def preprocess(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    workers: options.WorkersOption = options.WORKERS,
) -> None:
    """Write the 2.5D sample of every training case. train does this when needed."""
    workspace = options.experiment_of(dataset, workspace, name)
    from autodls.stages.preprocess import preprocess as prepare

    done = prepare(dataset, workspace, workers=workers, watch=Terminal())
    say(f"{len(done.keys)} samples in {done.folder}. Next: autodls train fold all")


for command in (init, run, track, predict, update, export, evaluate, compare, explain, sign):
    app.command()(command)


@app.command()
def report(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    rois: options.RoisOption = None,
    output: options.ReportFile = None,
    docx: options.DocxOption = False,
    figures: options.FigureFormats = None,
    labels: options.LabelsFile = None,
    overwrite: options.OverwriteOption = False,
) -> None:
    """Write the whole study as one HTML file that needs no network."""
    workspace = options.experiment_of(dataset, workspace, name)
    from autodls.stages.journal import Shown, journal_folder
    from autodls.stages.report import paper_beside
    from autodls.stages.report import report as write

    shown = Shown(tuple(figures or ()), labels)
    made = write(dataset, workspace, output, rois, docx=docx, shown=shown, overwrite=overwrite, watch=Terminal())
    say(f"report: {made}" + (f"; figures: {journal_folder(made)}" if figures else ""))
    if docx:
        say(f"paper: {paper_beside(made)}")


@app.command()
def verify(
    place: Annotated[Path, typer.Argument(metavar="MODEL|WORKSPACE|EXPORT", help="Folder to check.")],
    dataset: options.VerifiedDataset = None,
    name: options.NameOption = None,
    key: options.KeyOption = None,
    workers: options.WorkersOption = options.WORKERS,
    as_json: options.JsonOption = False,
) -> None:
    """Check that a folder still fits what it was derived from. Exit status 2 where it does not.

    With --key, that a model or a candidate is whose it should be: signed with the private part of that key.
    """
    from autodls.cli.show_scores import show_verified
    from autodls.stages.verify import verify as compare

    place = place if name is None else options.experiment_of(place, place, name) or place
    found = compare(place, dataset, key=key, workers=workers, watch=Terminal())
    show_verified(found, as_json=as_json)
    raise typer.Exit(0 if found.fits else 2)


@app.command()
def demo(
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for the phantom cohort and all results.")
    ] = Path("autodls-demo"),
    cases: Annotated[
        int | None, typer.Option("--cases", metavar="N", help="Training cases, 72 by default; more take longer.")
    ] = None,
    difficulty: Annotated[
        float | None, typer.Option("--difficulty", help="0 (plain) to 1 (drowned); 0.1 by default.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed draws another cohort.")] = 0,
    permute_labels: Annotated[
        bool, typer.Option("--permute-labels", help="Shuffle the labels: an honest pipeline then finds nothing.")
    ] = False,
) -> None:
    """Run every stage on a phantom cohort. No data needed, minutes on a laptop."""
    from autodls.cli.show_study import show_demo
    from autodls.cli.stage_view import StageView
    from autodls.stages.demo import demo as write_and_run

    asked = (output, cases, difficulty, seed)
    with StageView() as view:
        made = write_and_run(*asked, permute_labels=permute_labels, told=view.told, watch=view)
    show_demo(made)


def main() -> None:
    """Entry point: runs the command line and turns errors into one line and an exit status."""
    from autodls.cli.console import exit_status_of

    tune_process()
    with as_asked():
        raise SystemExit(exit_status_of(_run))


def _run() -> None:
    """Put the command line together and run it: Ctrl-C may come at either."""
    with_manners(app)()
