"""Options that several commands share, or that need many words."""

from pathlib import Path
from typing import Annotated, Literal

import typer

DatasetOption = Annotated[Path, typer.Option("-d", "--dataset", help="Dataset folder, with dataset.json.")]
WorkspaceOption = Annotated[
    Path | None, typer.Option("-w", "--workspace", help="Where results go; DATASET/autodls by default.")
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that read images.")]
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
WeightsOption = Annotated[
    str | None,
    typer.Option("--encoder-weights", help="imagenet, random, or a file (.pth, .safetensors); else by the preset."),
]
AtOnceOption = Annotated[
    int | None,
    typer.Option(
        "--at-once",
        min=1,
        help="Folds trained at the same time, with the same result; by default one on a CPU, on a GPU as many as its "
        "memory holds.",
    ),
]
