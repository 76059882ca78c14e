"""Sphinx's settings: MyST reads the Markdown, furo draws it. `docs/build.py` makes what is generated and calls this."""

import re

from docutils import nodes
from sphinx.application import Sphinx

from autodls import __version__

project = "AutoDLS"
author = "the authors of AutoDLS"
project_copyright = "the authors of AutoDLS"
version = release = __version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
exclude_patterns = ["pages", "**.ipynb_checkpoints"]
smartquotes = False  # two hyphens are an option
default_role = "code"  # docstrings mark code by single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
maximum_signature_line_length = 80
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"AutoDLS {version}"
html_static_path = ["assets"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_search_summary = False  # a summary is fetched, which a page opened as a file may not do
html_copy_source = False
html_show_sourcelink = False
html_use_index = True
html_domain_indices = False
pygments_style = "friendly"


def _described(_app: object, _what: str, _name: str, _found: object, _options: object, lines: list[str]) -> None:
    """`name : what it is` in a list of parameters is a name and its description; for numpydoc it would be its type."""
    is_list = False
    for at, line in enumerate(lines):
        if at + 1 < len(lines) and set(lines[at + 1]) == {"-"}:
            is_list = line == "Parameters"
        elif is_list and (found := re.fullmatch(r"(\w[\w, ]*) : (.+)", line)):
            more = at + 1 < len(lines) and lines[at + 1].startswith(" ")
            lines[at] = f"{found[1]} : {found[2]}" if more else f"{found[1]}\n    {found[2]}"
    lines[:] = "\n".join(lines).split("\n")


def _dashed(_app: object, doctree: nodes.document) -> None:
    """Between a parameter and what it is stand two hyphens for typography that is off here."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(": "))


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("doctree-read", _dashed)
    app.connect("autodoc-process-docstring", _described, priority=400)  # before napoleon
