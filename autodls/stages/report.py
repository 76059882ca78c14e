"""`report`: the whole study as one HTML file, and as the draft of a paper in a Word file."""

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
    docx: bool = False,
    overwrite: bool = False,
    watch: Watch = SILENT,
) -> Path:
    """Write the report of a workspace, to results/report.html unless `output` names another file; where it lies.

    Another file that is there already is replaced with `overwrite` alone, and if it is a report. With `docx` the draft
    of a paper is written beside it, of the same name (`paper_beside`), which replaces one that nobody has written in.
    Of a workspace that may only be read a report can be made elsewhere, which is then not noted in its provenance.json.

    Raises ArgumentError where there is no workspace, the report or the paper cannot or must not lie at `output`, or the
    package that writes Word files is not installed.
    """
    from autodls.report.html.document import write_report

    if docx:
        from autodls.report.paper.word import require_docx

        require_docx()
    folder = workspace_of(dataset, workspace)
    if not folder.root.is_dir():
        raise ArgumentError(f"workspace {folder.root}: no such folder; correct -w, or run 'autodls plan'")
    require_own(folder.root)
    folder = folder.of(trained_rois(folder, rois))
    target = output if output is not None else folder.report
    _require_place(target)
    if real_place(target) != real_place(folder.report):
        _require_replaceable(target, overwrite=overwrite)
    if docx:
        _require_unwritten(paper_beside(target))
    description = read_description(dataset)
    inside = real_place(target).is_relative_to(real_place(folder.root))
    noted = inside or os.access(folder.root, os.W_OK)
    with locked(folder) if noted else nullcontext():
        write_report(folder, description, target)
        if docx:
            from autodls.report.paper.word_file import write_paper

            write_paper(folder, description, paper_beside(target))
        if noted:
            _note(watch.command, folder, target, docx=docx)
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


def paper_beside(report: Path) -> Path:
    """Where the paper lies that was written with the report."""
    return report.with_suffix(".docx")


def _require_unwritten(paper: Path) -> None:
    """Raise ArgumentError where something lies at `paper` that is not as we wrote it: it may hold an author's words."""
    from autodls.report.paper.word_file import is_paper

    if os.path.lexists(paper) and (paper.is_symlink() or not paper.is_file() or not is_paper(paper)):
        raise ArgumentError(
            f"--docx: {paper} is there, and is no paper that AutoDLS wrote, or somebody has written in it since; it is "
            "not replaced: move it away first"
        )


def _note(command: Sequence[str], folder: Workspace, target: Path, *, docx: bool) -> None:
    """A report elsewhere goes by another name, so that the one in the workspace keeps its own; so does a paper."""
    ours = real_place(target) == real_place(folder.report)
    sources, papers = reported_from(folder), [paper_beside(target)] if docx else []
    if not ours:
        note_run(command, folder, "report -o", None, sources, [target, *papers])
        return
    note_run(command, folder, "report", None, sources, [folder.report])
    if docx:
        note_run(command, folder, "report --docx", None, sources, [folder.paper])


def reported_from(folder: Workspace) -> list[Path]:
    """The records that a report tells of, as far as they are there."""
    records = [folder.plan, folder.splits, folder.oof_scores, folder.model.record, folder.metrics]
    return [
        *records,
        folder.heatmaps.summary,
        folder.comparison,
        folder.roi_benchmark,
        folder.image_benchmark,
        folder.table("withheld"),
    ]
