"""The report: one HTML file that needs nothing beside itself, and asks the network for nothing."""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from autodls import __version__
from autodls.limits import MOST_FILE_BYTES
from autodls.records.dataset import DatasetDescription
from autodls.records.files import read_bounded, sha256_of_bytes, write_text
from autodls.records.workspace import Workspace
from autodls.report.artefacts import Artefacts
from autodls.report.html.candidates import candidates
from autodls.report.html.cases import explorer, scores
from autodls.report.html.gallery import gallery
from autodls.report.html.images import images
from autodls.report.html.learning import learning
from autodls.report.html.page import Markup, Section, el
from autodls.report.html.patients import patients
from autodls.report.html.plan import checklists, plan
from autodls.report.html.results import apparent, cohorts, performance, survival
from autodls.report.html.rois import rois
from autodls.report.html.study import glance, provenance, warnings
from autodls.report.reading import read_study

_CHAPTERS = (
    glance, warnings, cohorts, learning, performance, explorer, survival, apparent, candidates, patients, rois, images,
    gallery, plan, scores, checklists, provenance,
)  # fmt: skip
_OF_TABLE = (glance, warnings, cohorts, performance, survival, provenance)
_SEAL = "<!-- written by autodls, SHA-256 of what stands above: "


def write_report(workspace: Workspace, description: DatasetDescription | None, target: Path) -> Path:
    """Write the report of what lies in `workspace` to `target`; `description` is that of the dataset, if at hand."""
    return write_page(read_study(workspace, description), target)


def write_page(study: Artefacts, target: Path) -> Path:
    """Write the report of `study` to `target`, atomically; the same run gives the same bytes.

    What is missing is named, with the command that makes it. The last line, which is not shown, is the hash of all
    before: by it `is_report` knows one that nobody has changed.
    """
    write_text(target, render(study))
    return target


def is_report(path: Path) -> bool:
    """Whether `path` is a report as `write_report` wrote it; raises OSError where it cannot be read."""
    text, mark, rest = read_bounded(path, MOST_FILE_BYTES).rpartition(_SEAL.encode())
    return mark + rest == _seal(text).encode()


def _seal(text: bytes) -> str:
    return f"{_SEAL}{sha256_of_bytes(text)} -->\n"


def render(study: Artefacts) -> str:
    """The report as HTML, sealed."""
    chapters = _CHAPTERS if study.of_table is None else _OF_TABLE
    sections = [section for chapter in chapters if (section := chapter(study)) is not None]
    name = study.description.name if study.description else study.plan.dataset if study.plan else "study"
    text = page(f"Report of {study.of_table or name}", sections)
    return text + _seal(text.encode())


def page(title: str, sections: Sequence[Section]) -> str:
    """The sections in a page with navigation, style, script, and a policy that allows these alone."""
    style, script = _asset("report.css"), _asset("report.js")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        el("link", rel="icon", href="data:,"),
        el("style", style),
    )
    body = el("body", _skip(), el("div", *_frame(title, sections), class_="layout"), el("script", script))
    return f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"


def _frame(title: str, sections: Sequence[Section]) -> list[Markup]:
    links = [el("li", el("a", section.title, href=f"#{section.key}")) for section in sections]
    chapters = [
        el("section", el("h2", section.title, id=f"{section.key}-title"), section.body, **_named(section.key))
        for section in sections
    ]
    return [
        el("header", el("h1", title), el("p", "Made by autodls from the files of the run.")),
        el("nav", el("h2", "Contents", id="contents"), el("ul", *links), aria_labelledby="contents"),
        el("main", *chapters, id="main"),
        el(
            "footer", f"autodls {__version__}. A research tool: not a medical device, not for decisions about patients."
        ),
    ]


def _named(key: str) -> dict[str, str]:
    return {"id": key, "aria_labelledby": f"{key}-title"}


def _skip() -> Markup:
    return el("a", "Skip to the report", href="#main", class_="skip")


def _asset(name: str) -> Markup:
    """A file of ours, which goes into the page as it is."""
    return Markup((resources.files("autodls.report") / "assets" / name).read_text(encoding="utf-8"))


def _policy(style: str, script: str) -> str:
    """Nothing may be loaded, and no other style or script may run."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )
