"""Foreign text made safe for a reader: what files hold must not steer a terminal, forge a line, or mark up a page.

Cells of tables have a door of their own (`scores.write_csv`), and so has HTML (`report.html.page`).
"""

import html
import re

# A colon and a dot only where a reader would make an address of the text by itself.
_MARKDOWN = re.compile(r"[\\`*\[\]#~|@]|(?<!\w)_|_(?!\w)|:(?=\S)|(?i:(?<=www))\.")


def visible(text: str) -> str:
    r"""`text` with signs that are not seen spelled as in JSON; line ends stay.

    >>> visible("a\x1b[2Jb\u202e\n")
    'a\\u001b[2Jb\\u202e\n'
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign == "\n" else spelled(sign) for sign in text)


def in_one_line(text: str) -> str:
    r"""The same with line ends spelled too: no name makes a line of its own.

    >>> in_one_line("readme\nautodls: all is well")
    'readme\\u000aautodls: all is well'
    """
    return visible(text).replace("\n", spelled("\n"))


def as_markdown(text: str) -> str:
    r"""`text` as Markdown that shows it and nothing else, in one line: no heading, link, HTML or code.

    >>> as_markdown("PD-L1 >= 20\n# Approved [a](b:c) ftp://d WWW.e")
    'PD-L1 &gt;= 20\\\\u000a\\# Approved \\[a\\](b\\:c) ftp\\://d WWW\\.e'
    """
    return _MARKDOWN.sub(r"\\\g<0>", html.escape(in_one_line(text), quote=False))


def as_markdown_code(text: str) -> str:
    """`text` as code in Markdown where no reader can take it for anything else; else as `as_markdown`.

    >>> as_markdown_code("cps >= 20"), as_markdown_code("<a> >= 20")
    ('`cps >= 20`', '&lt;a&gt; &gt;= 20')
    """
    line = in_one_line(text)
    return as_markdown(text) if set("`<&\\[") & set(line) or line != line.strip() else f"`{line}`"


def spelled(sign: str) -> str:
    """A sign as JSON spells it."""
    return re.sub("....", r"\\u\g<0>", sign.encode("utf-16-be", "surrogatepass").hex())
