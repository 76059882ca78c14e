"""Figures that only some studies have."""

from collections.abc import Iterator

from autodls.report.artefacts import Artefacts
from autodls.report.captions import CAPTIONS, numbers_of
from autodls.report.html.page import Markup, figure


def if_drawn(study: Artefacts, name: str) -> Iterator[Markup]:
    """The figure `name` with its caption, nothing where it was not drawn."""
    if name in study.figures:
        alt, caption = CAPTIONS[name]
        yield figure(study.figures[name], alt, f"{caption} {numbers_of(name)}")
