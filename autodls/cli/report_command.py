"""`report`."""

from pathlib import Path

from autodls.cli.console import Terminal, say
from autodls.records.model_folders import RoiKind
from autodls.stages.report import report


def run_report(
    dataset: Path,
    workspace: Path | None,
    output: Path | None,
    rois: RoiKind | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write the report of a workspace, and say where it lies."""
    say(f"report: {report(dataset, workspace, output, rois, overwrite=overwrite, watch=Terminal())}")
