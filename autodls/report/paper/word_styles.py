"""How the Word file looks: its page, its letters, the styles of tables and captions, and what it says of itself."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docx.document import Document

CAPTION, TABLE, CELL, NOTE, REFERENCE = "Caption", "Paper Table", "Table Cell", "Table Note", "Reference"
MOST_WIDTH_CM, MOST_HEIGHT_CM = 16.0, 19.0
_LANGUAGE = "en-US"
_LETTERS = "Times New Roman"
_LINES = """<w:tblPr {ns}><w:tblBorders>
<w:top w:val="single" w:sz="8" w:space="0" w:color="000000"/>
<w:bottom w:val="single" w:sz="8" w:space="0" w:color="000000"/>
<w:insideH w:val="single" w:sz="2" w:space="0" w:color="BFBFBF"/>
</w:tblBorders><w:tblCellMar><w:left w:w="55" w:type="dxa"/><w:right w:w="55" w:type="dxa"/></w:tblCellMar></w:tblPr>"""
_HEAD = """<w:tblStylePr {ns} w:type="firstRow"><w:tcPr><w:tcBorders>
<w:bottom w:val="single" w:sz="8" w:space="0" w:color="000000"/></w:tcBorders></w:tcPr></w:tblStylePr>"""
_PAGE = '<w:fldSimple {ns} w:instr=" PAGE "><w:r><w:t>1</w:t></w:r></w:fldSimple>'


def new_document() -> "Document":
    """An empty document of A4, with the styles of the paper and numbers of pages."""
    from docx import Document
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Cm

    document = Document()
    section = document.sections[0]
    section.page_width, section.page_height = Cm(21.0), Cm(29.7)
    _set_margins(section)
    _set_styles(document)
    footer = section.footer.paragraphs[0]
    footer.alignment = WD_ALIGN_PARAGRAPH.CENTER
    footer._p.append(_parsed(_PAGE))
    return document


def new_section(document: "Document", *, landscape: bool) -> None:
    """Start a page, on its long side where wide tables follow."""
    from docx.enum.section import WD_ORIENT
    from docx.shared import Cm

    section = document.add_section()
    section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = (Cm(29.7), Cm(21.0)) if landscape else (Cm(21.0), Cm(29.7))
    _set_margins(section)


def finish(document: "Document", name: str) -> None:
    """Say what the document is, in which language; neither who wrote it, nor when, nor what it was made of."""
    properties = document.core_properties
    properties.title, properties.language = f"{name}: draft of methods and results", _LANGUAGE
    properties.author = properties.last_modified_by = properties.comments = properties.keywords = ""
    core = document.part.package.part_related_by(_relation("core-properties", package=True))
    for child in list(core.element):  # type: ignore[attr-defined]
        if child.tag.endswith(("}created", "}modified")):
            core.element.remove(child)  # type: ignore[attr-defined]
    relations = document.part.package.rels
    for key in [key for key, one in relations.items() if one.reltype.endswith(("/thumbnail", "/extended-properties"))]:
        del relations[key]


def _relation(name: str, *, package: bool) -> str:
    place = "package/2006/relationships/metadata" if package else "officeDocument/2006/relationships"
    return f"http://schemas.openxmlformats.org/{place}/{name}"


def _set_margins(section: Any) -> None:
    from docx.shared import Cm

    for side in ("left_margin", "right_margin", "top_margin", "bottom_margin"):
        setattr(section, side, Cm(2.5))


def _set_styles(document: "Document") -> None:
    from docx.enum.style import WD_STYLE_TYPE
    from docx.shared import Cm, Pt

    styles = document.styles
    for name, size in {
        "Normal": 11,
        "Title": 18,
        "Subtitle": 12,
        "Heading 1": 14,
        "Heading 2": 12,
        "Heading 3": 11,
        CAPTION: 9,
    }.items():
        _lettered(styles[name], size)
    styles[CAPTION].font.bold = False
    for line in styles["Title"].element.findall(f".//{{{_namespace()}}}pBdr"):
        line.getparent().remove(line)
    for name, size in {CELL: 8, NOTE: 8, REFERENCE: 10}.items():
        styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH).base_style = styles["Normal"]
        _lettered(styles[name], size)
    spaces = {
        CELL: (1, 1),
        NOTE: (1, 0),
        REFERENCE: (0, 3),
        CAPTION: (12, 4),
        "Body Text": (0, 6),
        "List Bullet": (0, 2),
    }
    for name, (before, after) in spaces.items():
        layout = styles[name].paragraph_format
        layout.space_before, layout.space_after = Pt(before), Pt(after)
        layout.line_spacing = 1.0 if name in {CELL, NOTE} else 1.15
    layout = styles[REFERENCE].paragraph_format
    layout.left_indent, layout.first_line_indent = Cm(0.8), Cm(-0.8)
    _set_table_style(styles.add_style(TABLE, WD_STYLE_TYPE.TABLE))


def _set_table_style(style: Any) -> None:
    """Three lines, as journals have them, with thin ones between rows."""
    for old in style.element.findall(f"{{{_namespace()}}}tblPr"):
        style.element.remove(old)
    style.element.append(_parsed(_LINES))
    style.element.append(_parsed(_HEAD))


def _lettered(style: Any, size: float) -> None:
    """Black letters of one font: the theme of the template would have others."""
    from docx.oxml.ns import qn
    from docx.shared import Pt, RGBColor

    style.font.name, style.font.size, style.font.color.rgb = _LETTERS, Pt(size), RGBColor(0, 0, 0)
    fonts = style.element.get_or_add_rPr().find(qn("w:rFonts"))
    for key in ("ascii", "hAnsi", "eastAsia", "cs"):
        fonts.attrib.pop(qn(f"w:{key}Theme"), None)
        fonts.set(qn(f"w:{key}"), _LETTERS)


def _parsed(text: str) -> Any:
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    return parse_xml(text.format(ns=nsdecls("w")))


def _namespace() -> str:
    from docx.oxml.ns import nsmap

    return str(nsmap["w"])
