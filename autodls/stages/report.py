"""`report`: the whole study as one HTML file, and as the draft of a paper in a Word file."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.errors import ArgumentError
from autodls.records.cohort import read_description
from autodls.records.lock import locked
from autodls.records.model_folders import RoiKind
from autodls.records.rows import training_cohorts
from autodls.records.workspace import Workspace
from autodls.stages.journal import Shown, journal_folder, journal_results, labelling, replace_journal, require_names
from autodls.stages.kept_study import evaluated_from, kept_study, tables_of
from autodls.stages.places import real_place, require_folder, require_no_input, require_own
from autodls.stages.provenance import note_run
from autodls.stages.session import trained_rois, workspace_of
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.analysis.scored_study import ScoredStudy
    from autodls.records.labels import Labels
    from autodls.report.artefacts import Artefacts
    from autodls.report.drawn import Drawn
    from autodls.report.journal import Figures

NOTHING = Shown()
_ENDINGS = (".html", ".htm")


def report(
    dataset: Path,
    workspace: Path | None = None,
    output: Path | None = None,
    rois: RoiKind | None = None,
    *,
    docx: bool = False,
    shown: Shown = NOTHING,
    overwrite: bool = False,
    watch: Watch = SILENT,
) -> Path:
    """Write the report of a workspace, to results/report.html unless `output` names another file; where it lies.

    Another file that is there already is replaced with `overwrite` alone, and if it is a report. With `docx` the draft
    of a paper is written beside it, of the same name (`paper_beside`), which replaces one that nobody has written in.
    Figures in the formats that are `shown` go into a folder beside it, whose name ends in "_figures". Of a workspace
    that may only be read a report can be made elsewhere, which is then not noted in its provenance.json.

    Raises ArgumentError where there is no workspace, the report or the paper cannot or must not lie at `output`, the
    package that writes Word files is not installed, or labels do not fit; StaleRecordError where figures are to be
    drawn of an evaluation that no longer stands.
    """
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
    ours = real_place(target) == real_place(folder.report)
    if not ours:
        _require_replaceable(target, overwrite=overwrite)
    if docx:
        _require_unwritten(paper_beside(target))
    overwrite = overwrite or ours
    if shown.figures:
        journal_results(journal_folder(target), overwrite=overwrite).require_free()
    noted = real_place(target).is_relative_to(real_place(folder.root)) or os.access(folder.root, os.W_OK)
    with locked(folder) if noted else nullcontext():
        journal = _write(dataset, folder, target, shown, watch, docx=docx, overwrite=overwrite)
        if noted:
            _note(watch.command, folder, target, shown, journal, docx=docx)
    if not noted:
        watch.note(f"workspace {folder.root} may only be read, so its provenance.json does not tell of this report")
    return target


def _write(
    dataset: Path, folder: Workspace, target: Path, shown: Shown, watch: Watch, *, docx: bool, overwrite: bool
) -> list[Path]:
    """Write the page and, where they are asked for, paper and figures; where these figures lie."""
    from autodls.report.html.document import write_page
    from autodls.report.reading import read_study

    labels, study = shown.read_labels(), read_study(folder, read_description(dataset), tables_of(dataset))
    journal: list[Path] = []
    pictures: dict[str, bytes] = {}
    with labelling(labels):
        if shown:
            drawn, undrawable = _redrawn(dataset, folder, study, labels, watch)
            if labels is not None:
                from autodls.report.journal import pngs_of, with_figures

                study, pictures = with_figures(study, drawn, undrawable), pngs_of(drawn) if docx else {}
            if shown.figures:
                made_from = [*reported_from(folder), *evaluated_from(dataset, folder), *shown.made_from]
                place = journal_folder(target)
                journal = replace_journal(place, drawn, shown.formats, made_from, watch.command, overwrite=overwrite)
        write_page(study, target)
        if docx:
            from autodls.report.paper.word_file import save_paper

            save_paper(folder, study, paper_beside(target), pictures)
    return journal


def _redrawn(
    dataset: Path, folder: Workspace, study: "Artefacts", labels: "Labels | None", watch: Watch
) -> "tuple[Figures, tuple[str, ...]]":
    """The figures of `study`, drawn anew, and what is to be known of names in them."""
    from autodls.report.journal import redrawn, too_tall

    scored = kept_study(dataset, folder)
    if study.metrics is not None:
        training = training_cohorts(scored.dataset.description)
        require_names(labels, study.metrics, scored.sequences, (*training, " + ".join(training)))
    watch.note("figures ...")
    of_scores, undrawable = _drawn(study, scored)
    drawn = redrawn(study, of_scores)
    for text in too_tall(drawn):
        watch.note(f"warning: {text}")
    return drawn, tuple(undrawable)


def _drawn(study: "Artefacts", scored: "ScoredStudy") -> "tuple[dict[str, Drawn], list[str]]":
    from autodls.analysis.study_analysis import study_flow
    from autodls.report.study_results import drawn_study

    return ({}, []) if study.metrics is None else drawn_study(scored, study.metrics, study_flow(scored))


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


def _note(
    command: Sequence[str], folder: Workspace, target: Path, shown: Shown, journal: Sequence[Path], *, docx: bool
) -> None:
    """A report elsewhere goes by another name, so that the one in the workspace keeps its own; so do its neighbours."""
    ours = real_place(target) == real_place(folder.report)
    sources, papers = [*reported_from(folder), *shown.made_from], [paper_beside(target)] if docx else []
    if ours:
        note_run(command, folder, "report", None, sources, [folder.report])
    else:
        note_run(command, folder, "report -o", None, sources, [target, *papers])
    if ours and docx:
        note_run(command, folder, "report --docx", None, sources, [folder.paper])
    if journal:
        note_run(command, folder, "report --figures" if ours else "report -o --figures", None, sources, journal)


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
