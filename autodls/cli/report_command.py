"""`report`: the whole study as one HTML file."""

from contextlib import nullcontext
from pathlib import Path

from autodls.cli.console import say
from autodls.cli.places import require_folder, require_no_model
from autodls.cli.provenance import note_run
from autodls.cli.session import trained_rois, workspace_of
from autodls.errors import ArgumentError
from autodls.records.cohort import read_description
from autodls.records.lock import locked
from autodls.records.workspace import RoiKind


def run_report(dataset: Path, workspace: Path | None, output: Path | None, rois: RoiKind | None = None) -> None:
    """Write the report of a workspace, to results/report.html unless `output` names another file."""
    from autodls.report.html import write_report

    folder = workspace_of(dataset, workspace)
    folder = folder.of(trained_rois(folder, rois))
    target = output if output is not None else folder.report
    if target.is_dir():
        raise ArgumentError(f"-o {target}: is a folder; give the name of the HTML file")
    require_folder(target.parent, "-o")
    require_no_model(target.parent)
    description = read_description(dataset)
    with locked(folder) if target.is_relative_to(folder.root) else nullcontext():
        write_report(folder, description, target)
        if target == folder.report:
            note_run(folder, "report", None, [folder.model.record, folder.metrics], [target])
    say(f"report: {target}")
