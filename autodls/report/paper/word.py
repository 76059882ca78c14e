"""The one door to python-docx: a paper as a Word file, with styles, captions, fields and texts for pictures."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

from autodls.errors import ArgumentError
from autodls.report.drawn import Printed
from autodls.report.paper.blocks import Block, Cite, FigureBlock, Gap, Heading, Paper, Paragraph, Part, TableBlock, To
from autodls.report.paper.references import reference
from autodls.report.paper.word_styles import (
    CAPTION,
    CELL,
    MOST_HEIGHT_CM,
    MOST_WIDTH_CM,
    NOTE,
    REFERENCE,
    TABLE,
    finish,
    new_document,
    new_section,
)
from autodls.report.unprintable import shown

if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph as WordParagraph

_MANY_COLUMNS = 6  # with more, letters are smaller
_WIDEST = 42  # signs that a column is given room for; longer cells are broken
_SIGN_EM = 0.5  # mean width of a sign
_MARGIN = 2.0  # of a cell, in signs
_TOGETHER = 14  # a table of so many rows is kept on one page


def require_docx() -> None:
    """Raise ArgumentError where the package of the extra is not installed."""
    if find_spec("docx") is None:
        raise ArgumentError(
            "--docx: the Python package python-docx is not installed; pip install -c constraints.txt '.[docx]'"
        )


def word_bytes(paper: Paper) -> bytes:
    """The paper as a Word file; parts of it still have the times at which they were put together."""
    document = new_document()
    writer = _Writer(document, paper)
    writer.title()
    writer.blocks(paper.text)
    writer.references()
    new_section(document, landscape=True)
    writer.tables("Tables", paper.tables)
    new_section(document, landscape=False)
    writer.figures()
    if paper.appendix:
        new_section(document, landscape=True)
        writer.blocks(paper.appendix)
        writer.tables("", paper.checklists)
    finish(document, shown(paper.name))
    held = BytesIO()
    document.save(held)
    return held.getvalue()


class _Writer:
    """Puts the blocks of a paper into a document; tables, figures and references have their numbers beforehand."""

    def __init__(self, document: "Document", paper: Paper) -> None:
        self.document, self.paper = document, paper
        tables = [one.key for one in (*paper.tables, *paper.checklists)]
        figures = [one.key for one in paper.figures]
        self.numbers: Mapping[tuple[str, str], int] = {
            **{("Table", key): at for at, key in enumerate(tables, start=1)},
            **{("Figure", key): at for at, key in enumerate(figures, start=1)},
        }
        self.sources = {key: at for at, key in enumerate(paper.references, start=1)}
        self.bookmarks = 0

    def title(self) -> None:
        """The title is the author's; that of the study stands below it."""
        self._part(self.document.add_paragraph(style="Title"), Gap("title"))
        self.document.add_paragraph(shown(f"Study: {self.paper.name}"), style="Subtitle")

    def blocks(self, blocks: Sequence[Block]) -> None:
        """Headings and paragraphs, in order."""
        for block in blocks:
            if isinstance(block, Heading):
                self.document.add_heading(shown(block.text), block.level)
            else:
                self._paragraph(block)

    def _paragraph(self, block: Paragraph) -> None:
        made = self.document.add_paragraph(style="List Bullet" if block.bullet else "Body Text")
        if block.label:
            made.add_run(f"{shown(block.label)}. ").bold = True
        for part in block.parts:
            self._part(made, part)

    def _part(self, made: "WordParagraph", part: Part) -> None:
        if isinstance(part, Gap):
            _highlighted(made, part)
        elif isinstance(part, To):
            _field(made, f"REF {_bookmark(part.kind, part.key)} \\h", self._name(part.kind, part.key))
        elif isinstance(part, Cite):
            made.add_run(f"[{', '.join(str(self.sources[key]) for key in part.keys)}]")
        else:
            made.add_run(shown(part))

    def references(self) -> None:
        """The sources, numbered as they are cited."""
        if self.sources:
            self.document.add_heading("References", 1)
        for key, number in self.sources.items():
            self.document.add_paragraph(f"{number}.\t{reference(key)}", style=REFERENCE)

    def tables(self, heading: str, blocks: Sequence[TableBlock]) -> None:
        """Every table with its caption above it and its notes below."""
        if heading and blocks:
            self.document.add_heading(heading, 1)
        for block in blocks:
            self._caption("Table", block.key, block.printed.title, above=True)
            _table(self.document, block.printed, self._name("Table", block.key))
            for note in block.printed.notes:
                self.document.add_paragraph(shown(note), style=NOTE)

    def figures(self) -> None:
        """Every figure with its caption below it."""
        if self.paper.figures:
            self.document.add_heading("Figures", 1)
        for block in self.paper.figures:
            _picture(self.document, block, self._name("Figure", block.key))
            self._caption("Figure", block.key, block.caption, above=False)

    def _name(self, kind: str, key: str) -> str:
        return f"{kind} {self.numbers[kind, key]}"

    def _caption(self, kind: str, key: str, text: str, *, above: bool) -> None:
        """The caption with a number that Word counts, and a mark that texts refer to."""
        made = self.document.add_paragraph(style=CAPTION)
        made.paragraph_format.keep_with_next = above
        self.bookmarks += 1
        _mark(made, "bookmarkStart", id=self.bookmarks, name=_bookmark(kind, key))
        made.add_run(f"{kind} ").bold = True
        _field(made, f"SEQ {kind} \\* ARABIC", str(self.numbers[kind, key]), bold=True)
        _mark(made, "bookmarkEnd", id=self.bookmarks)
        made.add_run(". ").bold = True
        made.add_run(shown(text))


def _bookmark(kind: str, key: str) -> str:
    return f"{kind.lower()}_{key}"[:40]


def _highlighted(made: "WordParagraph", gap: Gap) -> None:
    from docx.enum.text import WD_COLOR_INDEX

    run = made.add_run(shown(gap.text))
    run.font.highlight_color = WD_COLOR_INDEX.YELLOW


def _element(kind: str, /, **attributes: str | int) -> Any:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    made = OxmlElement(f"w:{kind}")
    for key, value in attributes.items():
        made.set(qn(f"w:{key}"), str(value))
    return made


def _mark(made: "WordParagraph", kind: str, /, **attributes: str | int) -> None:
    made._p.append(_element(kind, **attributes))


def _field(made: "WordParagraph", instruction: str, text: str, *, bold: bool = False) -> None:
    """A field that Word can count anew, with what it holds now."""
    field = _element("fldSimple", instr=f" {instruction} ")
    run = made.add_run(text)
    run.bold = bold or None
    field.append(run._r)
    made._p.append(field)


def _table(document: "Document", printed: Printed, name: str) -> None:
    """Rows are not broken, and the first stands again on every page."""
    from docx.shared import Pt

    lines = [printed.header, *printed.lines]
    table = document.add_table(len(lines), len(printed.header), style=TABLE)
    table.autofit = False
    table._tbl.tblPr.append(_element("tblCaption", val=shown(f"{name}. {printed.title}")))
    section = document.sections[-1]
    size = Pt(7.5 if len(printed.header) > _MANY_COLUMNS else 8.5)
    wide = section.page_width - section.left_margin - section.right_margin
    widths = [int(share * wide) for share in _shares(lines, wide / (_SIGN_EM * size))]
    style = document.styles[CELL].style_id
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    for at, (row, line) in enumerate(zip(table.rows, lines, strict=True)):
        properties = row._tr.get_or_add_trPr()
        properties.append(_element("cantSplit"))
        if at == 0:
            properties.append(_element("tblHeader"))
        for cell, text, width in zip(row.cells, line, widths, strict=True):
            cell.width = width
            [made] = cell.paragraphs
            made.paragraph_format.keep_with_next = True if at < len(lines) - 1 <= _TOGETHER else None
            made._p.style = style  # by its id: looking it up by name takes a second for a long table
            _fill(made, text, size, bold=at == 0)


def _fill(made: "WordParagraph", text: str, size: Any, *, bold: bool) -> None:
    """A cell; what only an author can say is marked there too."""
    for piece, is_gap in _pieces(shown(text)):
        if is_gap:
            _highlighted(made, piece if isinstance(piece, Gap) else Gap(piece))
        else:
            made.add_run(str(piece)).bold = bold or None
    for run in made.runs:
        run.font.size = size


def _pieces(text: str) -> Iterator[tuple[str | Gap, bool]]:
    start, end = "[AUTHOR: ", "]"
    if text.startswith(start) and end in text:
        what, _, rest = text.removeprefix(start).partition(end)
        yield Gap(what), True
        yield rest, False
    else:
        yield text, False


def _shares(lines: Sequence[Sequence[str]], room: float) -> list[float]:
    """How much of the page, where `room` signs stand beside each other, each column has.

    No word is broken if that can be; then columns with long texts have what they want, then all have more.
    """
    columns = list(zip(*lines, strict=True))
    needed = [1.1 * min(_longest_word(column), _WIDEST) + _MARGIN for column in columns]
    wanted = [1.1 * min(max(map(len, column)), _WIDEST) + _MARGIN for column in columns]
    more = [max(want - need, 0.0) for want, need in zip(wanted, needed, strict=True)]
    given = min(max(room - sum(needed), 0.0) / (sum(more) or 1.0), 1.0)
    widths = [need + given * one for need, one in zip(needed, more, strict=True)]
    return [width / sum(widths) for width in widths]


def _longest_word(column: Sequence[str]) -> int:
    return max((len(word) for cell in column for word in cell.split()), default=1)


def _picture(document: "Document", block: FigureBlock, name: str) -> None:
    """As large as it was drawn, if the page has room for that and its caption; with a text for who does not see it."""
    from docx.shared import Cm

    made = document.add_paragraph(style="Body Text")
    made.paragraph_format.keep_with_next = True
    shape = made.add_run().add_picture(BytesIO(block.png))
    less = min(Cm(MOST_WIDTH_CM) / shape.width, Cm(MOST_HEIGHT_CM) / shape.height, 1.0)
    shape.width, shape.height = int(less * shape.width), int(less * shape.height)
    described = shape._inline.docPr
    described.set("descr", shown(block.alt))
    described.set("title", name)
