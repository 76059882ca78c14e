"""`report`: the whole study as one HTML file."""

import os
from contextlib import nullcontext
from pathlib import Path

from autodls.cli.console import note, say
from autodls.cli.places import require_folder, require_no_model
from autodls.cli.provenance import note_run
from autodls.cli.session import trained_rois, workspace_of
from autodls.errors import ArgumentError
from autodls.records.cohort import read_description
from autodls.records.lock import locked
from autodls.records.workspace import RoiKind, Workspace


def run_report(dataset: Path, workspace: Path | None, output: Path | None, rois: RoiKind | None = None) -> None:
    """Write the report of a workspace, to results/report.html unless `output` names another file."""
    from autodls.report.html import write_report

    folder = workspace_of(dataset, workspace)
    if not folder.root.is_dir():
        raise ArgumentError(f"workspace {folder.root}: no such folder; correct -w, or run 'autodls plan'")
    folder = folder.of(trained_rois(folder, rois))
    target = output if output is not None else folder.report
    if target.is_dir():
        raise ArgumentError(f"-o {target}: is a folder; give the name of the HTML file")
    require_folder(target.parent, "-o")
    require_no_model(target.parent)
    description = read_description(dataset)
    inside = target.resolve().is_relative_to(folder.root.resolve())
    noted = inside or os.access(folder.root, os.W_OK)
    with locked(folder) if noted else nullcontext():
        write_report(folder, description, target)
        if noted:
            _note(folder, target)
    if not noted:
        note(f"workspace {folder.root} may only be read, so its provenance.json does not tell of this report")
    say(f"report: {target}")


def _note(folder: Workspace, target: Path) -> None:
    """A report elsewhere goes by another name, so that the one in the workspace keeps its own."""
    ours = target.resolve() == folder.report.resolve()
    made_from = [folder.model.record, folder.metrics]
    note_run(folder, "report" if ours else "report -o", None, made_from, [folder.report if ours else target])
