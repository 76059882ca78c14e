"""The paper of a study: all that its artefacts say, in the order of a journal."""

from collections.abc import Iterator, Mapping

from autodls import __version__
from autodls.report.artefacts import Artefacts
from autodls.report.paper.blocks import Block, Gap, Heading, Paper, Paragraph, cited, under
from autodls.report.paper.methods import methods
from autodls.report.paper.results import (
    checklist_state,
    checklist_tables,
    figures_of,
    limitations,
    results,
    tables_of,
)

NOTE = (
    f"A draft by autodls {__version__} from the files of one run: every number is one of theirs. Highlighted passages "
    "are for the author, who answers for all of the text. Write in a copy: 'autodls verify' holds this file against "
    "the run. A research tool: not a medical device, not for decisions about patients."
)


def paper_of(study: Artefacts, pictures: Mapping[str, bytes], by_mean: int | None = None) -> Paper:
    """The paper; `pictures` are the figures as PNG, by name. What was not run is a marked gap with its command."""
    tables, figures, lists = tables_of(study), figures_of(study, pictures), checklist_tables(study)
    text = tuple(_text(study, by_mean, results(study, tables, figures)))
    appendix = tuple(under("Reporting checklists", 1, checklist_state(study)))
    return Paper(
        name=study.description.name if study.description else study.plan.dataset if study.plan else "study",
        text=text,
        references=cited([*text, *appendix]),
        tables=tuple(tables),
        figures=tuple(figures),
        appendix=appendix,
        checklists=tuple(lists),
    )


def _text(study: Artefacts, by_mean: int | None, found: Iterator[Block]) -> Iterator[Block]:
    yield Paragraph((Gap("authors, affiliations, corresponding author"),))
    yield Paragraph((NOTE,))
    yield from _left("Abstract", "the abstract")
    yield from _left("Introduction", "background, intended use, aims and hypotheses")
    yield from under("Methods", 1, methods(study, by_mean))
    yield from under("Results", 1, found)
    yield Heading("Discussion")
    yield Paragraph((Gap("interpretation, related work, what it means for patients, conclusion"),))
    yield from under("Limitations that the run shows", 2, limitations(study))
    yield Paragraph((Gap("other limitations: selection, generalisability, fairness"),))
    yield from _left("Acknowledgements", "funding, conflicts of interest, contributions, thanks")


def _left(heading: str, what: str) -> list[Block]:
    return [Heading(heading), Paragraph((Gap(what),))]
