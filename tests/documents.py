"""The pages that people read: what stands in their fences, their headings and their links."""

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from autodls.cli.app import app
from autodls.cli.manner import with_manners

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
MADE = ("reference/commands/", "reference/records/", "reference/tables.md", "reference/python.md", "start/notebook.md")
OF_ROOT = {"--help", "-h", "--version", "--install-completion", "--show-completion"}
_FENCE = re.compile(r"^(```+|:::+)([^\n`]*)\n(.*?)^\1[ ]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\[]*(?:\[[^\]]*\][^\]\[]*)*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`\n]+`")


@dataclass(frozen=True)
class Fence:
    """A fenced block of a page."""

    page: Path
    kind: str
    text: str

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}: {self.text.splitlines()[0] if self.text else ''}"


def fences(kind, pages=PAGES):
    """Every block of this kind; bash is sh."""
    return [
        Fence(page, kind, found[3])
        for page in pages
        for found in _FENCE.finditer(page.read_text())
        if re.sub("^bash$", "sh", found[2].strip()) == kind
    ]


def prose(page):
    """A page without its fences."""
    return _FENCE.sub("", page.read_text())


def links(page):
    """Targets of the links of a page, with those of its figures."""
    text = page.read_text()
    pictures = re.findall(r"^```\{(?:figure|image|include)\} (\S+)$", text, re.MULTILINE)
    return [*(found[1] for found in _LINK.finditer(_CODE.sub("`", prose(page)))), *pictures]


def anchors(page):
    """What a link to a part of a page may name, as the site and repositories' viewers make it of a heading."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def shell_lines(text):
    """Commands of a block, as words: what a backslash goes on with is joined, comments are left out."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def typed_commands():
    """Every `autodls ...` that a page shows, as words: in fences whole, in its text as far as it is written out."""
    whole = [
        (fence.page, words[1:], True)
        for fence in fences("sh")
        for line in shell_lines(fence.text)
        for words in [line[1:] if line[0] in ("$", "sudo") else line]
        if words[0] == "autodls"
    ]
    spoken = [
        (page, shlex.split(found[1].replace("$", ""))[1:], False)
        for page in PAGES
        for found in re.finditer(r"`(autodls [^`\n]+)`", prose(page))
    ]
    return [one for one in [*whole, *spoken] if one[1] and one[1][0] not in (*OF_ROOT, "COMMAND")]


def command_of(words):
    """The command that `words` call, its name, and the words behind it; None where they name a group or none."""
    found, name = with_manners(app).func, []
    while getattr(found, "commands", None):
        if len(name) == len(words) or words[len(name)] not in found.commands:
            return None
        name.append(words[len(name)])
        found = found.commands[name[-1]]
    return found, name, list(words[len(name) :])
