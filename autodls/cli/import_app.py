"""`import` and its options."""

from pathlib import Path
from typing import Annotated

import typer

from autodls.cli.console import Terminal
from autodls.cli.options import WORKERS, JsonOption, WorkersOption


def import_(
    dicom: Annotated[Path, typer.Argument(help="Folder with DICOM studies, whatever else is in it; archives too.")],
    dataset: Annotated[Path, typer.Option("-o", "--output", help="Dataset folder to be made.")],
    roi_name: Annotated[
        list[str] | None,
        typer.Option("--roi-name", help="ROIs that are the tumour, by name or pattern (GTV*); may be repeated."),
    ] = None,
    confidential: Annotated[
        Path | None,
        typer.Option("--confidential", help="Folder for series.csv and ids.csv; DATASET-confidential by default."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Table (CSV or .xlsx) with a row a patient, for clinical.csv.")
    ] = None,
    label_id: Annotated[str | None, typer.Option("--label-id", help="Its column of patient ids, or case ids.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Its column of the outcome.")] = None,
    positive: Annotated[str | None, typer.Option("--positive", help="Which are positive: '>= 20', or classes.")] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Column of it to take over, such as age; may be repeated.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Make series.csv anew; the old one is kept.")] = False,
    workers: WorkersOption = WORKERS,
    as_json: JsonOption = False,
) -> None:
    """Make a dataset of DICOM studies, by a table of their series.

    The first call writes series.csv into DATASET-confidential and converts nothing; look at it, and correct it. The
    second converts by the table alone. Case ids are new; ids.csv, which says whose they are, lies beside series.csv.
    """
    from autodls.cli.show_import import show_import
    from autodls.dicom.dataset_files import label_source
    from autodls.stages.import_dicom import import_dicom

    done = import_dicom(
        dicom,
        dataset,
        confidential=confidential,
        roi_names=roi_name or [],
        labels=label_source(labels, label_id, target, positive, keep or []),
        restart=restart,
        workers=workers,
        watch=Terminal(),
    )
    show_import(done, as_json=as_json)
