"""Options that several commands share, or that need many words, and what they stand for."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from autodls.cli.manner import remember
from autodls.machine import usable_cores
from autodls.records.encoders import Encoder

CURRENT = Path()
WORKERS = max(1, min(8, usable_cores()))

DatasetOption = Annotated[Path, typer.Option("-d", "--dataset", metavar="DATASET", help="Folder with dataset.json.")]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "-w",
        "--workspace",
        metavar="WORKSPACE",
        callback=remember,
        help="Where results go; DATASET/autodls by default.",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        callback=remember,
        help="An experiment beside others in the workspace, with a plan and results of its own.",
    ),
]
WorkersOption = Annotated[int, typer.Option("--workers", metavar="N", min=1, help="Processes that read images.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done and kept, and how long it may take; write nothing.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace the results that -o names, where autodls alone wrote them.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
MemoryOption = Annotated[
    float | None, typer.Option("--memory-gib", metavar="GIB", help="Memory that training may use.")
]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="What to train on.")]
ComputeOption = Annotated[
    str,
    typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where networks are computed; auto: a GPU if any."),
]
RestartOption = Annotated[bool, typer.Option("--restart", help="Throw away what is trained and begin anew.")]
RoisOption = Annotated[
    Literal["manual", "auto"] | None,
    typer.Option("--rois", help="The model trained on these ROIs; the one there is, or manual where there are both."),
]
AlsoOption = Annotated[
    list[str] | None,
    typer.Option("--also", metavar="NAME|all", help="An experiment whose networks are a candidate; may be repeated."),
]
EncoderOption = Annotated[
    Encoder | None, typer.Option("--encoder", help="The network that sees each sequence; else by the preset.")
]
FrozenOption = Annotated[
    bool,
    typer.Option("--frozen", help="Encoders keep the weights that they start from; their features are computed once."),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--encoder-weights",
        metavar="WEIGHTS",
        help="imagenet, random, a file (.pth, .safetensors), or the folder of a MONAI bundle; else by the preset.",
    ),
]
AtOnceOption = Annotated[
    int | None,
    typer.Option(
        "--at-once",
        metavar="N",
        min=1,
        help="Networks that share a GPU, by default as many as its memory holds, or folds trained at the same time "
        "on a CPU, by default one; with the same result.",
    ),
]

CurveCandidateOption = Annotated[
    str | None,
    typer.Option(
        "--candidate", metavar="NAME", help="volume, clinical, radiomics or deep; what compare chose by default."
    ),
]
CurveRepeatsOption = Annotated[
    int | None, typer.Option("--repeats", metavar="N", min=1, help="How often subsets are drawn; 5, of networks 1.")
]
MostCasesOption = Annotated[
    int | None,
    typer.Option("--most-cases", metavar="N", min=1, help="So many of each cohort, at even ranks of ROI volume; all."),
]
LabelAgreementOption = Annotated[
    float | None,
    typer.Option("--label-agreement", metavar="KAPPA", help="Of two readers on the target's cut: caps the AUC."),
]
LabelSourceOption = Annotated[
    str | None, typer.Option("--label-source", metavar="TEXT", help="Where that agreement is published.")
]
HalfWidthOption = Annotated[
    float, typer.Option("--half-width", help="Of the 95% interval of a planned AUC: how many new cases it takes.")
]

ExecutorOption = Annotated[
    Literal["local", "ray", "slurm"],
    typer.Option("--executor", help="Who works: this machine, a Ray cluster, or a SLURM cluster; to the same bytes."),
]
AddressOption = Annotated[
    str | None, typer.Option("--address", metavar="HOST:PORT", help="Head of the Ray cluster; RAY_ADDRESS by default.")
]
SlurmOption = Annotated[
    list[str] | None,
    typer.Option("--slurm", metavar="OPTION=VALUE", help="For sbatch, such as partition=gpu; may be repeated."),
]

ScoreTableOption = Annotated[
    Path | None,
    typer.Option("--scores", metavar="FILE", help="Any table of scores (CSV or .xlsx); no workspace is needed."),
]


def _of_table(name: str, metavar: str, what: str) -> Any:
    """An option of `evaluate` that says what is in the table of --scores."""
    return typer.Option(name, metavar=metavar, help=f"Of --scores: {what}.")


ScoreColumns = Annotated[
    list[str] | None, _of_table("--score", "COL", "score column; may be repeated, the first is the reference")
]
LabelColumn = Annotated[str | None, _of_table("--label", "COL", "label column, 0 or 1")]
CohortColumn = Annotated[str | None, _of_table("--cohort", "COL", "cohort column")]
PatientColumn = Annotated[str | None, _of_table("--patient", "COL", "patient column, where patients have several rows")]
CutoffValues = Annotated[
    list[str] | None, _of_table("--cutoff", "COL=VALUE", "the cut-off of a score; may be repeated")
]
CutoffCohort = Annotated[str | None, _of_table("--cutoff-from", "COHORT", "cohort whose Youden cut-off is used")]
TimeColumn = Annotated[str | None, _of_table("--time", "COL", "follow-up times")]
EventColumn = Annotated[str | None, _of_table("--event", "COL", "events, 0 or 1")]
Landmark = Annotated[float | None, _of_table("--landmark", "TIME", "time after which benefit is durable")]
FoldCohorts = Annotated[
    list[str] | None,
    _of_table(
        "--out-of-fold", "COHORT", "cohort scored by a cross-validation ('all' without --cohort); may be repeated"
    ),
]
MetricsFolder = Annotated[
    Path | None, typer.Option("-o", "--output", help="Of --scores: folder for metrics, tables, figures.")
]
FigureFormats = Annotated[
    list[str] | None,
    typer.Option(
        "--figures", metavar="pdf|svg|tiff", help="Figures for a journal too, beside the report; may be repeated."
    ),
]
LabelsFile = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="JSON: what scores, cohorts, sequences, classes are called."),
]
ReportFile = Annotated[
    Path | None, typer.Option("-o", "--output", help="HTML file; results/report.html of the workspace by default.")
]
DocxOption = Annotated[
    bool, typer.Option("--docx", help="Write the draft of a paper too, a Word file beside the report.")
]
HeatmapsOption = Annotated[
    bool, typer.Option("--heatmaps", help="Write heat maps too (OUT/heatmaps); takes several times as long.")
]
RoisFolder = Annotated[
    Path | None,
    typer.Option(
        "--rois", metavar="ROIS", help="Folder of CASE.nii.gz, on the ROI channel's grid; else the model draws them."
    ),
]
ClinicalTable = Annotated[
    Path | None,
    typer.Option("--clinical", metavar="TABLE", help="Columns case and those that a locked candidate asks for."),
]
DicomFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--dicom", metavar="RESULTS", help="Of DICOM: write results as DICOM too, headers of which name the patient."
    ),
]
SeriesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--series", metavar="CHANNEL=DESCRIPTION", help="Of DICOM: which series is a channel; else the one called so."
    ),
]
RoiNameOption = Annotated[
    list[str] | None,
    typer.Option(
        "--roi-name", metavar="NAME", help="Of DICOM: ROIs of RTSTRUCT and SEG by name or pattern (GTV*); joined."
    ),
]
ModelOption = Annotated[
    Path | None, typer.Option("-m", "--model", metavar="MODEL", help="Model folder; that of the workspace by default.")
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key", metavar="PUBLIC", help="PEM file of a public key: the model must be signed with it."),
]
VerifiedDataset = Annotated[
    Path | None, typer.Option("-d", "--dataset", help="With a workspace: check against the images as well.")
]


def experiment_of(dataset: Path, workspace: Path | None, name: str | None, *, new: bool = False) -> Path | None:
    """The workspace of the experiment `name`; where none is named, nothing is imported."""
    if name is None:
        return workspace
    from autodls.stages import experiments

    return experiments.experiment_of(dataset, workspace, name, new=new)
