"""Options that several commands share, or that need many words."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from autodls.machine import usable_cores
from autodls.records.encoders import Encoder

CURRENT = Path()
WORKERS = max(1, min(8, usable_cores()))

DatasetOption = Annotated[Path, typer.Option("-d", "--dataset", help="Dataset folder, with dataset.json.")]
WorkspaceOption = Annotated[
    Path | None, typer.Option("-w", "--workspace", help="Where results go; DATASET/autodls by default.")
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", help="An experiment beside others in the workspace, with a plan and results of its own."),
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that read images.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done and kept, and how long it may take; write nothing.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace the results that -o names, where autodls alone wrote them.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
MemoryOption = Annotated[float | None, typer.Option("--memory-gib", help="Memory that training may use, in GiB.")]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="What to train on.")]
ComputeOption = Annotated[
    str,
    typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where networks are computed; auto: a GPU if any."),
]
RoisOption = Annotated[
    Literal["manual", "auto"] | None,
    typer.Option("--rois", help="The model trained on these ROIs; the one there is, or manual where there are both."),
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
    typer.Option("--encoder-weights", help="imagenet, random, or a file (.pth, .safetensors); else by the preset."),
]
AtOnceOption = Annotated[
    int | None,
    typer.Option(
        "--at-once",
        min=1,
        help="Networks that share a GPU, by default as many as its memory holds, or folds trained at the same time "
        "on a CPU, by default one; with the same result.",
    ),
]

ExecutorOption = Annotated[
    Literal["local", "ray", "slurm"],
    typer.Option("--executor", help="Who trains: this machine, a Ray cluster, or a SLURM cluster; to the same bytes."),
]
AddressOption = Annotated[
    str | None, typer.Option("--address", help="Head of the Ray cluster, HOST:PORT; RAY_ADDRESS by default.")
]
SlurmOption = Annotated[
    list[str] | None, typer.Option("--slurm", help="OPTION=VALUE for sbatch, such as partition=gpu; may be repeated.")
]

ScoreTableOption = Annotated[
    Path | None, typer.Option("--scores", help="Any table of scores (CSV or .xlsx); no workspace is needed.")
]
PatientColumn = Annotated[
    str | None, typer.Option("--patient", help="Patient column, where patients have several rows.")
]
ScoreColumns = Annotated[list[str] | None, typer.Option("--score", help="Score column; the first is the reference.")]
CutoffValues = Annotated[list[str] | None, typer.Option("--cutoff", help="COL=VALUE, the cut-off of a score.")]
CutoffCohort = Annotated[str | None, typer.Option("--cutoff-from", help="Cohort whose Youden cut-off is used.")]
FoldCohorts = Annotated[
    list[str] | None,
    typer.Option("--out-of-fold", help="Cohort that a cross-validation scored ('all' without --cohort)."),
]
MetricsFolder = Annotated[Path | None, typer.Option("-o", "--output", help="Folder for metrics.json, with --scores.")]
ReportFile = Annotated[
    Path | None, typer.Option("-o", "--output", help="HTML file; results/report.html of the workspace by default.")
]
HeatmapsOption = Annotated[
    bool, typer.Option("--heatmaps", help="Write heat maps too (OUT/heatmaps); takes several times as long.")
]
RoisFolder = Annotated[
    Path | None,
    typer.Option("--rois", help="Folder of CASE.nii.gz, on the ROI channel's grid; else the model draws them."),
]
ModelOption = Annotated[
    Path | None, typer.Option("-m", "--model", help="Model folder; that of the workspace by default.")
]
VerifiedDataset = Annotated[
    Path | None, typer.Option("-d", "--dataset", help="With a workspace: check against the images as well.")
]
