"""HTML that is escaped by construction: text becomes markup in one place, and every name of a user goes through it."""

import base64
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from autodls.report.artefacts import Artefact, Picture
from autodls.report.drawn import Printed
from autodls.report.unprintable import shown

_VOID = frozenset({"img", "input", "link", "meta"})
_NUMBERS = re.compile(r"[\d\s.,()<>%=e+\-\u2212\u2013\u00b1]+|[\d.\u2212]+ \([\d.\u2212]+ to [\d.\u2212]+\)")

Attribute = str | int | float | bool | None
Attributes = Mapping[str, Attribute]


class Markup(str):
    """Text that is HTML already. Only `el`, `joined` and the frame of the page make it."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """A chapter of the report."""

    key: str
    title: str
    body: Markup


def escaped(text: str) -> Markup:
    """`text` as HTML; a `Markup` is left as it is.

    >>> escaped("<b> & 'quoted'")
    '&lt;b&gt; &amp; &#x27;quoted&#x27;'
    """
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(shown(text)))


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """The parts one after the other, each escaped."""
    return Markup(escaped(between).join(escaped(part) for part in parts))


def el(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """An element; a text among `children` is escaped, None and False leave an attribute out.

    `class_` is written class, `data_score` data-score.

    >>> el("p", "a < b", el("b", "c"), class_="note", hidden=True)
    '<p class="note" hidden>a &lt; b<b>c</b></p>'
    """
    shown = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    written = "".join(
        _attribute(key, value) for key, value in shown.items() if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def paragraph(*children: str, class_: str | None = None) -> Markup:
    """A paragraph."""
    return el("p", *children, class_=class_)


def bullets(items: Iterable[str], class_: str | None = None) -> Markup:
    """A list."""
    return el("ul", *(el("li", item) for item in items), class_=class_)


def absent(artefact: Artefact) -> Markup:
    """Says what is not there, and which command makes it."""
    return paragraph(
        "Not there yet: ", el("code", artefact.path), ". ", el("code", artefact.command), " makes it.", class_="absent"
    )


def scrolling(content: Markup, label: str) -> Markup:
    """A region that scrolls by itself where the screen is narrower than `content`, with the keyboard too."""
    return el("div", content, class_="scroll", role="region", aria_label=label, tabindex=0)


def figure(picture: Picture, alt: str, caption: str, wide: bool = True) -> Markup:
    """A picture inside the page; an SVG is an image here, so that nothing in it can run."""
    source = f"data:{picture.media};base64,{base64.b64encode(picture.content).decode()}"
    image = el("img", src=source, alt=alt, class_="wide" if wide else None)
    return el("figure", scrolling(image, f"Figure: {alt}"), el("figcaption", caption))


def data_table(
    caption: str,
    header: Sequence[str],
    lines: Iterable[Sequence[str]],
    *,
    key: str | None = None,
    sortable: bool = False,
    attributes: Callable[[int], Attributes] = lambda _row: {},
    class_: str | None = None,
) -> Markup:
    """A table in a region of its own; its first column names the rows. `attributes` gives those of a row."""
    heads = [el("th", _head(name, sortable), scope="col") for name in header]
    rows = [
        el("tr", el("th", line[0], scope="row"), *(_cell(cell) for cell in line[1:]), **attributes(at))
        for at, line in enumerate(lines)
    ]
    table = el(
        "table",
        el("caption", caption),
        el("thead", el("tr", *heads)),
        el("tbody", *rows),
        id=key,
        class_=class_,
        data_sortable=sortable,
    )
    return scrolling(table, f"Table: {caption}")


def printed_table(printed: Printed, source: str = "") -> Markup:
    """A table of the paper with its footnotes and the file that holds all digits."""
    notes = [*printed.notes, *([f"All digits: {source}."] if source else [])]
    return joined([data_table(printed.title, printed.header, printed.lines), bullets(notes, "notes")])


def filter_box(label: str, table: str) -> Markup:
    """A box that shows only the rows of `table` that hold what is typed."""
    box = el("input", type="search", id=f"filter-{table}", data_filter=table, autocomplete="off")
    count = el("output", "", for_=f"filter-{table}", data_count=table)
    return el("p", el("label", label, for_=f"filter-{table}"), box, count, class_="controls")


def _attribute(key: str, value: Attribute) -> str:
    return f" {key}" if value is True else f' {key}="{escaped(str(value))}"'


def _cell(cell: str) -> Markup:
    """A cell; numbers and intervals are not broken."""
    return el("td", cell, class_="num" if _NUMBERS.fullmatch(cell) else None)


def _head(name: str, sortable: bool) -> str:
    return el("button", name, type="button") if sortable else name


def shown_cell(cell: str) -> str:
    """A number of a cell with three decimals, other text as it is."""
    try:
        return f"{float(cell):.3f}" if "." in cell else cell
    except ValueError:
        return cell
