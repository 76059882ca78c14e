"""What worse images do to the score, where `autodls benchmark images` was run."""

from collections.abc import Iterator

from autodls.analysis.images_records import ImageBenchmark
from autodls.report.artefacts import Artefacts
from autodls.report.html.page import Markup, Section, bullets, el, joined, paragraph, printed_table
from autodls.report.html.pictures import if_drawn
from autodls.report.naming import cohort_label
from autodls.report.tables.images import images_table

_COMMAND = "autodls benchmark images"


def images(study: Artefacts) -> Section | None:
    """A sentence a kind, the figure and the table; None where nothing was measured."""
    if study.image_benchmark is None:
        return None
    return Section("images", "Robustness to worse images", joined(_body(study, study.image_benchmark)))


def _body(study: Artefacts, found: ImageBenchmark) -> Iterator[Markup]:
    if study.model is not None and study.model.sha256() != found.model:
        again = el("code", _COMMAND)
        yield paragraph("Of another model than the one of this report: run ", again, " again.", class_="absent")
    yield paragraph(
        "How far does the score move where the scan is worse? The images of every case are made worse by stated "
        "degrees before anything else is done to them; the ROI stays. Calls that change, at the lowest and at the "
        "highest level:"
    )
    yield bullets([found.sentence(kind, cohort_label) for kind in found.kinds])
    yield from if_drawn(study, "images_robustness")
    yield printed_table(images_table(found).printed, "results/tables/images_robustness.csv")
