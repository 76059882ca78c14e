"""How many patients more, where `autodls benchmark patients` was run."""

from collections.abc import Iterator

from autodls.analysis.patients_results import PatientsBenchmark
from autodls.report.artefacts import Artefacts
from autodls.report.html.page import Markup, Section, el, joined, paragraph, printed_table
from autodls.report.html.pictures import if_drawn
from autodls.report.tables.patients import patients_table

_COMMAND = "autodls benchmark patients"


def patients(study: Artefacts) -> Section | None:
    """One sentence, the figure and the table; None where nothing was measured."""
    if study.patients is None:
        return None
    return Section("patients", "How many patients more", joined(_body(study, study.patients)))


def _body(study: Artefacts, found: PatientsBenchmark) -> Iterator[Markup]:
    if changed := study.changed(found.made_from):
        again = el("code", _COMMAND)
        yield paragraph(f"Measured before {', '.join(changed)} changed: run ", again, " again.", class_="absent")
    yield paragraph(found.sentence)
    yield from if_drawn(study, "learning_curve")
    yield printed_table(patients_table(found).printed, "results/tables/learning_curve.csv")
