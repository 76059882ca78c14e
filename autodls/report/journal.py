"""The figures of a report for a journal, and anew where names are labelled: drawn again from what the run has kept."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from autodls.analysis.nomogram import has_nomogram
from autodls.report.artefacts import Artefacts, Picture
from autodls.report.comparison_files import COEFFICIENTS, NOMOGRAM, comparison_files
from autodls.report.drawn import Drawn, Format, png_of, save_for_journal, svg_of
from autodls.report.figures.images import images_figure
from autodls.report.figures.learning_curves import learning_figure
from autodls.report.figures.lettering import told_of
from autodls.report.figures.nomogram import coefficients_figure, nomogram_figure
from autodls.report.figures.patients import patients_figure
from autodls.report.figures.rois import roi_figures
from autodls.report.figures.style import MM_PER_INCH
from autodls.report.images_files import NAME as IMAGES
from autodls.report.patients_files import NAME as PATIENTS

LOSSES = "losses"  # of networks by epoch; "learning_curve" is the AUC by number of patients
_TALLEST_MM = 240.0  # of a page of a journal

Figures = Mapping[str, Figure]


def redrawn(study: Artefacts, of_scores: Mapping[str, Drawn]) -> Figures:
    """Every figure that the report of `study` shows but heat maps, by name; those `of_scores` are drawn already."""
    drawn = dict(of_scores)
    if study.comparison is not None:
        drawn |= comparison_files(study.comparison).figures
    if study.candidate is not None:
        drawn[COEFFICIENTS] = coefficients_figure(study.candidate)
    if study.candidate is not None and has_nomogram(study.candidate):
        drawn[NOMOGRAM] = nomogram_figure(study.candidate)
    if study.patients is not None:
        drawn[PATIENTS] = patients_figure(study.patients)
    if study.image_benchmark is not None:
        drawn[IMAGES] = images_figure(study.image_benchmark)
    if study.roi_benchmark is not None:
        drawn |= roi_figures(study.roi_benchmark)
    figures = {name: one.figure for name, one in drawn.items()}
    if folds := {fold: stages for fold, stages in study.logs.items() if stages}:
        figures[LOSSES] = learning_figure(folds)
    return figures


def with_figures(study: Artefacts, figures: Figures, undrawable: tuple[str, ...]) -> Artefacts:
    """`study` with `figures` in the place of those that were read; `undrawable` tells of the names in them."""
    shown = {name: Picture(svg_of(figure), "image/svg+xml") for name, figure in figures.items() if name != LOSSES}
    if study.metrics is None:
        return replace(study, figures={**study.figures, **shown})
    others = [text for text in study.metrics.warnings if not told_of([text])]
    metrics = study.metrics.model_copy(update={"warnings": (*others, *undrawable)})
    return replace(study, figures={**study.figures, **shown}, metrics=metrics)


def pngs_of(figures: Figures) -> dict[str, bytes]:
    """The figures as PNG, by name."""
    return {name: png_of(figure) for name, figure in figures.items() if name != LOSSES}


def save_journal(folder: Path, figures: Figures, formats: Iterable[Format]) -> list[Path]:
    """Write every figure in every one of `formats` into `folder`; where they lie."""
    wanted = tuple(formats)
    return [path for name, figure in figures.items() for path in save_for_journal(folder, name, figure, wanted)]


def too_tall(figures: Figures) -> list[str]:
    """A sentence for each figure that no page of a journal holds."""
    heights_mm = {name: float(figure.get_size_inches()[1]) * MM_PER_INCH for name, figure in figures.items()}
    return [
        f"figure {name} is {height_mm:.0f} mm high, more than the {_TALLEST_MM:.0f} mm of a page"
        for name, height_mm in heights_mm.items()
        if height_mm > _TALLEST_MM
    ]
