"""Automatic against manual ROIs, where `autodls benchmark rois` was run."""

from collections.abc import Iterator

from autodls.analysis.rois_records import RoiBenchmark
from autodls.report.artefacts import Artefacts
from autodls.report.html.page import Markup, Section, bullets, el, joined, paragraph, printed_table
from autodls.report.html.pictures import if_drawn
from autodls.report.naming import cohort_label
from autodls.report.tables.rois import agreement_table, lesions_table, planes_table, published_table
from autodls.report.tables.rois_effect import effect_table, robustness_table

_COMMAND = "autodls benchmark rois"


def rois(study: Artefacts) -> Section | None:
    """Agreement, effect on the score, robustness; None where the benchmark was not run."""
    if study.roi_benchmark is None:
        return None
    parts = [*_opening(study, study.roi_benchmark), *_agreement(study, study.roi_benchmark)]
    parts += [*_effect(study, study.roi_benchmark), *_robustness(study, study.roi_benchmark)]
    return Section("rois", "Automatic and manual ROIs", joined(parts))


def of_another_model(study: Artefacts, benchmark: RoiBenchmark) -> bool:
    """Whether the benchmark is not of the model of this report."""
    model = study.model
    return model is not None and benchmark.models.get(model.rois, model.sha256()) != model.sha256()


def _opening(study: Artefacts, benchmark: RoiBenchmark) -> Iterator[Markup]:
    if of_another_model(study, benchmark):
        yield paragraph(
            "The model of this report is not the one of the benchmark: run ", el("code", _COMMAND), " again.",
            class_="absent",
        )  # fmt: skip
    yield paragraph(
        "What does it cost to let networks draw the tumour? Each automatic ROI is drawn by networks that never saw the "
        "case: training cases by the fold that left them out, held-out cases by the ensemble of all folds."
    )
    if benchmark.effect is not None:
        answers = [f"{cohort_label(cohort)}: {held.sentence}" for cohort, held in benchmark.effect.items()]
        yield paragraph(f"Automatic against manual ROIs, in training and in use (margin {benchmark.margin:g}):")
        yield bullets(answers)


def _agreement(study: Artefacts, benchmark: RoiBenchmark) -> Iterator[Markup]:
    yield el("h3", "Agreement")
    yield printed_table(agreement_table(benchmark).printed, "results/tables/rois_agreement.csv")
    yield from if_drawn(study, "rois_dice")
    yield printed_table(published_table(benchmark).printed, "results/tables/rois_published.csv")
    yield printed_table(planes_table(benchmark).printed, "results/tables/rois_planes.csv")
    yield printed_table(lesions_table(benchmark).printed, "results/tables/rois_lesions.csv")


def _effect(study: Artefacts, benchmark: RoiBenchmark) -> Iterator[Markup]:
    yield el("h3", "Effect on the score")
    if benchmark.effect is None:
        yield paragraph(f"Not there yet: {benchmark.reasons['effect']}.", class_="absent")
        return
    yield printed_table(effect_table(benchmark.effect).printed, "results/tables/rois_effect.csv")
    yield from if_drawn(study, "rois_scores")


def _robustness(study: Artefacts, benchmark: RoiBenchmark) -> Iterator[Markup]:
    yield el("h3", "Robustness")
    if benchmark.robustness is None:
        yield paragraph(f"Not there yet: {benchmark.reasons['robustness']}.", class_="absent")
        return
    yield printed_table(robustness_table(benchmark).printed, "results/tables/rois_robustness.csv")
    yield from if_drawn(study, "rois_robustness")
