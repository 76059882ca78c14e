"""`autodls`: the commands and their options.

Only what `--help` needs is imported here; each command imports its own work, so that help answers at once.
"""

from pathlib import Path
from typing import Annotated

import typer

from autodls import __version__
from autodls.cli.benchmark_app import benchmark_app
from autodls.cli.common import experiment_of, tell
from autodls.cli.fold_apps import segment_app, train_app
from autodls.cli.manner import as_asked, with_manners
from autodls.cli.options import (
    CURRENT,
    WORKERS,
    ComputeOption,
    CutoffCohort,
    CutoffValues,
    DatasetOption,
    DeviceOption,
    DryRunOption,
    EncoderOption,
    FoldCohorts,
    FrozenOption,
    HeatmapsOption,
    JsonOption,
    MemoryOption,
    MetricsFolder,
    ModelOption,
    NameOption,
    OverwriteOption,
    PatientColumn,
    ReportFile,
    RoisFolder,
    RoisOption,
    ScoreColumns,
    ScoreTableOption,
    VerifiedDataset,
    WeightsOption,
    WorkersOption,
    WorkspaceOption,
)
from autodls.machine import tune_process

app = typer.Typer(
    name="autodls",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Self-configuring tumour classification from multi-sequence MR images.\n\n"
    "Inside a dataset folder: autodls check, autodls plan, autodls train fold all, then "
    "autodls predict -i IMAGES --rois ROIS -o OUT. To see it work first: autodls demo.\n\n"
    "Results go to stdout, progress to stderr. Exit status: 0 done, 1 the run failed, 2 the input or the arguments "
    "are wrong. Every command is safe to stop and continues when it is run again.",
)
app.add_typer(train_app, name="train")
app.add_typer(segment_app, name="segment")
app.add_typer(benchmark_app, name="benchmark")


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
    dataset: DatasetOption = CURRENT,
    workspace: Annotated[
        Path | None, typer.Option("-w", "--workspace", help="As other commands take it; check reads and writes none.")
    ] = None,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Verify the dataset; say, case by case, what is wrong and how to repair it."""
    from autodls.cli.data_commands import run_check

    del workspace
    raise typer.Exit(run_check(dataset, workers, as_json))


@app.command()
def plan(
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    name: NameOption = None,
    preset: Annotated[str, typer.Option("--preset", help="auto, paper, or a preset file.")] = "auto",
    memory_gib: MemoryOption = None,
    device: DeviceOption = "auto",
    encoder: EncoderOption = None,
    encoder_weights: WeightsOption = None,
    frozen: FrozenOption = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show the plan that is there, with every reason.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what is trained and begin anew.")] = False,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Inspect the training cohort and derive plan.json and splits.json from it.

    What they replace is kept beside, as *.previous.json; where folds are trained by it, --restart is needed.
    """
    workspace = experiment_of(dataset, workspace, name, new=True)
    from autodls.cli.data_commands import run_explain_plan, run_plan
    from autodls.planning.request import PlanRequest

    request = PlanRequest(preset, memory_gib, device, encoder_weights, encoder, frozen)
    if explain:
        run_explain_plan(dataset, workspace, request, as_json=as_json)
    else:
        run_plan(dataset, workspace, request, workers, "json" if as_json else "summary", restart=restart)


@app.command()
def preprocess(
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    name: NameOption = None,
    workers: WorkersOption = WORKERS,
) -> None:
    """Write the 2.5D sample of every training case (train does this when needed)."""
    workspace = experiment_of(dataset, workspace, name)
    from autodls.cli.data_commands import run_preprocess

    run_preprocess(dataset, workspace, workers)


@app.command()
def predict(
    images: Annotated[Path, typer.Option("-i", "--input", help="Folder of CASE_0000.nii.gz, CASE_0001.nii.gz, ...")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for scores.csv, predict.json, rois/.")],
    rois: RoisFolder = None,
    model: ModelOption = None,
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    name: NameOption = None,
    heatmaps: HeatmapsOption = False,
    overwrite: OverwriteOption = False,
    device: ComputeOption = "auto",
    workers: WorkersOption = WORKERS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score new cases with a locked model: calibrated DLS, spread over folds, high or low, a score per sequence.

    OUT must be new, empty, or hold results of autodls alone, which --overwrite replaces; it is whole or not there.
    Run again, it continues: finished scores of a killed run are kept in OUT/predict.partial.jsonl.
    """
    workspace = experiment_of(dataset, workspace, name)
    if dry_run:
        from autodls.stages.dry_run import dry_predict

        tell(dry_predict(images, rois, output, model, dataset, workspace, overwrite))
        raise typer.Exit
    from autodls.cli.predict_command import run_predict

    given, chosen = (images, rois, output, model, dataset, workspace), (heatmaps, overwrite)
    raise typer.Exit(run_predict(*given, *chosen, device=device, workers=workers, as_json=as_json))


@app.command()
def evaluate(
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    name: NameOption = None,
    rois: RoisOption = None,
    device: ComputeOption = "auto",
    workers: WorkersOption = WORKERS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    scores: ScoreTableOption = None,
    score: ScoreColumns = None,
    label: Annotated[str | None, typer.Option("--label", help="Label column, 0 or 1.")] = None,
    cohort: Annotated[str | None, typer.Option("--cohort", help="Cohort column.")] = None,
    patient: PatientColumn = None,
    cutoff: CutoffValues = None,
    cutoff_from: CutoffCohort = None,
    time: Annotated[str | None, typer.Option("--time", help="Column of follow-up times.")] = None,
    event: Annotated[str | None, typer.Option("--event", help="Column of events, 0 or 1.")] = None,
    landmark: Annotated[float | None, typer.Option("--landmark", help="Time after which benefit is durable.")] = None,
    out_of_fold: FoldCohorts = None,
    output: MetricsFolder = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Judge the locked model on every cohort, or any table of scores with --scores."""
    workspace = experiment_of(dataset, workspace, name)
    from autodls.cli.evaluate_command import refuse_table_options, run_evaluate, run_evaluate_table
    from autodls.stages.evaluate_scores import TableRequest

    chosen = (tuple(cutoff or ()), cutoff_from, time, event, landmark, tuple(out_of_fold or ()))
    options = (tuple(score or ()), label, cohort, patient, *chosen, output, overwrite or None)
    if scores is None:
        refuse_table_options(*options)
    if dry_run:
        from autodls.stages.dry_run import dry_evaluate

        tell(dry_evaluate(dataset, workspace, rois, table=scores))
        raise typer.Exit
    if scores is None:
        found = run_evaluate(dataset, workspace, rois, device=device, workers=workers, as_json=as_json)
        raise typer.Exit(1 if found.unscored else 0)
    run_evaluate_table(TableRequest(scores, *options), as_json=as_json)


@app.command()
def explain(
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    name: NameOption = None,
    rois: RoisOption = None,
    cases: Annotated[
        str | None,
        typer.Option("--cases", help="Case ids with commas between, or how many of each end of the scores (4)."),
    ] = None,
    device: ComputeOption = "auto",
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Draw heat maps (Grad-CAM) of cases, each by folds that were not trained on it, and check what they depend on."""
    workspace = experiment_of(dataset, workspace, name)
    from autodls.cli.explain_command import run_explain

    run_explain(dataset, workspace, cases, rois, device=device, workers=workers, as_json=as_json)


@app.command()
def report(
    dataset: DatasetOption = CURRENT,
    workspace: WorkspaceOption = None,
    name: NameOption = None,
    rois: RoisOption = None,
    output: ReportFile = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Write the whole study as one HTML file that needs no network."""
    workspace = experiment_of(dataset, workspace, name)
    from autodls.cli.report_command import run_report

    run_report(dataset, workspace, output, rois, overwrite=overwrite)


@app.command()
def verify(
    place: Annotated[Path, typer.Argument(metavar="MODEL|WORKSPACE", help="Folder to check.")],
    dataset: VerifiedDataset = None,
    name: NameOption = None,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Check that everything in a folder still fits what it was derived from; exit status 2 where it does not."""
    from autodls.cli.verify_command import run_verify

    place = place if name is None else experiment_of(place, place, name) or place
    raise typer.Exit(run_verify(place, dataset, workers, as_json=as_json))


@app.command()
def demo(
    output: Annotated[Path, typer.Argument(help="New folder for the phantom cohort and all results.")] = Path(
        "autodls-demo"
    ),
    cases: Annotated[int | None, typer.Option("--cases", help="Training cases; more take longer.")] = None,
    difficulty: Annotated[float | None, typer.Option("--difficulty", help="0 (plain) to 1 (drowned).")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed draws another cohort.")] = 0,
    permute_labels: Annotated[
        bool, typer.Option("--permute-labels", help="Shuffle the labels: an honest pipeline then finds nothing.")
    ] = False,
) -> None:
    """Write a phantom cohort and run every stage on it: minutes on a laptop, no data needed."""
    from autodls.cli.demo_command import run_demo

    run_demo(output, cases, difficulty, seed, permute_labels=permute_labels)


def main() -> None:
    """Entry point: runs the command line and turns errors into one line and an exit status."""
    from autodls.cli.console import exit_status_of

    tune_process()
    with as_asked():
        raise SystemExit(exit_status_of(_run))


def _run() -> None:
    """Put the command line together and run it: Ctrl-C may come at either."""
    with_manners(app)()
