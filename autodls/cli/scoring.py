"""`autodls predict`, `evaluate` and `explain`: what a locked model says, and how good it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autodls.cli import options
from autodls.cli.console import Terminal, tell

if TYPE_CHECKING:
    from autodls.stages.evaluate_scores import TableRequest


def predict(
    images: Annotated[
        Path, typer.Option("-i", "--input", metavar="IMAGES", help="Folder of CASE_0000.nii.gz ..., or DICOM studies.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="Folder for scores.csv, predict.json, rois/.")
    ],
    rois: options.RoisFolder = None,
    clinical: options.ClinicalTable = None,
    model: options.ModelOption = None,
    key: options.KeyOption = None,
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    heatmaps: options.HeatmapsOption = False,
    dicom: options.DicomFolderOption = None,
    series: options.SeriesOption = None,
    roi_name: options.RoiNameOption = None,
    overwrite: options.OverwriteOption = False,
    device: options.ComputeOption = "auto",
    workers: options.WorkersOption = options.WORKERS,
    dry_run: options.DryRunOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Score new cases with a locked model. Of each: calibrated DLS, its spread, high or low, a score per sequence.

    OUT must be new, empty, or hold results of autodls alone, which --overwrite replaces; it is whole or not there.
    Run again, it continues: finished scores of a killed run are kept in OUT/predict.partial.jsonl.
    """
    workspace = options.experiment_of(dataset, workspace, name)
    from autodls.stages.session import model_of, workspace_of

    root = (
        model if model is not None else model_of(workspace_of(dataset, workspace), drawn=rois is None and not roi_name)
    )
    if dry_run:
        from autodls.stages.dry_run import dry_predict

        asked = {"series": series or (), "roi_names": roi_name or ()}
        tell(dry_predict(images, rois, output, root, overwrite=overwrite, clinical=clinical, key=key, **asked))
        return
    from autodls.cli.show_scores import show_predicted
    from autodls.stages.predict_dicom import predict_any

    found = predict_any(
        images,
        output,
        model=root,
        key=key,
        dicom=dicom,
        series=series or (),
        roi_names=roi_name or (),
        rois=rois,
        clinical=clinical,
        heatmaps=heatmaps,
        overwrite=overwrite,
        device=device,
        workers=workers,
        watch=Terminal(),
    )
    show_predicted(found.prediction, output, as_json=as_json)
    if dicom is not None and not as_json:
        tell([f"{len(found.written)} cases written as DICOM: {dicom}"])
    raise typer.Exit(1 if found.prediction.failed or found.unwritten else 0)


def evaluate(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    rois: options.RoisOption = None,
    device: options.ComputeOption = "auto",
    workers: options.WorkersOption = options.WORKERS,
    dry_run: options.DryRunOption = False,
    executor: options.ExecutorOption = "local",
    address: options.AddressOption = None,
    slurm: options.SlurmOption = None,
    as_json: options.JsonOption = False,
    scores: options.ScoreTableOption = None,
    score: options.ScoreColumns = None,
    label: options.LabelColumn = None,
    cohort: options.CohortColumn = None,
    patient: options.PatientColumn = None,
    cutoff: options.CutoffValues = None,
    cutoff_from: options.CutoffCohort = None,
    time: options.TimeColumn = None,
    event: options.EventColumn = None,
    landmark: options.Landmark = None,
    out_of_fold: options.FoldCohorts = None,
    output: options.MetricsFolder = None,
    overwrite: options.OverwriteOption = False,
    figures: options.FigureFormats = None,
    labels: options.LabelsFile = None,
) -> None:
    """Judge the locked model on every cohort. With --scores, any table of scores."""
    from autodls.jobs.executor import executor_of
    from autodls.stages.evaluate_scores import TableRequest, refuse_without_table

    who = executor_of(executor, address, slurm or ())
    workspace = options.experiment_of(dataset, workspace, name)
    columns = (tuple(score or ()), label, cohort, patient, tuple(cutoff or ()), cutoff_from, time, event, landmark)
    request = TableRequest(
        scores or Path(), *columns, tuple(out_of_fold or ()), output, overwrite, tuple(figures or ()), labels
    )
    if scores is not None:
        _refuse_cluster(who.name)
        _evaluate_table(request, as_json=as_json, dry_run=dry_run)
        return
    refuse_without_table(request)
    if dry_run:
        from autodls.stages.dry_run import dry_evaluate

        tell(dry_evaluate(dataset, workspace, rois))
        return
    from autodls.cli.show_scores import show_evaluated
    from autodls.stages.evaluate import evaluate as judge

    found = judge(dataset, workspace, rois, device=device, workers=workers, executor=who, watch=Terminal())
    show_evaluated(found, as_json=as_json)
    raise typer.Exit(1 if found.unscored else 0)


def _refuse_cluster(executor: str) -> None:
    from autodls.errors import ArgumentError

    if executor != "local":
        raise ArgumentError(
            f"--executor {executor}: is for the held-out cases of a dataset; a table (--scores) is evaluated here, so "
            "leave it out"
        )


def _evaluate_table(request: "TableRequest", *, as_json: bool, dry_run: bool) -> None:
    from autodls.cli.show_scores import show_judged
    from autodls.errors import ArgumentError
    from autodls.stages.evaluate_scores import evaluate_scores

    if dry_run:
        raise ArgumentError("--dry-run is for the cohorts of a dataset: a table (--scores) is evaluated in seconds")
    if request.scores and request.output is None and not as_json:
        raise ArgumentError("-o is missing: name the folder for the results, or ask for --json on stdout")
    metrics = evaluate_scores(request, watch=Terminal())
    show_judged(metrics, request.table, None if as_json else request.output)


def explain(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    rois: options.RoisOption = None,
    cases: Annotated[
        str | None,
        typer.Option(
            "--cases", metavar="CASES", help="Case ids with commas between, or how many of each end of the scores (4)."
        ),
    ] = None,
    device: options.ComputeOption = "auto",
    workers: options.WorkersOption = options.WORKERS,
    as_json: options.JsonOption = False,
) -> None:
    """Draw heat maps (Grad-CAM) of cases. Each is by folds not trained on it; what maps depend on is checked."""
    workspace = options.experiment_of(dataset, workspace, name)
    from autodls.cli.show_scores import show_explained
    from autodls.stages.explain import explain as draw

    found = draw(dataset, workspace, cases, rois, device=device, workers=workers, watch=Terminal())
    show_explained(found, as_json=as_json)
