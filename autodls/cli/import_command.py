"""`import`, as a person sees it: rows and case ids are printed, never what a header says."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.cli.console import Terminal, note, say, say_json, show_table
from autodls.errors import ArgumentError
from autodls.limits import MOST_SHOWN

if TYPE_CHECKING:
    from autodls.dicom.dataset_files import LabelSource
    from autodls.stages.import_dicom import Imported

_SHOWN = ("row", "case", "role", "modality", "plane", "planes", "why", "ambiguous")


def label_source(
    table: Path | None, column: str | None, target: str | None, positive: str | None, keep: Sequence[str]
) -> "LabelSource | None":
    """The options of labels as one; raises ArgumentError where some are given without the others."""
    from autodls.dicom.dataset_files import LabelSource

    given = (column, target, positive)
    if table is None:
        if any(given) or keep:
            raise ArgumentError("--label-id, --target, --positive and --keep say how --labels TABLE is read; give it")
        return None
    if column is None or target is None or positive is None:
        raise ArgumentError(
            "--labels needs --label-id (the column of patient ids), --target (the column of the outcome) and "
            "--positive (a rule such as '>= 20', or names of classes with commas between)"
        )
    return LabelSource(table, column, target, positive, tuple(keep))


def run_import(
    dicom: Path,
    dataset: Path,
    confidential: Path | None,
    roi_names: Sequence[str],
    labels: "LabelSource | None",
    *,
    restart: bool,
    workers: int,
    as_json: bool,
) -> None:
    """Import, and say what was found or made, and what is to be done next."""
    from autodls.stages.import_dicom import import_dicom

    done = import_dicom(
        dicom,
        dataset,
        confidential=confidential,
        roi_names=roi_names,
        labels=labels,
        restart=restart,
        workers=workers,
        watch=Terminal(),
    )
    if as_json:
        say_json(json.dumps(asdict(done), default=str, indent=1))
    elif done.step == "listed":
        _show_listed(done)
    else:
        _show_converted(done)


def _show_listed(done: "Imported") -> None:
    from autodls.stages.import_dicom import table_rows

    rows = [row for row in table_rows(done.table) if row["role"] or row["ambiguous"]]
    if rows:
        show_table("Series", list(_SHOWN), [[row[name] for name in _SHOWN] for row in rows[:MOST_SHOWN]])
    say(
        f"{done.patients} patients, {done.series} series and {done.rois} ROIs: {done.proposed} have a role, "
        f"{done.refused} cannot be converted, {done.unused} files are not used (unused.csv)"
    )
    say(
        f"{done.ambiguous} rows are ambiguous. Nothing is converted yet: look at {done.table} (columns case and role "
        "are yours to change), then give the same command again"
    )


def _show_converted(done: "Imported") -> None:
    for line in done.notes:
        note(f"warning: {line}")
    say(f"{done.cases} cases, {done.images} images and {done.masks} ROIs in {done.dataset}")
    for line in done.missing:
        say(f"still missing: {line}")
    say(f"Next: autodls check -d {done.dataset}. {done.table.parent} names patients: keep it away from the dataset")
