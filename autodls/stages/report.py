"""`report`: the whole study as one HTML file."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.records.cohort import read_description
from autodls.records.lock import locked
from autodls.records.model_folders import RoiKind
from autodls.records.workspace import Workspace
from autodls.stages.places import real_place, require_folder, require_no_input, require_own
from autodls.stages.provenance import note_run
from autodls.stages.session import trained_rois, workspace_of
from autodls.watch import SILENT, Watch

_ENDINGS = (".html", ".htm")


def report(
    dataset: Path,
    workspace: Path | None = None,
    output: Path | None = None,
    rois: RoiKind | None = None,
    *,
    overwrite: bool = False,
    watch: Watch = SILENT,
) -> Path:
    """Write the report of a workspace, to results/report.html unless `output` names another file; where it lies.

    Another file that is there already is replaced with `overwrite` alone, and if it is a report. Of a workspace that
    may only be read a report can be made elsewhere, which is then not noted in its provenance.json.

    Raises ArgumentError where there is no workspace, or the report cannot or must not lie at `output`.
    """
    from autodls.report.html.document import write_report

    folder = workspace_of(dataset, workspace)
    if not folder.root.is_dir():
        raise ArgumentError(f"workspace {folder.root}: no such folder; correct -w, or run 'autodls plan'")
    require_own(folder.root)
    folder = folder.of(trained_rois(folder, rois))
    target = output if output is not None else folder.report
    _require_place(target)
    if real_place(target) != real_place(folder.report):
        _require_replaceable(target, overwrite=overwrite)
    description = read_description(dataset)
    inside = real_place(target).is_relative_to(real_place(folder.root))
    noted = inside or os.access(folder.root, os.W_OK)
    with locked(folder) if noted else nullcontext():
        write_report(folder, description, target)
        if noted:
            _note(watch.command, folder, target)
    if not noted:
        watch.note(f"workspace {folder.root} may only be read, so its provenance.json does not tell of this report")
    return target


def _require_place(target: Path) -> None:
    """Raise ArgumentError where no report can or may lie."""
    if target.is_dir():
        raise ArgumentError(f"-o {target}: is a folder; give the name of the HTML file")
    if target.suffix.lower() not in _ENDINGS:
        raise ArgumentError(f"-o {target}: ends in '{target.suffix}'; a report is a file that ends in .html")
    require_folder(target.parent, "-o")
    require_no_input(target.parent)


def _require_replaceable(target: Path, *, overwrite: bool) -> None:
    """Raise ArgumentError where something lies at `target` that is no report of ours, or must not be replaced."""
    from autodls.report.html.document import is_report

    if not os.path.lexists(target):
        return
    if target.is_symlink() or not is_report(target):
        raise ArgumentError(
            f"-o {target}: is there, and is no report, or one that was changed after AutoDLS wrote it; nothing is "
            "replaced that AutoDLS did not write: give another name, or move it away"
        )
    if not overwrite:
        raise ArgumentError(f"-o {target}: is a report already; give another name, or --overwrite to have it replaced")


def _note(command: Sequence[str], folder: Workspace, target: Path) -> None:
    """A report elsewhere goes by another name, so that the one in the workspace keeps its own."""
    ours = real_place(target) == real_place(folder.report)
    made = [folder.report if ours else target]
    note_run(command, folder, "report" if ours else "report -o", None, reported_from(folder), made)


def reported_from(folder: Workspace) -> list[Path]:
    """The records that a report tells of, as far as they are there."""
    records = [folder.plan, folder.splits, folder.oof_scores, folder.model.record, folder.metrics]
    return [*records, folder.heatmaps.summary, folder.comparison, folder.roi_benchmark, folder.table("withheld")]
